// What officials look into: limits with their origin, the quarantine, the audit log.

import { get } from "../api.js";
import { fill, h } from "../dom.js";
import { level, moment, number } from "../format.js";
import { label, t, tOr } from "../i18n.js";
import { empty, failure, into, loading } from "../parts/states.js";

const ZONE = "Asia/Shanghai";

/** The limits in force, with standard, clause and how far they were checked. */
export function limits({ signal }) {
  const place = h("div");
  into(place, () => get("/limits", {}, signal), ({ items }) => limitTable(items), loading(6));
  return page(t("limits.title"), h("p", { class: "lead" }, t("limits.lead")), place);
}

function limitTable(items) {
  const columns = ["what", "period", "value", "standard", "clause", "since", "verified"];
  return h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": t("limits.title") },
    h("table", { class: "table" }, h("thead", {}, h("tr", {}, columns.map((key) => h("th", { scope: "col", class: key === "value" ? "right" : "" }, t(`limits.${key}`))))),
      h("tbody", {}, items.map((one) => h("tr", {},
        h("th", { scope: "row" }, label(one.label)), h("td", {}, tOr(`period.${one.period}`, "period.any")),
        h("td", { class: "right" }, `${one.comparator === "<=" ? "≤" : one.comparator} ${level(one.value)} ${one.unit}`),
        h("td", {}, `${one.standard} ${label(one.title)}`), h("td", {}, one.clause), h("td", {}, one.valid_from), h("td", {}, t(`verified.${one.verified}`)))))));
}

/** Messages that did not validate. */
export function quarantine({ signal }) {
  const place = h("div");
  const counts = h("div", { class: "tiles" });
  get("/quarantine/counts", {}, signal)
    .then((answer) => fill(counts, [["total", answer.total], ...Object.entries(answer.by_code), ["evicted", answer.evicted]].map(([code, count]) =>
      h("div", { class: "tile" }, h("span", { class: "caption" }, tOr(`quarantine.${code}`, "quarantine.code", { code })), h("strong", {}, number(count))))))
    .catch((error) => error.name !== "AbortError" && fill(counts, failure(error)));
  paged(place, "/quarantine", signal, ["last", "topic", "reason", "times", "payload"], "quarantine", (one) => [
    moment(Date.parse(one.last_at), ZONE, 0, true), h("code", {}, one.topic), one.reason, number(one.times),
    h("details", {}, h("summary", {}, t("quarantine.bytes", { n: number(one.size_bytes) })), h("pre", { class: "payload" }, one.payload)),
  ], () => empty(t("quarantine.empty"), t("quarantine.empty_hint")));
  return page(t("quarantine.title"), h("p", { class: "lead" }, t("quarantine.lead")), counts, place);
}

/** Who changed what. */
export function audit({ signal }) {
  const place = h("div");
  paged(place, "/audit", signal, ["at", "who", "action", "target", "detail"], "audit", (one) => [
    moment(Date.parse(one.at), ZONE, 0, true), one.who, tOr(`action.${one.action}`, "action.other", { action: one.action }), h("code", {}, one.target),
    Object.entries(one.detail).map(([key, value]) => `${key}: ${typeof value === "object" ? JSON.stringify(value) : value}`).join(" · "),
  ], () => empty(t("audit.empty")));
  return page(t("audit.title"), h("p", { class: "lead" }, t("audit.lead")), place);
}

function page(title, ...content) {
  return { title, node: h("div", { class: "records" }, h("h1", { tabindex: "-1" }, title), content) };
}

/** A table that grows by a page at a time. */
function paged(place, address, signal, columns, texts, cells, nothing) {
  const body = h("tbody");
  const table = h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": t(`${texts}.title`) },
    h("table", { class: "table" }, h("thead", {}, h("tr", {}, columns.map((key) => h("th", { scope: "col" }, t(`${texts}.${key}`))))), body));
  const load = (before) =>
    into(place, () => get(address, { before_id: before, limit: 50 }, signal), ({ items, next }) => {
      body.append(...items.map((one) => h("tr", {}, cells(one).map((cell) => h("td", {}, cell)))));
      if (!body.childElementCount) return nothing();
      return [table, next && h("button", { class: "button", type: "button", on: { click: () => load(next) } }, t("state.more"))];
    });
  load(null);
}
