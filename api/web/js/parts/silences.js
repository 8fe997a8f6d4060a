// Times in which a quarter's alerts are not told.

import { get, send } from "../api.js";
import { now } from "../clock.js";
import { h } from "../dom.js";
import { moment } from "../format.js";
import { t, tOr } from "../i18n.js";
import { isOfficial, mayAcknowledge } from "../session.js";
import { midnight } from "../zone.js";
import { form, openDialog, rowButton } from "./dialog.js";
import { into, loading, toast } from "./states.js";

const HOUR_MS = 3600_000;
const KINDS = ["noise_window", "noise_night_max", "water_continuous", "water_leak", "water_meter_fault", "water_quarter_loss", "water_plan", "device_offline"];

/** Fill a place with the silences that concern a quarter. */
export function silenceList(place, site, signal) {
  const load = () => into(place, () => get("/silences", { site: site.name }, signal), ({ items }) => [
    items.length ? items.map((one) => row(one, site, load)) : h("p", { class: "caption" }, t("silence.none")),
    mayAcknowledge() && h("p", {}, rowButton(t("silence.add"), site.name, () => add(site, load), "add-silence")),
  ], loading(1));
  load();
}

function row(one, site, reload) {
  const what = one.rule_kind ? tOr(`rule.${one.rule_kind}.title`, "rule.other.title", { kind: one.rule_kind }) : t("silence.all_alerts");
  const lift = async () => {
    try {
      await send("DELETE", `/silences/${one.id}`);
      toast(t("silence.lifted"));
    } catch (error) {
      toast(error.message, "bad");
    }
    reload();
  };
  return h("p", { class: "past-row", data: { testid: "silence-row" } },
    h("strong", {}, [what, one.site ? "" : t("silence.everywhere")].filter(Boolean).join(" · ")),
    h("span", {}, `${moment(Date.parse(one.starts_at), site.timezone, now())} – ${moment(Date.parse(one.ends_at), site.timezone, now())}`),
    one.kind === "maintenance" && h("span", { class: "chip chip-plain" }, t("silence.maintenance")),
    one.repeat !== "once" && h("span", { class: "chip chip-plain" }, t(`silence.${one.repeat}`)),
    h("span", { class: "caption" }, `${one.reason} (${one.created_by})`),
    mayAcknowledge() && (one.site !== null || isOfficial()) && rowButton(t("silence.lift"), what, lift));
}

function add(site, reload) {
  const hours = (n) => [String(n), t("time.hours", { h: n })];
  const kinds = KINDS.map((kind) => [kind, t(`rule.${kind}.title`)]);
  openDialog(t("silence.add"), (close) => form({
    fields: [
      { key: "window", label: t("silence.what"), type: "select", value: "silence", options: [["silence", t("silence.silence")], ["maintenance", t("silence.maintenance_words")]] },
      { key: "span", label: t("silence.span"), type: "select", value: "4", options: [hours(1), hours(4), ["morning", t("silence.until_morning")], hours(24), hours(72)] },
      { key: "kind", label: t("silence.which"), type: "select", value: "", options: [["", t("silence.all_alerts")], ...kinds] },
      { key: "repeat", label: t("silence.repeat"), type: "select", value: "once", options: ["once", "daily", "weekly"].map((one) => [one, t(`silence.${one}`)]) },
      { key: "reason", label: t("silence.reason"), required: true, hint: t("silence.reason_hint") },
    ],
    button: t("silence.add"), cancel: close,
    submit: async ({ window, span, kind, repeat, reason }) => {
      const starts = now();
      const ends = span === "morning" ? midnight(site.timezone, starts) + 30 * HOUR_MS : starts + Number(span) * HOUR_MS;
      const times = { starts_at: new Date(starts).toISOString(), ends_at: new Date(ends).toISOString() };
      await send("POST", "/silences", { kind: window, site: site.name, rule_kind: kind || null, repeat, reason, ...times });
      toast(t("silence.added"));
      close();
      reload();
    },
  }));
}
