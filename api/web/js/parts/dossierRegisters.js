// What is entered by hand: the profile, the registers, and what a local rule changes.

import { send } from "../api.js";
import { h } from "../dom.js";
import { calendarDate, number, percent } from "../format.js";
import { label, t } from "../i18n.js";
import { isOffice, mayEdit } from "../session.js";
import { attachTo } from "./dossierFiles.js";
import { form, openDialog, rowButton } from "./dialog.js";
import { empty, toast } from "./states.js";

const options = (prefix, keys) => keys.map((key) => [key, t(`${prefix}.${key}`)]);
const TRI = () => [["", "–"], ["yes", t("dossier.yes")], ["no", t("dossier.no")]];
const TOPICS = ["noise", "water", "other"];

/** Fields of each register: [key, type, choices]; type ends in ! where it must be filled in. */
const FIELDS = {
  complaint: [["topic", "choice", TOPICS], ["received_on", "date!"], ["about", "area!", 500], ["place", "text", 120], ["handling", "area"], ["closed_on", "date"], ["satisfied", "tri"]],
  source: [["name", "text!", 120], ["source_kind", "choice", ["traffic", "construction", "commerce", "equipment", "social", "school", "other"]], ["distance_m", "number"], ["hours", "text", 120], ["limit_db", "number"], ["limit_basis", "text", 120], ["measure", "area"]],
  measure: [["topic", "choice", TOPICS], ["title", "text!", 120], ["state", "choice", ["planned", "running", "done"]], ["done_on", "date"], ["cost_yuan", "number"], ["effect", "area"]],
  rule: [["rule_kind", "choice", ["residents_pact", "no_horn_signs", "quiet_hours", "renovation", "water_saving", "other"]], ["title", "text!", 120], ["adopted_on", "date"], ["displayed", "check"], ["content", "area"]],
  appliance: [["appliance", "choice", ["tap", "shower", "toilet", "urinal", "washing_machine", "irrigation", "other"]], ["place", "choice", ["household", "public"]], ["total", "number!"], ["efficient", "number!"], ["basis", "text", 200]],
};
const PROFILE = [
  ["households", "number"], ["persons", "number"], ["land_m2", "number"], ["floor_m2", "number"], ["green_share", "percent"],
  ["closed_quarter", "tri"], ["waste_daily", "tri"], ["contact_office", "text", 120], ["complaint_phone", "text", 40],
  ["no_complaints", "tri"], ["no_sources", "tri"], ["public_uses", "number"], ["public_metered", "number"],
  ["green_water_m3", "number"], ["green_unconventional_m3", "number"],
];

function asField(prefix, [key, type, extra], value) {
  const kind = type.replace("!", "");
  const base = { key, label: t(`${prefix}.${key}`), required: type.endsWith("!"), maxlength: typeof extra === "number" ? extra : undefined };
  if (kind === "choice") return { ...base, type: "select", value: value ?? extra[0], options: options("word", extra) };
  if (kind === "tri") return { ...base, type: "select", value: value === null || value === undefined ? "" : value ? "yes" : "no", options: TRI() };
  if (kind === "percent") return { ...base, type: "number", min: 0, max: 100, value: value === null || value === undefined ? "" : Math.round(value * 1000) / 10 };
  if (kind === "number") return { ...base, type: "number", min: 0, value };
  return { ...base, type: kind, value };
}

/** Turn what a form gives into what the API takes: nothing entered is null. */
function asValue(type, value) {
  switch (type.replace("!", "")) {
    case "tri": return value === "" ? null : value === "yes";
    case "date": return value === "" ? null : value;
    case "percent": return value === null ? null : value / 100;
    default: return value;
  }
}

function values(fields, given) {
  return Object.fromEntries(fields.map(([key, type]) => [key, asValue(type, given[key])]));
}

/** The quarter's profile. */
export function profile({ site, kept, reload }) {
  const shown = PROFILE.filter(([key]) => kept.data[key] !== null && kept.data[key] !== "");
  const change = () => openDialog(t("dossier.profile"), (close) => form({
    fields: PROFILE.map((one) => asField("profile", one, kept.data[one[0]])), button: t("form.save"), cancel: close, testid: "profile-form",
    submit: async (given) => {
      await send("PUT", `${site}/dossier/profile?expected_version=${kept.version}`, values(PROFILE, given));
      close();
      toast(t("form.saved"));
      await reload();
    },
  }));
  return [
    shown.length ? h("dl", { class: "facts" }, shown.map(([key, type]) => [h("dt", {}, t(`profile.${key}`)), h("dd", {}, words(type, kept.data[key]))])) : empty(t("dossier.profile_empty")),
    mayEdit() && h("p", {}, h("button", { type: "button", class: "button", data: { testid: "change-profile" }, on: { click: change } }, t("form.change"))),
  ];
}

