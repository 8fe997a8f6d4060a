// One date in full: its levels, the hours that do not count and why, and the verdict by each limit.

import { get, send } from "../api.js";
import { now } from "../clock.js";
import { fill, h } from "../dom.js";
import { calendarDate, level, moment, percent } from "../format.js";
import { label, t, tOr } from "../i18n.js";
import { isOfficial } from "../session.js";
import { fromLocal, toLocal } from "../zone.js";
import { form, openDialog, rowButton } from "./dialog.js";
import { scrollTable } from "./lazy.js";
import { indicativeMark } from "./level.js";
import { originMark } from "./origin.js";
import { into, loading, toast } from "./states.js";

const DAY_MS = 24 * 3600_000;
const REASONS = ["rain", "snow", "lightning", "wind", "other"];

/** Fill a place with a date's judgement; device and date can be chosen. */
export function judgedDay(place, site, signal) {
  const yesterday = new Date(toLocal(site.timezone, now()) - DAY_MS).toISOString().slice(0, 10);
  const device = h("select", { id: "day-device" }, site.levels.map((one) => h("option", { value: one.device }, label(one.label))));
  const date = h("input", { id: "day-date", type: "date", value: yesterday });
  const sheet = h("div");
  const left = h("div");
  const load = () => {
    into(sheet, () => get("/noise/day", { site: site.name, device: device.value, date: date.value }, signal), (answer) => judgement(answer, site), loading(5));
    into(left, () => get("/noise/exclusions", { site: site.name }, signal), (answer) => exclusions(answer, site, load), loading(1));
  };
  device.addEventListener("change", load);
  date.addEventListener("change", () => date.value && load());
  fill(place, h("p", { class: "lead" }, t("day.lead")),
    h("div", { class: "form-row" }, h("label", { for: "day-device" }, t("patterns.device")), device, h("label", { for: "day-date" }, t("day.date")), date),
    sheet, h("h3", {}, t("day.left_out")), left);
  load();
}

function judgement(answer, site) {
  const periods = [["period.day", answer.day], ["period.night", answer.night]];
  const columns = ["day.period", "LAeq", "L5", "L10", "L50", "L90", "L95", "SD", "LAFmax", "day.events", "day.hours", "day.valid"].map((key) => (key.includes(".") ? t(key) : key));
  const rows = periods.map(([key, one]) => [
    t(key), ...["laeq_db", "l5_db", "l10_db", "l50_db", "l90_db", "l95_db", "sd_db", "lafmax_db"].map((name) => level(one[name])),
    String(one.sound_events), `${one.hours_counted} / ${one.hours}`, percent(one.valid_share),
  ]);
  const findings = answer.findings.map((one) => [
    label(one.limit.label), `${one.limit.comparator === "<=" ? "≤" : one.limit.comparator} ${level(one.limit.value)} dB`,
    one.shown_db === null ? "–" : `${one.shown_db} dB`,
    h("strong", {}, t(`verdict.${one.verdict}`)), one.verdict === "incomplete" ? tOr(`why.${one.reason}`, "why.other", { reason: one.reason }) : "",
    [one.limit.project_default ? "" : one.limit.standard, " ", originMark(one.limit)],
  ]);
  const uncounted = [...answer.day.uncounted, ...answer.night.uncounted];
  return [
    h("p", {}, h("strong", {}, calendarDate(answer.date, true)), " ", answer.indicative && indicativeMark()),
    h("p", { class: "caption" }, t("day.night_belongs")),
    scrollTable(t("day.levels"), columns, rows),
    h("p", { class: "caption" }, `Ldn ${level(answer.ldn_db)} · Lden ${level(answer.lden_db)} · Lnight ${level(answer.lnight_db)} dB`),
    scrollTable(t("day.findings"), ["limits.what", "limits.value", "day.measured", "day.verdict", "day.reason", "limits.standard"].map((key) => t(key)), findings),
    uncounted.length ? h("p", { class: "caption" }, t("day.uncounted"), " ", uncounted.map((one) => `${moment(Date.parse(one.t), site.timezone, Date.parse(one.t))} ${tOr(`why.${one.reason}`, "why.other", { reason: one.reason })}`).join(" · ")) : null,
  ];
}

function exclusions(answer, site, reload) {
  const valid = answer.by_hand.filter((one) => one.revoked_at === null);
  const times = (one) => `${moment(Date.parse(one.starts_at), site.timezone, 0)} – ${moment(Date.parse(one.ends_at), site.timezone, 0)}`;
  const revoke = async (one) => {
    try {
      await send("DELETE", `/noise/exclusions/${one.id}`);
      toast(t("day.counts_again"));
    } catch (error) {
      toast(error.message, "bad");
    }
    reload();
  };
  const rows = [
    ...valid.map((one) => h("p", { class: "past-row", data: { testid: "exclusion-row" } }, h("strong", {}, t(`why.${one.reason}`)), h("span", {}, times(one)),
      h("span", { class: "caption" }, [one.source ?? t("day.whole_quarter"), one.note, one.created_by].filter(Boolean).join(" · ")),
      isOfficial() && rowButton(t("day.count_again"), times(one), () => revoke(one)))),
    ...answer.by_station.map((one) => h("p", { class: "past-row" }, h("strong", {}, t(`why.${one.reason}`)), h("span", {}, times(one)), h("span", { class: "caption" }, t("day.by_station")))),
  ];
  return [
    rows.length ? rows : h("p", { class: "caption" }, t("day.nothing_left_out")),
    isOfficial() && h("p", {}, rowButton(t("day.leave_out"), site.name, () => leaveOut(site, reload), "add-exclusion")),
  ];
}

/** A site's wall clock in the form of a datetime field, and back. */
export function wallClock(site, ms) {
  return new Date(toLocal(site.timezone, ms)).toISOString().slice(0, 16);
}

export function instant(site, text) {
  return new Date(fromLocal(site.timezone, Date.parse(`${text}:00Z`))).toISOString();
}

function leaveOut(site, reload) {
  openDialog(t("day.leave_out"), (close) => form({
    fields: [
      { key: "reason", label: t("day.reason"), type: "select", value: "rain", options: REASONS.map((one) => [one, t(`why.${one}`)]) },
      { key: "starts_at", label: t("day.from"), type: "datetime-local", required: true, value: wallClock(site, now() - 3600_000) },
      { key: "ends_at", label: t("day.to"), type: "datetime-local", required: true, value: wallClock(site, now()) },
      { key: "source", label: t("patterns.device"), type: "select", value: "", options: [["", t("day.whole_quarter")], ...site.levels.map((one) => [one.device, label(one.label)])] },
      { key: "note", label: t("day.note"), maxlength: 200 },
    ],
    button: t("day.leave_out"), cancel: close,
    submit: async (values) => {
      const times = { starts_at: instant(site, values.starts_at), ends_at: instant(site, values.ends_at) };
      await send("POST", `/noise/exclusions?site=${site.name}`, { ...values, ...times, source: values.source || null });
      toast(t("form.saved"));
      close();
      reload();
    },
  }));
}
