// Noise of a quarter: its devices now, and the course of one of them.

import { fileAddress, get } from "../api.js";
import { clockSpeed, now, refreshMs } from "../clock.js";
import { every, fill, h, setText } from "../dom.js";
import { level, moment, percent } from "../format.js";
import { label, t } from "../i18n.js";
import { latestLevels, live } from "../live.js";
import { path, rewrite } from "../router.js";
import { fromLocal } from "../zone.js";
import { indicativeMark, levelBar, liveLevel, marginWords, stateMark } from "./level.js";
import { Strip } from "./sparkline.js";
import { empty, failure, loading } from "./states.js";

const HOUR_S = 3600;
/** Ranges: how long, and how often the chart is asked for anew. */
const RANGES = { live: [10 * 60, 0], "1h": [HOUR_S, 10], "6h": [6 * HOUR_S, 30], "24h": [24 * HOUR_S, 60], "7d": [7 * 24 * HOUR_S, 300] };
const STRIP_S = 300;

/** The noise part of a quarter's page. It has node and take(site). */
export function noisePanel(site, { device, range, signal }) {
  const state = {
    site, signal, rows: new Map(), range: range in RANGES ? range : "24h", fixed: fixedRange(range, site.timezone),
    device: site.levels.some((one) => one.device === device) ? device : (site.worst?.device ?? site.levels[0]?.device ?? null),
  };
  if (!state.device) return { node: empty(t("noise.no_devices"), t("noise.no_devices_hint")), take() {} };
  const list = h("div", { class: "noise-devices", role: "group", "aria-label": t("noise.devices") });
  const course = h("div", { class: "course" });
  const select = (name) => {
    state.device = name;
    state.fixed = null;
    for (const [key, row] of state.rows) row.node.setAttribute("aria-pressed", String(key === name));
    showCourse(course, state);
  };
  for (const one of site.levels) list.append(deviceRow(one, state, select));
  showCourse(course, state);
  follow(state);
  return {
    node: h("div", { class: "noise" }, list, course),
    take(next) {
      state.site = next;
      for (const one of next.levels) state.rows.get(one.device)?.take(one);
    },
  };
}

/** The range of an address that names a moment (at-1772456720000) or a date (day-2026-03-01); else null. */
function fixedRange(name, timezone) {
  const [, kind, value] = /^(at|day)-([\d-]+)$/.exec(name ?? "") ?? [];
  const middle = kind === "at" ? Number(value) : NaN;
  if (Number.isFinite(middle)) return { name, start: middle - 90 * 60_000, end: middle + 90 * 60_000 };
  const midnight = kind === "day" ? Date.parse(`${value}T00:00:00Z`) : NaN;
  if (!Number.isFinite(midnight)) return null;
  return { name, start: fromLocal(timezone, midnight), end: fromLocal(timezone, midnight + 30 * HOUR_S * 1000) };
}

function deviceRow(one, state, select) {
  const name = label(one.label);
  const number = liveLevel(one.device, name);
  const bar = levelBar(state.site.limit.value_db);
  const strip = new Strip(STRIP_S);
  const mark = stateMark(one.state);
  const window_ = h("span", { class: "device-window" });
  const row = {
    strip,
    live: number,
    bar,
    take(next) {
      mark.set(next.state);
      setText(window_, next.laeq_db === null ? t("noise.no_window") : t("noise.window", { db: level(next.laeq_db), margin: marginWords(next.margin_db) }));
    },
  };
  row.take(one);
  row.node = h(
    "button",
    {
      class: "device-row", type: "button", "aria-pressed": String(one.device === state.device), data: { testid: "device-row", device: one.device },
      on: { click: () => select(one.device) },
    },
    h("span", { class: "device-head" }, h("span", { class: "device-title" }, name, " ", one.indicative && indicativeMark()), mark.node),
    h("span", { class: "device-live" }, number.node, bar.node),
    strip.node,
    window_,
  );
  state.rows.set(one.device, row);
  get("/noise/seconds", { site: state.site.name, device: one.device, start: new Date(now() - STRIP_S * 1000).toISOString(), limit: STRIP_S }, state.signal)
    .then((answer) => {
      strip.prepend(answer.t.map((when, i) => [Date.parse(when), answer.laeq_db[i]]));
      strip.draw(now(), state.site.limit.value_db, gapMs());
    })
    .catch(() => {}); // the live seconds fill the strip all the same
  return row.node;
}

