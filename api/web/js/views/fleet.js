// The fleet, for administrators: how each device is, and rollouts of its configuration.

import { get, send } from "../api.js";
import { h } from "../dom.js";
import { NONE, calendarDate, number } from "../format.js";
import { label, t } from "../i18n.js";
import { rowButton } from "../parts/dialog.js";
import { empty, into, loading, toast } from "../parts/states.js";
import { path } from "../router.js";

const COLUMNS = ["device", "attention", "version", "health", "outbox", "clock", "calibration", "configuration", "certificate"];
const ACTS = { running: ["pause", "back"], paused: ["resume", "back"], halted: ["resume", "back"], done: ["back"], rolled_back: [] };

/** #/fleet */
export function fleet({ signal }) {
  const place = h("div");
  const staged = h("div");
  const only = h("input", { type: "checkbox", checked: true, data: { testid: "fleet-attention" }, on: { change: () => load() } });
  const load = () => into(place, () => get("/fleet/devices", only.checked ? { attention: true } : {}, signal), ({ items }) => [items.length ? table(items) : empty(t("fleet.all_well"))], loading(5));
  const loadStaged = () => into(staged, () => get("/fleet/rollouts", {}, signal), ({ items }) => [items.length ? h("ul", { class: "setup-list" }, items.map((one) => rollout(one, loadStaged))) : empty(t("fleet.no_rollouts"))], loading(2));
  load();
  loadStaged();
  return {
    title: t("fleet.title"),
    node: h("div", { class: "records" }, h("h1", { tabindex: "-1" }, t("fleet.title")), h("p", { class: "lead" }, t("fleet.lead")),
      h("label", { class: "fleet-filter" }, only, t("fleet.only_attention")), place, h("h2", {}, t("fleet.rollouts")), staged),
  };
}

function table(items) {
  return h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": t("fleet.title") },
    h("table", { class: "table fleet-table" }, h("thead", {}, h("tr", {}, COLUMNS.map((key) => h("th", { scope: "col" }, t(`fleet.${key}`))))), h("tbody", {}, items.map(row))));
}

function row(one) {
  const state = one.last_seen === null ? "never_seen" : one.online ? "online" : "offline";
  const health = [one.temperature_c === null ? null : `${number(one.temperature_c, 0)} °C`, one.disk_free_mb === null ? null : t("fleet.free", { mb: number(one.disk_free_mb) })];
  return h("tr", { data: { testid: "fleet-device", device: `${one.site}/${one.name}` } },
    h("th", { scope: "row" }, h("a", { href: path("setup", one.site) }, `${label(one.site_label)} · ${label(one.label)}`), h("span", { class: "caption" }, `${one.site}/${one.name}`)),
    h("td", {}, h("span", { class: "online", data: { state } }, t(`device.state.${state}`)), h("span", { class: "caption" }, one.attention.map((why) => t(`fleet.why.${why}`)).join(t("fleet.comma")))),
    h("td", {}, one.version ?? NONE),
    h("td", {}, health.filter(Boolean).join(" · ") || NONE),
    h("td", {}, one.outbox_depth === null ? NONE : number(one.outbox_depth)),
    h("td", {}, one.clock_offset_s === null ? NONE : `${number(one.clock_offset_s, 1)} s`),
    h("td", {}, one.calibrated_at === null ? NONE : calendarDate(one.calibrated_at.slice(0, 10), true), one.drift_db === null ? null : h("span", { class: "caption" }, `${number(one.drift_db, 2)} dB`)),
    h("td", {}, configuration(one), one.config_error ? h("span", { class: "caption" }, one.config_error) : null),
    h("td", {}, one.certificate_ends === null ? NONE : calendarDate(one.certificate_ends.slice(0, 10), true)));
}

function configuration(one) {
  const runs = version(one.config_version);
  return one.config_wanted === null || one.config_wanted === one.config_version ? runs : t("fleet.wanted", { runs, wanted: version(one.config_wanted) });
}

function version(number) {
  return number === null ? NONE : number === 0 ? t("fleet.own") : String(number);
}

function rollout(one, reload) {
  const act = (what) => async () => {
    await send("POST", `/fleet/rollouts/${one.id}/${what}`);
    toast(t("form.saved"));
    reload();
  };
  const words = t("fleet.rollout", { id: one.id, version: one.version, wave: one.wave, waves: one.waves.length, healthy: one.healthy, reached: one.reached, failed: one.failed });
  return h("li", { data: { testid: "rollout", state: one.state } },
    h("strong", {}, t(`fleet.state.${one.state}`)), h("span", {}, words), why(one),
    h("span", { class: "row-buttons" }, ACTS[one.state].map((what) => rowButton(t(`fleet.act.${what}`), String(one.id), act(what), `rollout-${what}`))));
}

/** What the counts do not say: whom a halted rollout waits for, and in the server's words why one was taken back. */
function why(one) {
  if (one.state === "halted") return h("span", { class: "caption" }, t("fleet.waits_for", { missing: one.reached - one.healthy - one.failed }));
  return one.state === "rolled_back" ? h("span", { class: "caption", lang: "en" }, one.reason) : null;
}
