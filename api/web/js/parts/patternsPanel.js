// What many hours of a device look like: the year, the day, the spectrum; and what happened at the devices.

import { get } from "../api.js";
import { now } from "../clock.js";
import { fill, h } from "../dom.js";
import { level, moment, number } from "../format.js";
import { label, t } from "../i18n.js";
import { go, path } from "../router.js";
import { toLocal } from "../zone.js";
import { calendar, daysTable } from "./calendar.js";
import { indicativeMark } from "./level.js";
import { empty, into, loading } from "./states.js";

const YEAR_DAYS = 365;
const EVENTS = 40;

/** The patterns part of a quarter's page; it loads when it is seen. */
export function patternsPanel(site, { device, signal }) {
  const place = h("div", { class: "patterns", data: { testid: "patterns" } });
  const levels = site.levels;
  if (!levels.length) return { node: empty(t("noise.no_devices")), choose() {} };
  let mine = null;
  const show = (name) => {
    mine?.abort();
    mine = new AbortController();
    signal.addEventListener("abort", () => mine.abort(), { signal: mine.signal });
    render(place, site, levels.find((one) => one.device === name) ?? levels[0], mine.signal, show);
  };
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some((one) => one.isIntersecting)) return;
    observer.disconnect();
    show(device ?? levels[0].device);
  }, { rootMargin: "300px" });
  observer.observe(place);
  signal.addEventListener("abort", () => observer.disconnect());
  return { node: place };
}

function render(place, site, one, signal, choose) {
  const select = h("select", { id: "patterns-device", on: { change: () => choose(select.value) } },
    site.levels.map((item) => h("option", { value: item.device, selected: item.device === one.device }, label(item.label))));
  const blocks = {
    year: h("div", { class: "year" }, loading(1, "chart")),
    profile: h("div", {}, loading(1, "chart")),
    spectrum: h("div", {}, loading(1, "chart")),
    events: h("div", {}, loading(3)),
  };
  fill(place,
    h("div", { class: "patterns-head" }, h("label", { for: "patterns-device" }, t("patterns.device")), select, one.indicative && indicativeMark()),
    h("div", {}, h("h3", {}, t("calendar.title")), blocks.year),
    h("div", { class: "patterns-two" },
      h("div", {}, h("h3", {}, t("profile.title")), blocks.profile),
      h("div", {}, h("h3", {}, t("spectrum.title")), blocks.spectrum)),
    h("div", {}, h("h3", {}, t("events.title")), blocks.events));
  const here = { site: site.name, device: one.device };
  const today = new Date(toLocal(site.timezone, now())).toISOString().slice(0, 10);
  const first = new Date(Date.parse(today) - (YEAR_DAYS - 1) * 86_400_000).toISOString().slice(0, 10);
  into(blocks.year, () => get("/noise/days", { ...here, first, last: today }, signal), (answer) => year(answer, site, one));
  into(blocks.profile, () => get("/noise/profile", here, signal), (answer) => profile(answer, signal));
  into(blocks.spectrum, () => get("/noise/spectrum", here, signal), (answer) => spectrum(answer, signal));
  into(blocks.events, () => get(`/sites/${site.name}/events`, { limit: EVENTS }, signal), (answer) => events(answer, site));
}

function year(answer, site, one) {
  const known = answer.days.some((day) => day.day.laeq_db !== null || day.night.laeq_db !== null);
  if (!known) return empty(t("calendar.empty"), t("calendar.empty_hint"));
  return [
    calendar(answer, (date) => {
      go(path("site", site.name, "noise", one.device, `day-${date}`));
      document.getElementById("part-noise")?.scrollIntoView();
    }),
    h("details", { class: "more" }, h("summary", {}, t("calendar.table")), daysTable(answer)),
  ];
}

function profile(answer, signal) {
  if (![...answer.workdays, ...answer.restdays].some((one) => one.hours)) return empty(t("profile.empty"));
  const loud = answer.workdays.reduce((best, one) => ((one.laeq_db ?? -1) > (best.laeq_db ?? -1) ? one : best));
  const quiet = answer.workdays.reduce((best, one) => ((one.laeq_db ?? 999) < (best.laeq_db ?? 999) ? one : best));
  const words = t("profile.words", { loud: loud.hour, loud_db: level(loud.laeq_db), quiet: quiet.hour, quiet_db: level(quiet.laeq_db) });
  return picture("profile-chart", words, async (node) => (await import("../charts/profileChart.js")).profileChart(node, signal, answer));
}

function spectrum(answer, signal) {
  if (!answer.bands.length) return empty(t("spectrum.empty"));
  const loudest = answer.bands.reduce((best, one) => (one.leq_db > best.leq_db ? one : best));
  const words = t("spectrum.words", { minutes: answer.minutes, hz: number(loudest.nominal_hz, loudest.nominal_hz % 1 ? 1 : 0), db: level(loudest.leq_db) });
  return picture("spectrum-chart", words, async (node) => (await import("../charts/spectrumChart.js")).spectrumChart(node, signal, answer));
}

function picture(testid, words, draw) {
  const node = h("div", { class: "chart chart-small", role: "img", "aria-label": words, data: { testid } });
  requestAnimationFrame(async () => {
    await draw(node);
    node.dataset.ready = "yes";
  });
  return [node, h("p", { class: "caption" }, words)];
}

function events({ items }, site) {
  if (!items.length) return empty(t("events.empty"));
  return h("div", { class: "table-scroll hours-scroll", tabindex: "0", role: "region", "aria-label": t("events.title") },
    h("table", { class: "table", data: { testid: "events" } },
      h("thead", {}, h("tr", {}, ["time", "device", "kind", "detail"].map((key) => h("th", { scope: "col" }, t(`events.${key}`))), h("th", { scope: "col" }, h("span", { class: "spoken" }, t("events.jump"))))),
      h("tbody", {}, items.map((one) => row(one, site)))));
}

function row(one, site) {
  const device = site.levels.find((item) => item.device === one.device);
  const at = Date.parse(one.t);
  return h("tr", {},
    h("th", { scope: "row" }, moment(at, site.timezone, now(), true)), h("td", {}, label(one.device_label)), h("td", {}, label(one.label)), h("td", {}, detail(one)),
    h("td", {}, device && h("a", { href: path("site", site.name, "noise", one.device, `at-${at}`) }, t("events.jump"))));
}

function detail({ kind, detail: values }) {
  if (kind === "sound_event") {
    return t("events.sound", { seconds: number(values.duration_s, 1), max: level(values.lafmax_db), background: level(values.background_db) });
  }
  return Object.entries(values).filter(([key, value]) => key !== "boot_id" && ["string", "number", "boolean"].includes(typeof value)).map(([key, value]) => `${key} ${value}`).join(" · ");
}
