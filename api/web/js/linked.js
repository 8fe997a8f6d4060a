// The page that a message's link leads to: one alert, what to do, and one button. It needs no login.

import { get, send } from "./api.js";
import { fill, h } from "./dom.js";
import { moment } from "./format.js";
import { label, setLanguage, t } from "./i18n.js";
import { alertAdvice, alertBegin, alertState, alertTitle, alertValue } from "./parts/alerts.js";
import { icon } from "./parts/icons.js";
import { indicativeMark } from "./parts/level.js";
import { failure } from "./parts/states.js";

const root = document.getElementById("app");
const token = location.pathname.split("/").pop();

async function start() {
  try {
    show(await get(`/ack/${encodeURIComponent(token)}`));
  } catch (error) {
    const told = error.status === 404 ? { message: t("linked.invalid") } : error;
    fill(root, h("main", { class: "lonely" }, failure(told, error.status === 404 ? null : start), h("p", { class: "caption" }, h("a", { href: "/" }, t("linked.login")))));
  }
}

function show({ alert, user, language }) {
  setLanguage(language, false);
  document.title = `${alertTitle(alert)} · ${t("app.name")}`;
  fill(root, h("main", { class: "linked", data: { testid: "linked-alert", state: alert.state } },
    h("p", { class: "brand" }, h("img", { src: new URL("../icons/icon.svg", import.meta.url).href, alt: "", width: 28, height: 28 }), h("span", { class: "brand-name" }, t("app.name"))),
    h("header", { class: "alert-title" }, h("h1", {}, alertTitle(alert)), alertState(alert)),
    h("p", {}, h("strong", {}, `${label(alert.site_label)} · ${label(alert.source_label)}`)),
    h("p", {}, alertValue(alert), " ", alert.indicative && indicativeMark()),
    h("p", { class: "caption" }, t("linked.since", { time: moment(alertBegin(alert), "Asia/Shanghai", Date.now()) })),
    alert.open && h("section", { class: "advice" }, h("h2", {}, t("alert.what_to_do")), h("ol", {}, alertAdvice(alert).map((line) => h("li", {}, line)))),
    alert.can_acknowledge ? button(user) : h("p", { class: "ack-waiting", role: "status" }, icon("check"), done(alert)),
    h("p", { class: "caption" }, h("a", { href: `/#/alerts/${alert.id}` }, t("linked.more")))));
}

function done(alert) {
  return alert.acknowledged_by ? t("alert.by", { who: alert.acknowledged_by }) : t(`alert.state.${alert.state}`);
}

function button(user) {
  const act = h("button", { type: "button", class: "button button-main button-wide", data: { testid: "ack-button" } }, icon("check"), t("alert.acknowledge"));
  act.addEventListener("click", async () => {
    act.disabled = true;
    try {
      show(await send("POST", `/ack/${encodeURIComponent(token)}`));
    } catch (error) {
      fill(root, h("main", { class: "lonely" }, failure(error, start)));
    }
  });
  return h("div", {}, act, h("p", { class: "caption" }, t("linked.as", { user })));
}

setLanguage("zh", false);
start();