function words(type, value) {
  if (value === null || value === undefined || value === "") return "–";
  if (typeof value === "boolean") return t(value ? "dossier.yes" : "dossier.no");
  if (type === "percent") return percent(value);
  if (type.startsWith("date")) return calendarDate(value, true);
  if (type === "choice") return t(`word.${value}`);
  return typeof value === "number" ? number(value, Number.isInteger(value) ? 0 : 1) : value;
}

/** The registers of the programme. */
export function registers(context) {
  return context.tree.registers.map((one) => register(one, context));
}

function register(one, context) {
  const entries = context.entries.filter((entry) => entry.kind === one.kind);
  return h("div", { class: "register", data: { testid: "register", kind: one.kind } },
    h("h3", {}, label(one.title)),
    entries.length ? h("ul", { class: "entries" }, entries.map((entry) => row(entry, context))) : empty(t("dossier.register_empty")),
    mayEdit() && h("p", {}, h("button", { type: "button", class: "button", data: { testid: `add-${one.kind}` }, on: { click: () => edit(one.kind, null, label(one.title), context) } }, t(`dossier.add.${one.kind}`))));
}

function row(entry, context) {
  const fields = FIELDS[entry.kind];
  const name = entry.data.title || entry.data.name || entry.data.about || t(`word.${entry.data.appliance}`);
  const files = context.attached.filter((file) => file.entry === entry.id);
  const shown = fields.filter(([key]) => entry.data[key] !== null && entry.data[key] !== "" && entry.data[key] !== name);
  return h("li", { class: "entry", data: { testid: "entry", entry: entry.id } },
    h("p", {}, h("strong", {}, name)),
    h("dl", { class: "facts" }, shown.map(([key, type]) => [h("dt", {}, t(`${entry.kind}.${key}`)), h("dd", {}, words(type, entry.data[key]))]),
      files.length > 0 && [h("dt", {}, t("dossier.files")), h("dd", {}, files.map((file, i) => [i ? " · " : "", h("a", { href: `/api/v1${context.site}/dossier/attachments/${file.id}`, download: file.name }, file.name)]))]),
    mayEdit() && h("div", { class: "row-buttons" }, rowButton(t("form.change"), name, () => edit(entry.kind, entry, name, context)),
      rowButton(t("dossier.remove"), name, () => remove(entry, name, context)), attachTo(context, { entry: entry.id }, name)));
}

function edit(kind, entry, title, { site, reload }) {
  const fields = FIELDS[kind];
  openDialog(title, (close) => form({
    fields: fields.map((one) => asField(kind, one, entry?.data[one[0]])), button: t("form.save"), cancel: close, testid: "entry-form",
    submit: async (given) => {
      const body = { kind, ...values(fields, given) };
      if (entry) await send("PUT", `${site}/dossier/entries/${entry.id}?expected_version=${entry.version}`, body);
      else await send("POST", `${site}/dossier/entries`, body);
      close();
      toast(t("form.saved"));
      await reload();
    },
  }));
}

function remove(entry, name, { site, reload }) {
  openDialog(t("dossier.remove"), (close) => form({
    fields: [], button: t("dossier.remove_now", { name }), cancel: close,
    submit: async () => {
      await send("DELETE", `${site}/dossier/entries/${entry.id}`);
      close();
      await reload();
    },
  }));
}

/** For the offices: another threshold, other points, or that an indicator does not apply, by a local rule. */
export function localRule(context) {
  if (!isOffice()) return null;
  return h("p", {}, h("button", { type: "button", class: "button", data: { testid: "local-rule" }, on: { click: () => changeRule(context) } }, t("dossier.local_rule")));
}

function changeRule({ tree, kept, site, programme, reload }) {
  const own = kept.local_rules[programme] ?? {};
  const [first] = tree.indicators;
  openDialog(t("dossier.local_rule"), (close) => form({
    fields: [
      { key: "indicator", label: t("dossier.indicator"), type: "select", value: first.id, options: tree.indicators.map((one) => [one.id, label(one.label)]) },
      { key: "standard", label: t("dossier.rule_name"), required: true, maxlength: 120, hint: t("dossier.rule_hint") },
      { key: "value", label: t("dossier.rule_value"), type: "number", hint: t("dossier.rule_value_hint") },
      { key: "points", label: t("dossier.rule_points"), type: "number", min: 0, max: 100 },
      { key: "applies", label: t("dossier.rule_applies"), type: "check", value: true },
      { key: "back", label: t("dossier.rule_back"), type: "check", value: false },
    ],
    button: t("form.save"), cancel: close, testid: "rule-form",
    submit: async ({ indicator, back, ...given }) => {
      const overrides = { ...own, [indicator]: given };
      if (back) delete overrides[indicator];
      await send("PUT", `${site}/dossier/local-rules/${programme}?expected_version=${kept.version}`, { overrides });
      close();
      toast(t("form.saved"));
      await reload();
    },
  }));
}
