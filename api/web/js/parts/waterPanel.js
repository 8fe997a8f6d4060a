// Water of a quarter: today against yesterday, the hours of the day, and every meter.

import { fileAddress, get } from "../api.js";
import { now, refreshMs } from "../clock.js";
import { every, fill, h, setText } from "../dom.js";
import { change, moment, volume } from "../format.js";
import { label, t } from "../i18n.js";
import { live } from "../live.js";
import { indicativeMark } from "./level.js";
import { empty, failure, loading } from "./states.js";
import { waterBars, waterLine } from "./water.js";
import { toLocal } from "../zone.js";

const DAY_MS = 24 * 3600_000;

/** The water part of a quarter's page. */
export function waterPanel(site, { signal }) {
  const state = { site, signal, meter: null, answer: null, rows: new Map() };
  const total = h("div", { class: "water-total", data: { testid: "water-total" } }, loading(1));
  const canvas = h("div", { class: "chart chart-water", role: "img", "aria-label": t("water.hours", { name: t("water.quarter") }), data: { testid: "water-chart" } });
  const title = h("h3", {});
  const meters = h("div", { class: "meters" });
  const files = h("p", { class: "downloads" });
  const node = h("div", { class: "water" },
    h("div", { class: "water-left" }, total, title, h("div", { class: "chart-place" }, canvas), files), meters);
  const hours = hoursChart(canvas, title, state);
  const load = async () => {
    try {
      state.answer = await get("/water/today", { site: site.name }, signal);
    } catch (error) {
      if (error.name !== "AbortError" && !state.answer) fill(node, failure(error, () => location.reload()));
      return;
    }
    const { answer } = state;
    if (!answer.meters.length) {
      fill(node, empty(t("water.no_meters"), t("water.no_meters_hint")));
      return;
    }
    fill(total, totalOf(answer));
    fill(files, t("download.title"), " ", h("a", { href: fileAddress("/exports/water-hours", { site: site.name, start: answer.yesterday_start, end: answer.now }), download: "", data: { testid: "download-water" } }, t("download.water")));
    showMeters(meters, state, (name) => {
      state.meter = name;
      hours.load();
    });
  };
  every(refreshMs(30, 5), signal, load);
  every(refreshMs(300, 15), signal, hours.load);
  live.addEventListener("water", (event) => countUp(event.detail.readings, state, total, meters), { signal });
  load();
  hours.load();
  return { node };
}

function totalOf({ total, indicative }) {
  if (total.total_from === "none") return h("p", { class: "caption" }, t("water.none"));
  return [
    waterLine(total.today_l, total.yesterday_same_time_l),
    indicative && indicativeMark(),
    h("p", { class: "caption" }, t("water.full_yesterday", { volume: volume(total.yesterday_l) }), " · ",
      total.total_from === "master" ? t("water.from_master") : t("water.from_sum", { n: total.compared_meters || total.meters, of: total.meters })),
  ];
}

/** A new register reading moves today's volume at once; the next answer of the server is exact again. */
function countUp(readings, state, total, meters) {
  if (!state.answer) return;
  let moved = false;
  for (const one of readings) {
    const meter = one.site === state.site.name && state.answer.meters.find((item) => item.meter === one.meter);
    if (!meter || meter.today_l === null || meter.register_ml === null || one.t <= (meter.until ?? "")) continue;
    const gained = Math.max(0, (one.register_ml - meter.register_ml) / 1000);
    meter.today_l += gained;
    meter.register_ml = one.register_ml;
    meter.until = one.t;
    const summed = state.answer.total.total_from === "master" ? meter.role === "master" : meter.role !== "master";
    if (summed && state.answer.total.today_l !== null) state.answer.total.today_l += gained;
    moved = true;
  }
  if (!moved) return;
  fill(total, totalOf(state.answer));
  showMeters(meters, state, null);
}

