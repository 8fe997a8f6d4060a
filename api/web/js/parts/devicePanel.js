// Devices of a quarter and how they are.

import { get } from "../api.js";
import { now, refreshMs } from "../clock.js";
import { every, fill, h } from "../dom.js";
import { ago, number } from "../format.js";
import { label, t } from "../i18n.js";
import { live } from "../live.js";
import { empty, failure, loading } from "./states.js";

/** The devices part of a quarter's page. */
export function devicePanel(site, { signal }) {
  const place = h("div", { class: "devices", data: { testid: "devices" } }, loading(3));
  const load = async () => {
    try {
      const [{ items }, calibrated] = await Promise.all([
        get(`/sites/${site.name}/devices`, {}, signal),
        get(`/sites/${site.name}/calibrations`, {}, signal).catch(() => null), // the store may be away
      ]);
      const calibrations = new Map((calibrated?.items ?? []).map((one) => [one.device, one]));
      fill(place, items.length ? table(items, calibrations) : empty(t("device.none")));
    } catch (error) {
      if (error.name !== "AbortError") fill(place, failure(error, load));
    }
  };
  live.addEventListener("device", (event) => event.detail.site === site.name && load(), { signal });
  every(refreshMs(30, 8), signal, load);
  load();
  return { node: place };
}

function table(items, calibrations) {
  const columns = ["device", "state", "seen", "calibrated", "outbox", "clock", "temperature", "disk", "version"];
  return h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": t("device.title") },
    h("table", { class: "table device-table" },
      h("thead", {}, h("tr", {}, columns.map((key) => h("th", { scope: "col" }, t(`device.${key}`))))),
      h("tbody", {}, items.map((one) => row(one, calibrations.get(one.name))))));
}

function calibrated(one, found) {
  if (one.kind === "gateway" || !found) return "–";
  if (found.t === null) return t("device.never_calibrated");
  const drift = found.drift_db === null ? "" : ` · ${t("device.drift", { db: number(found.drift_db, 1) })}`;
  return (found.age_days ? t("device.days_ago", { days: number(found.age_days) }) : t("water.today")) + drift;
}

function row(one, calibration) {
  const { health } = one;
  const seen = health.last_seen ? ago(Date.parse(health.last_seen), now()) : "–";
  const clock = health.clock_synced === false ? t("device.unsynced") : health.clock_offset_ms === null ? "–" : `${number(health.clock_offset_ms, 0)} ms`;
  return h("tr", { data: { device: one.name } },
    h("th", { scope: "row" }, label(one.label), h("span", { class: "caption" }, [t(`device.kind.${one.kind}`), one.meters.length ? t("device.meters", { n: one.meters.length }) : "", one.kind !== "gateway" && one.indicative ? t("level.indicative") : ""].filter(Boolean).join(" · "))),
    h("td", {}, h("span", { class: "online", data: { state: one.enabled ? health.state : "disabled" } }, t(`device.state.${one.enabled ? health.state : "disabled"}`))),
    h("td", {}, seen),
    h("td", { data: { testid: "device-calibration" } }, calibrated(one, calibration)),
    h("td", {}, health.outbox_depth === null ? "–" : outbox(health)),
    h("td", {}, clock),
    h("td", {}, health.temperature_c === null ? "–" : `${number(health.temperature_c, 0)} °C`),
    h("td", {}, health.disk_free_mb === null ? "–" : t("device.free", { gb: number(health.disk_free_mb / 1024, 1) })),
    h("td", {}, health.version ?? "–"));
}

function outbox(health) {
  if (!health.outbox_oldest_t || health.outbox_depth < 120) return number(health.outbox_depth);
  return `${number(health.outbox_depth)} · ${t("device.oldest", { span: ago(Date.parse(health.outbox_oldest_t), now()) })}`;
}