function gapMs() {
  return 5000 * Math.max(1, clockSpeed());
}

/** Take live seconds and draw; without any, let the strips run on. */
function follow(state) {
  const { signal } = state;
  const limit = () => state.site.limit.value_db;
  const take = (levels) => {
    for (const one of levels) {
      const row = one.site === state.site.name && state.rows.get(one.device);
      if (!row) continue;
      row.live.keep(one);
      row.bar.set(row.live.show(), limit());
      row.strip.add(Date.parse(one.t), one.laeq_db);
      row.strip.draw(now(), limit(), gapMs());
      if (one.device === state.device) state.second?.(one);
    }
  };
  take(latestLevels());
  live.addEventListener("levels", (event) => take(event.detail.levels), { signal });
  const timer = setInterval(() => {
    for (const row of state.rows.values()) {
      row.bar.set(row.live.show(), limit());
      row.strip.draw(now(), limit(), gapMs());
    }
  }, 1000);
  signal.addEventListener("abort", () => clearInterval(timer));
}

/** The course of the chosen device over the chosen range. */
function showCourse(place, state) {
  state.course?.abort();
  const mine = (state.course = new AbortController());
  state.signal.addEventListener("abort", () => mine.abort(), { signal: mine.signal });
  const one = state.site.levels.find((item) => item.device === state.device);
  const ranges = Object.keys(RANGES).map((key) =>
    h("button", {
      class: "choice", type: "button", "aria-pressed": String(key === state.range && !state.fixed), data: { range: key, testid: `range-${key}` },
      on: { click: () => { state.range = key; state.fixed = null; showCourse(place, state); place.querySelector(`[data-range="${key}"]`)?.focus(); } },
    }, t(`range.${key}`)));
  const canvas = h("div", { class: "chart chart-level", role: "img", "aria-label": t("noise.course", { device: label(one.label) }), data: { testid: "level-chart" } });
  const told = h("p", { class: "caption chart-words" });
  const hours = h("details", { class: "more", data: { testid: "hours-table" } }, h("summary", {}, t("noise.hours_table")), h("div", { class: "hours" }));
  fill(place,
    h("div", { class: "course-head" },
      h("h3", {}, t("noise.course", { device: label(one.label) }), " ", one.indicative && indicativeMark()),
      h("div", { class: "choices", role: "group", "aria-label": t("noise.range") }, ranges)),
    h("div", { class: "chart-place" }, canvas, loading(1, "chart")), told, hours, downloads(state));
  rewrite(path("site", state.site.name, "noise", state.device, state.fixed?.name ?? state.range), path("site", state.site.name));
  draw({ place, canvas, told, hours, state, signal: mine.signal });
}

/** Links to the data of the chosen range as files. */
function downloads(state) {
  const { start, end } = rangeOf(state);
  const query = { site: state.site.name, source: state.device, start: start.toISOString(), end: end.toISOString() };
  const link = (table) => h("a", { href: fileAddress(`/exports/${table}`, query), download: "", data: { testid: `download-${table}` } }, t(`download.${table}`));
  return h("p", { class: "downloads" }, t("download.title"), " ", link("hours"), " · ", link("seconds"));
}

async function draw({ canvas, told, hours, state, signal }) {
  const shown = { series: null, hours: [], timezone: state.site.timezone };
  const shapes = canvas.nextElementSibling;
  let picture = null;
  const load = async () => {
    const wanted = rangeOf(state);
    const query = { site: state.site.name, device: state.device, start: wanted.start.toISOString(), end: wanted.end.toISOString() };
    try {
      const [series, byHour] = await Promise.all([get("/noise/series", query, signal), state.range === "live" && !state.fixed ? null : get("/noise/hours", query, signal)]);
      shown.series = series;
      shown.hours = byHour?.hours ?? [];
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!picture) shapes.replaceWith(failure(error, () => location.reload()));
      return;
    }
    const words = courseWords(shown, state.site);
    canvas.dataset.points = String(shown.series.t.length);
    canvas.setAttribute("aria-label", words);
    setText(told, words);
    fill(hours.querySelector(".hours"), hoursTable(shown.hours, state.site));
    hours.hidden = !shown.hours.length;
    if (picture) {
      picture.update(true);
      return;
    }
    const { levelChart } = await import("../charts/levelChart.js");
    picture = await levelChart(canvas, signal, () => shown);
    if (signal.aborted) return;
    shapes.remove();
    canvas.dataset.ready = "yes";
  };
  await load();
  if (signal.aborted) return;
  const everyS = RANGES[state.range][1];
  if (state.fixed) return;
  if (everyS) every(refreshMs(everyS, 4), signal, load);
  else appendSeconds(state, shown, () => picture?.update(true), signal, canvas);
}

