// Surveys: begin one, show its link and QR code, see what residents say.

import { send } from "../api.js";
import { h, setText } from "../dom.js";
import { calendarDate, number, percent } from "../format.js";
import { label, t } from "../i18n.js";
import { mayEdit } from "../session.js";
import { form, openDialog, rowButton } from "./dialog.js";
import { empty, toast } from "./states.js";

/** The surveys of the programme's topic. */
export function surveys(context) {
  const mine = context.asked.filter((one) => one.topic === context.tree.topic);
  return [
    h("p", { class: "lead" }, t("survey.lead")),
    mine.length ? mine.map((one) => survey(one, context)) : empty(t("survey.none")),
    mayEdit() && h("p", {}, h("button", { type: "button", class: "button", data: { testid: "add-survey" }, on: { click: () => begin(context) } }, t("survey.begin"))),
  ];
}

function survey(one, context) {
  return h("article", { class: "survey", data: { testid: "survey", state: one.state } },
    h("div", {},
      h("h3", {}, label(one.title)),
      h("p", { class: "caption" }, t(one.state === "open" ? "survey.open_until" : "survey.closed_on", { date: calendarDate(one.last_day, true) })),
      h("p", {}, t("survey.answers", { n: number(one.answers) }), " · ",
        one.satisfied_share === null ? t("survey.no_share") : t("survey.share", { share: percent(one.satisfied_share), low: percent(one.low), high: percent(one.high) })),
      one.answers > 0 && result(one),
      h("p", {}, h("a", { href: one.link, target: "_blank", rel: "noopener", data: { testid: "survey-link" } }, one.link)),
      h("div", { class: "row-buttons" }, copyButton(one.link), one.state === "open" && mayEdit() && rowButton(t("survey.close"), label(one.title), () => end(one, context)))),
    one.state === "open" && h("img", { class: "qr", src: `/api/v1${context.site}/dossier/surveys/${one.id}/qr`, alt: t("survey.qr", { link: one.link }), width: 180, height: 180 }));
}

function result(one) {
  return h("table", { class: "table survey-table" }, h("caption", { class: "spoken" }, t("survey.result")),
    h("tbody", {}, one.questions.map((each) => h("tr", {}, h("th", { scope: "row" }, label(each.text)), h("td", { class: "right" }, each.satisfied_share === null ? "–" : percent(each.satisfied_share)),
      h("td", { class: "right" }, each.mean === null ? "–" : number(each.mean, 1))))));
}

function copyButton(link) {
  const button = h("button", { type: "button", class: "button" }, t("survey.copy"));
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(link);
      setText(button, t("form.copied"));
    } catch {
      toast(link);
    }
  });
  return button;
}

function begin({ site, tree, reload }) {
  openDialog(t("survey.begin"), (close) => form({
    fields: [
      { key: "last_day", label: t("survey.last_day"), type: "date", required: true, value: suggested(tree.made_at) },
      { key: "title_zh", label: t("survey.title_zh"), maxlength: 120, hint: t("survey.title_hint") },
      { key: "title_en", label: t("survey.title_en"), maxlength: 120 },
    ],
    button: t("survey.begin"), cancel: close, testid: "survey-form",
    submit: async (given) => {
      await send("POST", `${site}/dossier/surveys`, { topic: tree.topic, last_day: given.last_day, title_zh: given.title_zh || null, title_en: given.title_en || null });
      close();
      await reload();
    },
  }));
}

/** Two weeks from the time of the data. */
function suggested(madeAt) {
  return new Date(Date.parse(madeAt) + 14 * 86_400_000).toISOString().slice(0, 10);
}

async function end(one, { site, reload }) {
  try {
    await send("POST", `${site}/dossier/surveys/${one.id}/close`);
    await reload();
  } catch (error) {
    toast(error.message, "bad");
  }
}
