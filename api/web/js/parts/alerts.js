// Alerts as people read them: what, where, since when, what to do; and "I'm on it".

import { now } from "../clock.js";
import { fill, h } from "../dom.js";
import { duration, level, moment, number } from "../format.js";
import { label, t, tOr } from "../i18n.js";
import { path } from "../router.js";
import { acknowledgeSoon, isWaiting } from "../outbox.js";
import { mayAcknowledge } from "../session.js";
import { icon } from "./icons.js";
import { indicativeMark } from "./level.js";
import { toast } from "./states.js";

/** What happened, in a few words. */
export function alertTitle(alert) {
  return tOr(`rule.${alert.rule_kind}.title`, "rule.other.title", { kind: alert.rule_kind });
}

/** The picture of what an alert is about. */
export function alertIcon(alert) {
  return { dB: "sound", "L/h": "drop", min: "device" }[alert.unit] ?? "bell";
}

/** What to do about it: sentences. */
export function alertAdvice(alert) {
  const text = tOr(`rule.${alert.rule_kind}.advice`, "rule.other.advice");
  return text.split("\n");
}

/** The value against its limit, in words. */
export function alertValue(alert) {
  if (alert.value === null) return "";
  if (alert.unit === "dB") {
    return t("alert.value_db", { value: level(alert.value), limit: level(alert.limit), peak: level(alert.peak_value) });
  }
  if (alert.unit === "L/h") return t("alert.value_flow", { value: number(alert.value, 1) });
  if (alert.unit === "min") return t("alert.value_away", { span: duration(alert.value * 60_000) });
  return `${number(alert.value, 1)} ${alert.unit}`;
}

/** When it began: of flowing water, since when it has flowed as well as can be told. */
export function alertBegin(alert) {
  return Date.parse(alert.detail?.since ?? alert.firing_since ?? alert.pending_since);
}

/** One open alert. `timezone` is the site's, `changed` is called with the new alert after an acknowledgement. */
export function alertRow(alert, { timezone = "Asia/Shanghai", showSite = true, changed = () => {} } = {}) {
  const begin = alertBegin(alert);
  const where = [showSite && label(alert.site_label), label(alert.source_label)].filter(Boolean).join(" · ");
  return h(
    "article",
    { class: "alert", data: { testid: "alert-row", state: alert.state, alert: alert.id } },
    h(
      "div",
      { class: "alert-head" },
      icon(alertIcon(alert)),
      h("h3", {}, h("a", { href: path("alerts", alert.id) }, alertTitle(alert))),
      alertState(alert),
    ),
    h("p", { class: "alert-where" }, where),
    h("p", { class: "alert-value" }, alertValue(alert), " ", alert.indicative && indicativeMark()),
    h(
      "p",
      { class: "alert-since" },
      t("alert.since", { time: moment(begin, timezone, now()), span: duration(now() - begin) }),
      alert.no_data && h("span", { class: "chip chip-plain" }, t("alert.no_data")),
      alert.acknowledged_by && h("span", {}, t("alert.by", { who: alert.acknowledged_by })),
    ),
    alert.can_acknowledge && mayAcknowledge() && acknowledgement(alert, changed),
  );
}

/** The state of an alert in a word. */
export function alertState(alert) {
  return h("span", { class: "alert-state", data: { state: alert.state } }, t(`alert.state.${alert.state}`));
}

/** One tap to take an alert up, and a note for who wants to leave one. */
export function acknowledgement(alert, changed) {
  const place = h("div", { class: "ack" });
  const wait = () => fill(place, h("p", { class: "ack-waiting", data: { testid: "ack-waiting" } }, icon("check"), t("alert.waiting")));
  if (isWaiting(alert.id)) return wait();
  const note = h("textarea", {
    id: `note-${alert.id}`, rows: 2, maxlength: 180, placeholder: t("alert.note_hint"), data: { testid: "ack-note" },
  });
  const noteRow = h("div", { class: "ack-note", hidden: true }, h("label", { for: `note-${alert.id}` }, t("alert.note")), note);
  const act = h("button", { class: "button button-main", type: "button", data: { testid: "ack-button" } }, icon("check"),
    t("alert.acknowledge"), h("span", { class: "spoken" }, `${alertTitle(alert)}, ${label(alert.source_label)}`));
  const more = h("button", { class: "button button-quiet", type: "button", "aria-expanded": "false", data: { testid: "ack-note-toggle" } },
    icon("note"), t("alert.add_note"));
  more.addEventListener("click", () => {
    noteRow.hidden = !noteRow.hidden;
    more.setAttribute("aria-expanded", String(!noteRow.hidden));
    if (!noteRow.hidden) note.focus();
  });
  act.addEventListener("click", async () => {
    act.disabled = more.disabled = true;
    try {
      const answer = await acknowledgeSoon(alert.id, note.value.trim() || null);
      toast(t(answer ? "alert.acknowledged" : "alert.waiting", { what: alertTitle(alert) }));
      if (answer) changed(answer);
      else wait();
    } catch (error) {
      toast(error.message, "bad");
      act.disabled = more.disabled = false;
      if (error.status === 409) changed(null);
    }
  });
  return fill(place, h("div", { class: "ack-buttons" }, act, more), noteRow);
}