function showMeters(place, state, select) {
  const { meters } = state.answer;
  if (select) state.select = select;
  if (!state.rows.size || meters.some((one) => !state.rows.has(one.meter))) {
    state.rows.clear();
    fill(place, h("h3", {}, t("water.meters")), h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": t("water.meters") },
      h("table", { class: "table meter-table" },
        h("thead", {}, h("tr", {}, ["meter", "bars", "today", "same_time", "change", "yesterday"].map((key) => h("th", { scope: "col", class: key === "meter" || key === "bars" ? "" : "right" }, key === "bars" ? h("span", { class: "spoken" }, t("water.bars")) : t(`meters.${key}`))))),
        h("tbody", {}, meters.map((one) => meterRow(one, state))))));
  }
  const scale = Math.max(1, ...meters.filter((one) => one.role !== "master").flatMap((one) => [one.today_l ?? 0, one.yesterday_same_time_l ?? 0]));
  for (const one of meters) state.rows.get(one.meter).take(one, one.role === "master" ? Math.max(one.today_l ?? 0, one.yesterday_same_time_l ?? 0) : scale);
}

function meterRow(one, state) {
  const cells = Object.fromEntries(["today", "same_time", "change", "yesterday"].map((key) => [key, h("td", { class: "right" })]));
  const bars = h("td", { class: "bars-cell" });
  const until = h("span", { class: "caption" });
  const name = h("button", {
    type: "button", class: "meter-name", "aria-pressed": "false",
    on: {
      click: () => {
        const chosen = state.meter === one.meter ? null : one.meter;
        for (const [key, row] of state.rows) row.name.setAttribute("aria-pressed", String(key === chosen));
        state.select(chosen);
      },
    },
  }, label(one.label));
  const node = h("tr", { data: { testid: "meter-row", meter: one.meter, role: one.role } },
    h("th", { scope: "row" }, name, one.role !== "household" && h("span", { class: "chip chip-plain" }, t(`meter_role.${one.role}`)), until), bars, cells.today, cells.same_time, cells.change, cells.yesterday);
  state.rows.set(one.meter, {
    name,
    take(next, scale) {
      fill(bars, waterBars(next.today_l, next.yesterday_same_time_l, scale));
      setText(cells.today, volume(next.today_l));
      setText(cells.same_time, volume(next.yesterday_same_time_l));
      setText(cells.change, change(next.today_l, next.yesterday_same_time_l));
      setText(cells.yesterday, volume(next.yesterday_l));
      const old = next.until && now() - Date.parse(next.until) > 3 * 3600_000;
      setText(until, old ? t("water.until", { time: moment(Date.parse(next.until), state.site.timezone, now()) }) : next.until ? "" : t("water.no_reading"));
    },
  });
  return node;
}

/** Today's and yesterday's hours of the quarter or of the chosen meter. */
function hoursChart(canvas, title, state) {
  const shown = { today: [], yesterday: [] };
  let picture = null;
  let starting = null;
  const load = async () => {
    const { site, meter, signal } = state;
    const name = meter ? label(state.answer.meters.find((one) => one.meter === meter).label) : t("water.quarter");
    setText(title, t("water.hours", { name }));
    const local = toLocal(site.timezone, now());
    const today = local - (local % DAY_MS);
    try {
      const start = new Date(now() - (local - today) - DAY_MS).toISOString();
      const answer = await get("/water/hours", { site: site.name, meter, start, end: new Date(now()).toISOString() }, signal);
      if (state.meter !== meter) return;
      Object.assign(shown, byHour(answer.hours, site.timezone, today));
    } catch (error) {
      if (error.name !== "AbortError") setText(title, error.message);
      return;
    }
    canvas.setAttribute("aria-label", t("water.hours_words", { name, today: volume(sum(shown.today)), yesterday: volume(sum(shown.yesterday)) }));
    if (picture) picture.update();
    else {
      starting ??= import("../charts/waterChart.js").then(({ waterChart }) => waterChart(canvas, signal, () => shown));
      picture = await starting;
      canvas.dataset.ready = "yes";
    }
  };
  return { load };
}

function byHour(hours, timezone, today) {
  const result = { today: Array(24).fill(null), yesterday: Array(24).fill(null) };
  for (const one of hours) {
    const hour = Math.floor((toLocal(timezone, Date.parse(one.t)) - today) / 3600_000);
    if (hour >= 0 && hour < 24) result.today[hour] = one.volume_l;
    else if (hour >= -24 && hour < 0) result.yesterday[hour + 24] = one.volume_l;
  }
  return result;
}

function sum(values) {
  return values.reduce((total, one) => total + (one ?? 0), 0);
}
