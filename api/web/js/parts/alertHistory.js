// Alerts of a quarter that are over, and what happened to one alert.

import { get } from "../api.js";
import { now } from "../clock.js";
import { fill, h } from "../dom.js";
import { duration, moment } from "../format.js";
import { label, t, tOr } from "../i18n.js";
import { path } from "../router.js";
import { alertBegin, alertState, alertTitle, alertValue } from "./alerts.js";
import { empty, into, loading } from "./states.js";

/** Alerts that are over, loaded when somebody opens the list. */
export function alertHistory(site, signal) {
  const place = h("div");
  const list = h("div", { class: "past" });
  const page = async (before) => get("/alerts", { state: "closed", site: site.name, limit: 20, before_id: before }, signal);
  const add = ({ items, next }) => {
    list.append(...items.map((one) => pastRow(one, site.timezone)));
    fill(place, list.childElementCount ? list : empty(t("alert.no_history")), next && h("button", {
      class: "button", type: "button", on: { click: async (event) => { event.target.disabled = true; add(await page(next)); } },
    }, t("state.more")));
    return [...place.childNodes];
  };
  const node = h("details", { class: "more", data: { testid: "alert-history" } }, h("summary", {}, t("alert.history")), place);
  node.addEventListener("toggle", () => {
    if (node.open && !list.childElementCount) into(place, () => page(null), add, loading(2));
  });
  return node;
}

function pastRow(alert, timezone) {
  const begin = alertBegin(alert);
  const end = Date.parse(alert.resolved_at ?? alert.updated_at);
  return h("p", { class: "past-row" },
    h("a", { href: path("alerts", alert.id) }, alertTitle(alert)), h("span", {}, label(alert.source_label)),
    h("span", { class: "caption" }, `${moment(begin, timezone, now())} · ${duration(end - begin)}`),
    h("span", { class: "caption" }, alertValue(alert)), alertState(alert));
}

/** What happened to an alert, line by line. */
export function timeline(alert, timezone) {
  return h("ol", { class: "timeline", data: { testid: "alert-timeline" } }, alert.transitions.map((one) =>
    h("li", { data: { state: one.to_state } },
      h("span", { class: "timeline-time" }, moment(Date.parse(one.at), timezone, now(), true)),
      h("span", { class: "timeline-what" },
        one.from_state === one.to_state ? "" : h("strong", {}, t(`alert.state.${one.to_state}`)),
        h("span", {}, tOr(`reason.${one.reason}`, "reason.other", { reason: one.reason })),
        one.note && h("q", {}, one.note)),
      one.who !== "analysis" && h("span", { class: "caption" }, one.who))));
}
