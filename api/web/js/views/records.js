// What officials look into: limits with their origin, the quarantine, the audit log.

import { get } from "../api.js";
import { fill, h } from "../dom.js";
import { level, moment, number } from "../format.js";
import { label, t, tOr } from "../i18n.js";
import { originMark } from "../parts/origin.js";
import { empty, failure, into, loading } from "../parts/states.js";

const ZONE = "Asia/Shanghai";

/** The limits in force, with standard, clause and how far they were checked. */
export function limits({ signal }) {
  const place = h("div");
  into(place, () => get("/standards", {}, signal), ({ items }) => families(items), loading(6));
  return page(t("limits.title"), h("p", { class: "lead" }, t("limits.lead")), place);
}

/** Rows by what they are about, each family to be opened; the first stands open. */
function families(items) {
  const groups = {};
  for (const one of items) (groups[one.id.split(".")[0]] ??= []).push(one);
  return Object.entries(groups).map(([key, rows]) => h("details", { class: "more", open: key === "gb3096", data: { testid: "presets", family: key } },
    h("summary", {}, `${label(rows[0].title)} · ${rows[0].project_default ? t("verified.project_default") : rows[0].standard} (${rows.length})`), presetTable(rows, key)));
}

function numbersOf({ kind, numbers: one, comparator }) {
  if (kind === "limit") return `${comparator === "<=" ? "≤" : comparator} ${level(one.value)} ${one.unit}`;
  if (kind === "number") return `${one.value} ${one.unit}`;
  if (kind === "quota") return `${one.lowest_lpd ?? ""}–${one.highest_lpd} L`;
  if (kind === "band_limit") return one.values.map((value, i) => `${one.centres_hz[i]} Hz ≤ ${value}`).join(" · ");
  if (kind === "tariff") return one.tiers.map((tier) => `${tier.up_to_m3 === null ? "…" : `≤ ${tier.up_to_m3} m³`}: ${Object.values(tier.parts).reduce((sum, part) => sum + part, 0).toFixed(2)} ${one.currency}`).join(" · ");
  if (kind === "surcharge") return one.steps.map((step) => `${step.up_to_share === null ? "…" : `≤ ${Math.round(step.up_to_share * 100)} %`}: +${Math.round(step.rate * 100)} %`).join(" · ");
  if (kind === "grade") return one.up_to.map((bound) => `≤ ${bound}`).join(" · ");
  return one.steps.map((step) => `${step.at_least}${step.at_most === null ? "+" : `–${step.at_most}`} dB: ${step.value}`).join(" · ");
}

function sourceOf(text) {
  return /^https?:/.test(text) ? h("a", { href: text, rel: "noopener noreferrer", target: "_blank" }, t("limits.link")) : text;
}

function presetTable(items, key) {
  const columns = ["what", "period", "value", "standard", "clause", "since", "until", "verified", "source"];
  return h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": `${t("limits.title")} ${key}` },
    h("table", { class: "table" }, h("thead", {}, h("tr", {}, columns.map((name) => h("th", { scope: "col" }, t(`limits.${name}`))))),
      h("tbody", {}, items.map((one) => h("tr", { data: { inForce: one.in_force ? "yes" : "no" } },
        h("th", { scope: "row" }, label(one.label), label(one.note) && h("span", { class: "caption" }, ` ${label(one.note)}`)), h("td", {}, one.numbers.period ? tOr(`period.${one.numbers.period}`, "period.any") : ""),
        h("td", {}, numbersOf(one)), h("td", {}, one.project_default ? t("verified.project_default") : one.standard), h("td", {}, one.clause), h("td", {}, one.valid_from),
        h("td", {}, one.valid_to ? `${one.valid_to}${one.in_force ? "" : ` · ${t("limits.superseded")}`}` : ""), h("td", {}, originMark(one)), h("td", { class: "caption" }, sourceOf(one.source)))))));
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
