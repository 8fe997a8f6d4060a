// Rules of a quarter, and times in which its alerts are not told.

import { get, send } from "../api.js";
import { h } from "../dom.js";
import { duration, moment, number } from "../format.js";
import { t, tOr } from "../i18n.js";
import { isOfficial } from "../session.js";
import { form, openDialog, rowButton } from "./dialog.js";
import { silenceList } from "./silences.js";
import { empty, into, loading, toast } from "./states.js";
import { trialPlace } from "./trial.js";

const NOT_SHOWN = ["severity", "escalate", "roles"];

/** Rules and silences, loaded when somebody opens them. */
export function rulesPanel(site, signal) {
  const rules = h("div", { class: "rules" });
  const silences = h("div", { class: "silences" });
  const load = () => into(rules, () => get("/rules", { site: site.name }, signal), ({ items }) => [
    items.length ? items.map((one) => ruleRow(one, load, site.timezone)) : empty(t("rules.none")),
    items.length > 0 && isOfficial() && h("p", {}, rowButton(t("rules.add"), site.name, () => addRule(site, items, load), "add-rule")),
  ], loading(3));
  const node = h("details", { class: "more", data: { testid: "rules" } }, h("summary", {}, t("rules.title")), rules, h("h3", {}, t("silence.title")), silences);
  node.addEventListener("toggle", () => {
    if (!node.open || rules.childElementCount) return;
    load();
    silenceList(silences, site, signal);
  });
  return node;
}

/** The name of a kind of rule. */
export function ruleTitle(kind) {
  return tOr(`rule.${kind}.title`, "rule.other.title", { kind });
}

function ruleRow(one, reload, timezone) {
  return h("div", { class: "rule", data: { testid: "rule-row", kind: one.kind } },
    h("p", { class: "rule-head" }, h("strong", {}, ruleTitle(one.kind)),
      h("span", { class: one.enabled ? "chip" : "chip chip-plain" }, t(one.enabled ? "rules.on" : "rules.off")),
      isOfficial() && rowButton(t("form.change"), ruleTitle(one.kind), () => changeRule(one, reload, timezone))),
    h("p", { class: "caption" }, shownParams(one)));
}

function shownParams({ params, changed }) {
  return Object.entries(params)
    .filter(([key]) => !NOT_SHOWN.includes(key))
    .map(([key, value]) => `${paramLabel(key)} ${paramWords(key, value)}${changed.includes(key) ? ` (${t("rules.changed")})` : ""}`)
    .join(" · ");
}

function paramLabel(key) {
  return tOr(`param.${key}`, "param.other", { key });
}

function paramWords(key, value) {
  if (key.endsWith("_s")) return duration(value * 1000);
  if (key.endsWith("_db")) return `${number(value, 1)} dB`;
  if (key.endsWith("_share")) return `${Math.round(value * 100)} %`;
  return String(value);
}

/** Fields from the JSON Schema of a rule's parameters: seconds as minutes, shares as per cent. */
function fieldsOf({ params_schema: schema, params }) {
  const shape = schema.$defs?.[schema.$ref?.split("/").at(-1)] ?? schema;
  return Object.entries(shape.properties ?? {}).map(([key, one]) => fieldOf(key, one, params[key]));
}

function fieldOf(key, one, value) {
  const label = paramLabel(key);
  if (one.enum) return { key, label, type: "select", value, options: one.enum.map((item) => [item, tOr(`severity.${item}`, "param.other", { key: item })]) };
  if (one.type === "boolean") return { key, label, type: "check", value };
  if (one.type === "array") return { key, label, type: "checks", value, options: (one.items?.enum ?? []).map((item) => [item, tOr(`meter_role.${item}`, "param.other", { key: item })]) };
  if (one.type !== "number" && one.type !== "integer") return { key, label, value };
  const scale = scaleOf(key);
  const bound = (limit) => (limit === undefined ? null : limit * scale);
  return { key, label: `${label} (${unitOf(key)})`, type: "number", required: true, min: bound(one.minimum), max: bound(one.maximum), value: rounded(value * scale) };
}

function scaleOf(key) {
  if (key.endsWith("_s")) return 1 / 60;
  return key.endsWith("_share") ? 100 : 1;
}

function unitOf(key) {
  if (key.endsWith("_s")) return t("rules.minutes");
  if (key.endsWith("_share")) return "%";
  return key.endsWith("_db") ? "dB" : key.split("_").at(-1);
}

function rounded(value) {
  return Math.round(value * 1e6) / 1e6;
}

/** One more rule of a kind that the quarter has: the same parameters, to be changed before it is switched on. */
function addRule(site, items, reload) {
  const kinds = [...new Map(items.map((one) => [one.kind, one])).values()];
  openDialog(t("rules.add"), (close) => form({
    fields: [{ key: "kind", label: t("rules.kind"), type: "select", value: kinds[0].kind, options: kinds.map((one) => [one.kind, ruleTitle(one.kind)]) },
      { key: "note", label: t("rules.note"), hint: t("rules.note_hint") }],
    button: t("rules.add"), cancel: close,
    submit: async ({ kind, note }) => {
      const made = await send("POST", "/rules", { site: site.name, kind, note, enabled: false });
      close();
      reload();
      changeRule(made, reload, site.timezone);
    },
  }));
}

function versions(one, timezone) {
  const place = h("div");
  const node = h("details", { class: "more" }, h("summary", {}, t("rules.history")), place);
  node.addEventListener("toggle", () => node.open && !place.childElementCount && into(place, () => get(`/rules/${one.id}/history`), ({ items }) => items.toReversed().map((item) =>
    h("p", { class: "caption" }, [`${item.version}`, moment(Date.parse(item.at), timezone, 0), item.who, t(item.enabled ? "rules.on" : "rules.off"), Object.entries(item.params).map(([key, value]) => `${paramLabel(key)} ${paramWords(key, value)}`).join(", "), item.note].filter(Boolean).join(" · "))), loading(1)));
  return node;
}

function changeRule(one, reload, timezone) {
  const enabled = { key: "enabled", label: t("rules.enabled"), type: "check", value: one.enabled };
  const note = { key: "note", label: t("rules.note"), hint: t("rules.note_hint") };
  const paramsOf = ({ enabled: _on, note: _why, ...values }) => Object.fromEntries(Object.entries(values).map(([key, value]) => [key, back(key, value)]));
  openDialog(ruleTitle(one.kind), (close) => [form({
    fields: [enabled, ...fieldsOf(one), note], button: t("form.save"), cancel: close,
    more: one.can_be_tried ? (read) => trialPlace(one, timezone, () => paramsOf(read())) : null,
    submit: async ({ enabled: on, note: why, ...values }) => {
      const params = paramsOf(values);
      await send("PATCH", `/rules/${one.id}`, { enabled: on, note: why, params, expected_version: one.version });
      toast(t("form.saved"));
      close();
      reload();
    },
  }), versions(one, timezone)]);
}

function back(key, value) {
  if (typeof value !== "number") return value;
  return key.endsWith("_s") ? Math.round(value / scaleOf(key)) : rounded(value / scaleOf(key));
}
