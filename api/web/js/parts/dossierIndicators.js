// How a dossier stands: the score, what is missing and what closes it, and every indicator with its evidence.

import { fill, h } from "../dom.js";
import { calendarDate, number } from "../format.js";
import { label, t } from "../i18n.js";
import { attachTo } from "./dossierFiles.js";
import { empty } from "./states.js";

/** Score, whether it is enough, and how many indicators are met. */
export function summary(tree) {
  const met = tree.indicators.filter((one) => one.outcome === "met").length;
  const applying = tree.indicators.filter((one) => one.outcome !== "not_applicable").length;
  const state = tree.passed ? "met" : "not_met";
  return h("div", { class: "dossier-score", data: { testid: "dossier-score", state } },
    h("p", { class: "big" }, h("span", { class: "big-number", data: { testid: "score" } }, number(tree.score, 1)), h("span", { class: "unit" }, ` / 100`)),
    h("div", {},
      h("p", {}, outcome(state, t(tree.passed ? "dossier.passed" : "dossier.not_passed"))),
      h("p", { class: "caption" }, t("dossier.met_of", { met, all: applying, pass: number(tree.pass_score) }))),
    h("meter", { min: 0, max: 100, low: tree.pass_score, value: tree.score, "aria-label": t("dossier.score") }),
    tree.indicative && h("p", { class: "caption" }, t("dossier.indicative")));
}

function outcome(state, words) {
  return h("span", { class: "outcome", data: { state } }, words);
}

/** What is open, the most important first. */
export function gaps(tree) {
  if (!tree.gaps.length) return empty(t("dossier.no_gaps"));
  return h("ol", { class: "gap-list", data: { testid: "gap-list" } }, tree.gaps.map((one) => h("li", { data: { testid: "gap", indicator: one.indicator } },
    h("p", {}, h("strong", {}, label(one.label)), " ", one.required && h("span", { class: "chip" }, t("dossier.required")), " ",
      h("span", { class: "caption" }, t("dossier.points", { n: number(one.points) }))),
    h("p", { class: "caption" }, label(one.reason_text)),
    h("p", {}, label(one.closing)))));
}

/** Every indicator, by groups; details open on demand. */
export function indicators(tree, context) {
  const groups = [...new Set(tree.indicators.map((one) => one.group))];
  return groups.map((group) => h("div", { class: "indicator-group" }, h("h3", {}, t(`dossier.group.${group}`)),
    tree.indicators.filter((one) => one.group === group).map((one) => indicator(one, context))));
}

function indicator(one, context) {
  const body = h("div", { class: "indicator-more" });
  const details = h("details", { class: "indicator", data: { testid: "indicator", indicator: one.id, state: one.outcome } },
    h("summary", {},
      h("span", { class: "indicator-name" }, label(one.label), " ", one.required && h("span", { class: "chip" }, t("dossier.required"))),
      h("span", { class: "indicator-value" }, label(one.value_text), h("span", { class: "caption" }, label(one.threshold_text))),
      outcome(one.outcome, t(`outcome.${one.outcome}`)),
      h("span", { class: "indicator-points" }, `${number(one.gained)}/${number(one.points)}`)),
    body);
  details.addEventListener("toggle", () => details.open && !body.childElementCount && fill(body, more(one, context)));
  return details;
}

function more(one, context) {
  const files = context.attached.filter((file) => one.attachments.includes(file.id));
  return [
    h("p", {}, label(one.reason_text)),
    one.note && h("p", { class: "caption" }, label(one.note)),
    one.closing && h("p", {}, h("strong", {}, t("dossier.closes")), " ", label(one.closing)),
    h("dl", { class: "facts" },
      pair(t("dossier.how"), label(one.what)),
      one.first && pair(t("dossier.over"), `${calendarDate(one.first, true)} – ${calendarDate(one.last, true)}`),
      one.completeness !== null && pair(t("dossier.completeness"), label(one.completeness_text)),
      one.counted !== null && pair(t("dossier.counted"), number(one.counted)),
      pair(t("dossier.origin"), origin(one.origin)),
      one.evidence.length > 0 && pair(t("dossier.evidence"), one.evidence.map((link, i) => [i ? " · " : "", h("a", { href: link.page }, label(link.label)), " (", h("a", { href: link.api, target: "_blank", rel: "noopener" }, t("dossier.data")), ")"])),
      files.length > 0 && pair(t("dossier.files"), files.map((file, i) => [i ? " · " : "", h("a", { href: `/api/v1${context.site}/dossier/attachments/${file.id}`, download: file.name }, file.name)]))),
    !context.isFrozen && attachTo(context, { indicator: one.id }),
  ];
}

function origin(one) {
  const words = one.project_default ? t("dossier.default") : [one.standard, one.clause !== "-" && one.clause].filter(Boolean).join(", ");
  return [words, one.changed ? ` · ${t("dossier.local")}` : "", ` · ${t(`checked.${one.verified}`)}`, h("span", { class: "caption" }, one.source)];
}

function pair(name, value) {
  return [h("dt", {}, name), h("dd", {}, value)];
}
