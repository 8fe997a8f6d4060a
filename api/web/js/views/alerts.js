// All alerts, and one alert with what to do about it.

import { get } from "../api.js";
import { now } from "../clock.js";
import { fill, h } from "../dom.js";
import { duration, moment } from "../format.js";
import { label, t } from "../i18n.js";
import { live } from "../live.js";
import { acknowledgement, alertAdvice, alertBegin, alertIcon, alertState, alertTitle, alertValue } from "../parts/alerts.js";
import { timeline } from "../parts/alertHistory.js";
import { alertList } from "../parts/alertList.js";
import { deliveries } from "../parts/deliveries.js";
import { handling } from "../parts/handling.js";
import { icon } from "../parts/icons.js";
import { leakEvidence } from "../parts/leakEvidence.js";
import { indicativeMark } from "../parts/level.js";
import { empty, failure, loading } from "../parts/states.js";
import { path } from "../router.js";
import { mayAcknowledge } from "../session.js";

/** #/alerts and #/alerts/NUMBER. */
export function alerts({ parts, signal }) {
  return parts[0] ? oneAlert(parts[0], signal) : allAlerts(signal);
}

function allAlerts(signal) {
  const past = h("div", { class: "past-alerts" }, loading(2));
  const list = h("div", { class: "alerts" });
  const page = async (before = null) => {
    try {
      const { items, next } = await get("/alerts", { state: "closed", limit: 30, before_id: before }, signal);
      list.append(...items.map(pastCard));
      fill(past, list.childElementCount ? list : empty(t("alert.no_history")), next && h("button", { class: "button", type: "button", on: { click: () => page(next) } }, t("state.more")));
    } catch (error) {
      if (error.name !== "AbortError") fill(past, failure(error, () => page(before)));
    }
  };
  page();
  return {
    title: t("ways.alerts"),
    node: h("div", { class: "alerts-page" },
      h("section", { "aria-labelledby": "open-title" }, h("h1", { id: "open-title", tabindex: "-1" }, t("alert.open_title")), alertList({ signal, withPending: true })),
      h("section", { "aria-labelledby": "past-title" }, h("h2", { id: "past-title" }, t("alert.past_title")), past)),
  };
}

function pastCard(alert) {
  const begin = alertBegin(alert);
  const end = Date.parse(alert.resolved_at ?? alert.updated_at);
  return h("article", { class: "alert alert-past" },
    h("div", { class: "alert-head" }, icon(alertIcon(alert)), h("h3", {}, h("a", { href: path("alerts", alert.id) }, alertTitle(alert))), alertState(alert)),
    h("p", { class: "alert-where" }, `${label(alert.site_label)} · ${label(alert.source_label)}`),
    h("p", { class: "caption" }, `${moment(begin, "Asia/Shanghai", now())} · ${t("alert.lasted", { span: duration(end - begin) })}${alert.acknowledged_by ? ` · ${t("alert.by", { who: alert.acknowledged_by })}` : ""}`));
}

function oneAlert(id, signal) {
  const place = h("div", { class: "alert-page" }, loading(4));
  const load = async () => {
    try {
      const alert = await get(`/alerts/${encodeURIComponent(id)}`, {}, signal);
      const site = await get(`/sites/${alert.site}`, {}, signal);
      const writing = place.contains(document.activeElement) && document.activeElement.tagName === "TEXTAREA";
      if (!writing) fill(place, alertSheet(alert, site, load, signal));
      document.title = `${alertTitle(alert)} · ${t("app.name")}`;
    } catch (error) {
      if (error.name !== "AbortError") fill(place, failure(error, load));
    }
  };
  live.addEventListener("alert", (event) => String(event.detail.id) === id && load(), { signal });
  load();
  return { title: t("ways.alerts"), node: place };
}

function alertSheet(alert, site, changed, signal) {
  const begin = alertBegin(alert);
  const end = alert.resolved_at ? Date.parse(alert.resolved_at) : now();
  const middle = Math.round((begin + Math.min(end, begin + 3600_000)) / 2);
  const facts = [
    ["where", h("a", { href: path("site", alert.site) }, `${label(alert.site_label)} · ${label(alert.source_label)}`)],
    ["value", [alertValue(alert), " ", alert.indicative && indicativeMark()]],
    ["begin", moment(begin, site.timezone, now())],
    ["lasts", duration(end - begin)],
    ["basis", alert.detail.standard ? `${alert.detail.standard} ${alert.detail.clause ?? ""}` : null],
    ["who", alert.acknowledged_by],
  ].filter(([, value]) => value);
  return [
    h("a", { class: "back", href: path("alerts") }, icon("back"), t("alert.all")),
    h("header", { class: "alert-title" }, h("h1", { tabindex: "-1" }, alertTitle(alert)), alertState(alert)),
    h("dl", { class: "facts" }, facts.map(([key, value]) => h("div", {}, h("dt", {}, t(`alert.fact.${key}`)), h("dd", {}, value)))),
    leakEvidence(alert, site.timezone),
    alert.open && h("section", { class: "advice" }, h("h2", {}, t("alert.what_to_do")), h("ol", {}, alertAdvice(alert).map((line) => h("li", {}, line)))),
    alert.can_acknowledge && mayAcknowledge() && acknowledgement(alert, changed),
    alert.unit === "dB" && h("p", {}, h("a", { class: "button", href: path("site", alert.site, "noise", alert.source, `at-${middle}`) }, icon("bars"), t("alert.see_chart"))),
    handling(alert, site.timezone, signal),
    h("section", {}, h("h2", {}, t("alert.timeline")), timeline(alert, site.timezone)),
    h("section", {}, h("h2", {}, t("delivery.title")), deliveries(alert, site.timezone)),
  ];
}