function rangeOf(state) {
  if (state.fixed) return { start: new Date(state.fixed.start), end: new Date(Math.min(state.fixed.end, now())) };
  const end = now();
  return { start: new Date(end - RANGES[state.range][0] * 1000), end: new Date(end) };
}

/** In the live range every second is drawn as it comes, a few times a second at most. */
function appendSeconds(state, shown, update, signal, canvas) {
  let due = 0;
  state.second = (one) => {
    if (signal.aborted || !shown.series) return;
    const { series } = shown;
    if (series.t.length && one.t <= series.t.at(-1)) return;
    series.t.push(one.t);
    series.laeq_db.push(one.laeq_db);
    series.lafmax_db.push(one.lafmax_db);
    series.valid_share.push(one.valid ? 1 : 0);
    const end = Date.parse(one.t) + 1000;
    const start = end - RANGES.live[0] * 1000;
    while (series.t.length && Date.parse(series.t[0]) < start) for (const key of ["t", "laeq_db", "lafmax_db", "valid_share"]) series[key].shift();
    series.start = new Date(start).toISOString();
    series.end = new Date(end).toISOString();
    const { limit } = state.site;
    series.limits = series.limits.filter((step) => Date.parse(step.end) > start);
    const last = series.limits.at(-1);
    if (last && last.period === limit.period) last.end = series.end;
    else series.limits.push({ start: last?.end ?? series.start, end: series.end, period: limit.period, value_db: limit.value_db });
    canvas.dataset.points = String(series.t.length);
    canvas.dataset.last = one.t;
    clearTimeout(due);
    due = setTimeout(update, 60);
  };
  signal.addEventListener("abort", () => {
    clearTimeout(due);
    state.second = null;
  });
}

/** What the picture shows, in a sentence. */
function courseWords({ series, timezone }, site) {
  const known = series.laeq_db.filter((one) => one !== null);
  if (!known.length) return t("noise.words_none");
  const mean = 10 * Math.log10(known.reduce((sum, db) => sum + 10 ** (db / 10), 0) / known.length);
  const peak = series.lafmax_db.reduce((best, db, i) => (db !== null && (best < 0 || db > series.lafmax_db[best]) ? i : best), -1);
  return t("noise.words", {
    mean: level(mean), max: level(series.lafmax_db[peak]), time: moment(Date.parse(series.t[peak]), timezone, now(), series.step_s < 60),
    limits: [...new Set(series.limits.map((one) => t(`limit.${one.period}`, { db: level(one.value_db).replace(".0", "") })))].join(" · "),
    step: series.step_s < 60 ? t("time.seconds", { n: series.step_s }) : series.step_s < 3600 ? t("time.minutes", { n: series.step_s / 60 }) : t("time.hours", { h: series.step_s / 3600 }),
    site: label(site.label),
  });
}

function hoursTable(hours, site) {
  const rows = hours.slice().reverse().map((one) => {
    const over = one.laeq_db !== null && one.laeq_db > one.limit_db;
    return h("tr", { class: over ? "row-over" : "" },
      h("th", { scope: "row" }, moment(Date.parse(one.t), site.timezone, now()), one.period === "night" && h("span", { class: "chip chip-plain" }, t("period.night"))),
      ["laeq_db", "l10_db", "l50_db", "l90_db", "lafmax_db"].map((key) => h("td", { class: "right" }, level(one[key]), key === "laeq_db" && over && h("span", { class: "over-words" }, t("level.over_short")))),
      h("td", { class: "right" }, percent(one.valid_share)));
  });
  return h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": t("noise.hours_table") },
    h("table", { class: "table" },
      h("thead", {}, h("tr", {}, ["hour", "laeq", "l10", "l50", "l90", "lafmax", "valid"].map((key) => h("th", { scope: "col", class: key === "hour" ? "" : "right" }, t(`hours.${key}`))))),
      h("tbody", {}, rows)));
}
