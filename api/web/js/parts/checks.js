// Source checks: a suspect source on and off, and the record that goes into a case file.

import { get, send } from "../api.js";
import { now } from "../clock.js";
import { fill, h } from "../dom.js";
import { level, moment, percent } from "../format.js";
import { label, t } from "../i18n.js";
import { mayAcknowledge } from "../session.js";
import { form, openDialog, rowButton } from "./dialog.js";
import { instant, wallClock } from "./judgedDay.js";
import { facts, scrollTable } from "./lazy.js";
import { indicativeMark } from "./level.js";
import { origin, originMark } from "./origin.js";
import { into, loading, toast } from "./states.js";

const MINUTE_MS = 60_000;

/** Fill a place with a quarter's source checks. */
export function sourceChecks(place, site, signal) {
  const list = h("div");
  const load = () => into(list, () => get("/noise/checks", { site: site.name }, signal), ({ items }) => (items.length ? items.map((one) => row(one, site)) : h("p", { class: "caption" }, t("check.none"))), loading(2));
  fill(place, h("p", { class: "lead" }, t("check.lead")), list,
    mayAcknowledge() && h("p", {}, rowButton(t("check.add"), site.name, () => add(site, load), "add-check")));
  load();
}

function row(one, site) {
  return h("p", { class: "past-row", data: { testid: "check-row" } }, h("strong", {}, one.asked.suspect), h("span", {}, label(one.device_label)),
    h("span", { class: "caption" }, moment(Date.parse(one.made_at), site.timezone, 0)), h("span", { class: "chip chip-plain" }, t(`verdict.${one.result.verdict}`)),
    rowButton(t("check.record"), one.asked.suspect, () => show(one, site)));
}

/** The record, as it is put into a case file; it can be printed. */
function show(one, site) {
  const { asked, result } = one;
  const spans = (windows) => windows.map(([start, end]) => `${moment(Date.parse(start), site.timezone, 0, true)} – ${moment(Date.parse(end), site.timezone, 0, true)}`).join("; ");
  const db = (value) => (value === null ? null : `${level(value)} dB(A)`);
  openDialog(t("check.record"), () => h("article", { class: "record", data: { testid: "check-record" } },
    h("p", {}, h("strong", { class: "verdict" }, t(`verdict.${result.verdict}`)), " ", one.indicative && indicativeMark()),
    one.indicative && h("p", { class: "note" }, t("check.indicative")),
    facts([
      [t("check.number"), String(one.id)], [t("check.place"), `${label(one.site_label)} · ${label(one.device_label)}`], [t("check.suspect"), asked.suspect],
      [t("check.made"), `${moment(Date.parse(one.made_at), site.timezone, 0, true)} · ${one.made_by}`],
      [t("check.where"), t(`check.where.${asked.where}`)], [t("check.period"), t(`period.${result.period}`)],
      [t("check.on"), `${db(result.on_db)} (${spans(asked.on)}, ${percent(result.on.valid_share)})`],
      [t("check.off"), `${db(result.off_db)} (${spans(asked.off)}, ${percent(result.off.valid_share)})`],
      [t("check.difference"), `${level(result.difference_db)} dB`],
      [t("check.correction"), result.correction_db === null ? t("check.not_usable") : [`${result.correction_db} dB `, origin(result.correction_source)]],
      [t("check.result"), db(result.result_db)], [t("check.limit"), [db(result.limit_db), " ", origin(result.limit)]],
      [t("check.max"), result.max_limit && [`${db(result.max_db)} / ${db(result.max_limit.value)} · ${t(`verdict.${result.max_verdict}`)} `, originMark(result.max_limit)]],
      [t("check.calibration"), result.calibration ? moment(Date.parse(result.calibration.t), site.timezone, 0) : t("check.no_calibration")],
      [t("day.note"), asked.note],
    ]),
    result.bands?.length ? scrollTable(t("check.bands"), ["Hz", t("check.on"), t("check.off"), t("check.result"), t("check.limit"), t("day.verdict")],
      result.bands.map((band) => [String(band.centre_hz), level(band.on_db), level(band.off_db), band.result_db === null ? "–" : String(band.result_db), String(band.limit_db), t(`verdict.${band.verdict}`)])) : null,
    h("p", {}, h("button", { type: "button", class: "button", on: { click: () => print() } }, t("check.print")))));
}

function add(site, reload) {
  const at = (minutes) => wallClock(site, now() - minutes * MINUTE_MS);
  const time = (key, minutes) => ({ key, label: t(`check.${key}`), type: "datetime-local", required: true, value: at(minutes) });
  openDialog(t("check.add"), (close) => form({
    fields: [
      { key: "suspect", label: t("check.suspect"), required: true },
      { key: "device", label: t("patterns.device"), type: "select", value: site.levels[0]?.device, options: site.levels.map((one) => [one.device, label(one.label)]) },
      { key: "standard", label: t("limits.standard"), type: "select", value: "gb22337", options: [["gb22337", t("check.gb22337")], ["gb12348", t("check.gb12348")]] },
      { key: "zone_class", label: t("setup.zone"), type: "select", value: site.zone_class[0], options: ["0", "1", "2", "3", "4"].map((one) => [one, one]) },
      { key: "where", label: t("check.where"), type: "select", value: "boundary", options: ["boundary", "indoors_instead", "room_a", "room_b"].map((one) => [one, t(`check.where.${one}`)]) },
      time("on_from", 20), time("on_to", 15), time("off_from", 10), time("off_to", 5),
      { key: "night_noise", label: t("check.night_noise"), type: "select", value: "", options: [["", t("check.night.none")], ...["frequent", "occasional", "fluctuating"].map((one) => [one, t(`check.night.${one}`)])] },
      { key: "note", label: t("day.note") },
    ],
    button: t("check.add"), cancel: close,
    submit: async ({ on_from, on_to, off_from, off_to, night_noise, ...values }) => {
      const span = (start, end) => [{ start: instant(site, start), end: instant(site, end) }];
      const made = await send("POST", `/noise/checks?site=${site.name}`, { ...values, night_noise: night_noise || null, on: span(on_from, on_to), off: span(off_from, off_to) });
      toast(t("form.saved"));
      close();
      reload();
      show(made, site);
    },
  }));
}
