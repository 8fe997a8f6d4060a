// The course of a device's level against the day and night limit: LAeq, LAFmax, L10–L90 by the hour, invalid time.

import { level, moment, percent } from "../format.js";
import { t } from "../i18n.js";
import { fromLocal, toLocal } from "../zone.js";
import { chart, tooltipNode, tooltipStyle } from "./echarts.js";

const LEAST_VALID = 0.5;

/** A level chart in a node. `data()` gives {series, hours, timezone, live}. */
export async function levelChart(node, signal, data, onZoom) {
  const made = await chart(node, signal, (colours, compact) => options(data(), colours, compact));
  if (!made) return null;
  made.instance.on("datazoom", () => {
    const [zoom] = made.instance.getOption().dataZoom;
    onZoom?.(zoom.startValue, zoom.endValue);
  });
  return {
    /** Draw new data; the zoom stays where it is unless the range is a new one. */
    update(keepZoom) {
      const option = (colours, compact) => options(data(), colours, compact);
      if (!keepZoom) {
        made.set(option);
        return;
      }
      const [zoom] = made.instance.getOption().dataZoom ?? [];
      const full = zoom && zoom.start <= 0.5 && zoom.end >= 99.5;
      made.set(option);
      if (zoom && !full) made.instance.dispatchAction({ type: "dataZoom", startValue: zoom.startValue, endValue: zoom.endValue });
    },
    reset() {
      made.instance.dispatchAction({ type: "dataZoom", start: 0, end: 100 });
    },
  };
}

function options({ series, hours, timezone }, colours, compact) {
  const local = (t) => toLocal(timezone, typeof t === "number" ? t : Date.parse(t));
  const start = local(series.start);
  const end = local(series.end);
  const points = series.t.map((one, i) => [local(one), series.laeq_db[i], series.lafmax_db[i], series.valid_share[i]]);
  const stepMs = series.step_s * 1000;
  const [low, high] = extent(series, hours);
  return {
    useUTC: true,
    animation: false,
    textStyle: { fontFamily: colours.font },
    aria: { enabled: false },
    grid: { left: compact ? 32 : 40, right: compact ? 10 : 16, top: compact ? 88 : 50, bottom: 66 },
    legend: {
      top: 0, left: 0, right: 0, icon: "roundRect", itemWidth: 14, itemHeight: 4, itemGap: 14,
      textStyle: { color: colours.text, fontSize: 12 }, inactiveColor: colours.muted, pageIconColor: colours.muted,
      data: [t("chart.laeq"), t("chart.lafmax"), t("chart.band"), t("chart.l50"), t("chart.limit")],
      selected: { [t("chart.l50")]: false, [t("chart.lafmax")]: !compact || stepMs <= 60_000 },
    },
    tooltip: { ...tooltipStyle(colours), formatter: (rows) => tip(rows, series, hours, timezone, stepMs) },
    xAxis: {
      type: "time", min: start, max: end, axisLine: { lineStyle: { color: colours.line } }, axisTick: { lineStyle: { color: colours.line } },
      axisLabel: { color: colours.muted, fontSize: 11, hideOverlap: true, formatter: { year: "{yyyy}", month: t("chart.date"), day: t("chart.date"), hour: "{HH}:{mm}", minute: "{HH}:{mm}", second: "{HH}:{mm}:{ss}" } },
    },
    yAxis: {
      type: "value", min: low, max: high, minInterval: 10, name: "dB", nameTextStyle: { color: colours.muted, fontSize: 11, align: "right", padding: [0, 8, 0, 0] }, nameGap: 8,
      axisLabel: { color: colours.muted, fontSize: 11 }, splitLine: { lineStyle: { color: colours.line } },
    },
    dataZoom: [
      { type: "inside", filterMode: "none", zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false, minValueSpan: 60_000 },
      {
        type: "slider", filterMode: "none", height: 24, bottom: 8, borderColor: colours.line, backgroundColor: "transparent", fillerColor: colours.band,
        handleStyle: { color: colours.surface, borderColor: colours.muted }, moveHandleSize: 0, showDetail: false, minValueSpan: 60_000,
        dataBackground: { lineStyle: { color: colours.muted, opacity: 0.5 }, areaStyle: { color: colours.soft } },
        selectedDataBackground: { lineStyle: { color: colours.accent }, areaStyle: { color: colours.soft } }, textStyle: { color: colours.muted },
        brushSelect: false,
      },
    ],
    series: [
      {
        name: t("chart.laeq"), type: "line", data: withGaps(points, 1, stepMs), showSymbol: false, lineStyle: { width: 1.8, color: colours.accent }, itemStyle: { color: colours.accent }, z: 4,
        markArea: { silent: true, data: [...nights(series, local, start, end, colours), ...invalid(points, stepMs, colours)] },
      },
      ...band(hours, local, colours),
      {
        name: t("chart.lafmax"), type: "line", data: withGaps(points, 2, stepMs), showSymbol: false, lineStyle: { width: 1, color: colours.muted, opacity: 0.45 }, itemStyle: { color: colours.muted },
        connectNulls: false, z: 2, silent: true, sampling: "max",
      },
      {
        name: t("chart.limit"), type: "line", data: limits(series, local), showSymbol: false, lineStyle: { width: 1.5, color: colours.above, type: [6, 4] }, itemStyle: { color: colours.above }, z: 3, silent: true,
      },
    ],
  };
}

function extent(series, hours) {
  const known = [...series.laeq_db, ...series.lafmax_db, ...series.limits.map((one) => one.value_db), ...hours.flatMap((one) => [one.l10_db, one.l90_db])].filter((one) => one !== null && one !== undefined);
  const low = Math.min(35, ...known);
  const high = Math.max(60, ...known);
  return [Math.max(0, Math.floor(low / 10) * 10), Math.min(140, Math.ceil((high + 1) / 10) * 10)];
}

/** Break the line where steps are missing: what was not measured must not look measured. */
function withGaps(points, column, stepMs) {
  const result = [];
  let before = null;
  for (const one of points) {
    if (before !== null && one[0] - before > stepMs * 1.5) result.push([before + stepMs, null]);
    result.push([one[0], one[column]]);
    before = one[0];
  }
  return result;
}

function limits(series, local) {
  return series.limits.flatMap((one) => [[local(one.start), one.value_db], [local(one.end) - 1, one.value_db]]);
}

function nights(series, local, start, end, colours) {
  return series.limits
    .filter((one) => one.period === "night")
    .map((one) => [{ xAxis: Math.max(start, local(one.start)), itemStyle: { color: colours.night } }, { xAxis: Math.min(end, local(one.end)) }]);
}

/** Shade what was measured and left out of averages; runs are joined, so that there are few areas. */
function invalid(points, stepMs, colours) {
  const areas = [];
  for (const [at, , , share] of points) {
    if (share >= LEAST_VALID) continue;
    const last = areas.at(-1);
    if (last && at <= last[1].xAxis + stepMs) last[1].xAxis = at + stepMs;
    else areas.push([{ xAxis: at, itemStyle: { color: colours.invalid, decal: { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [2, 4], rotation: Math.PI / 4 } } }, { xAxis: at + stepMs }]);
  }
  return areas;
}

/** L90 to L10 as a band and L50 as a line, hour by hour; hours without data leave a gap. */
function band(hours, local, colours) {
  const stepped = (value) => hours.flatMap((one, i) => {
    const start = local(one.t);
    const end = start + 3600_000 - 1;
    const gap = i + 1 < hours.length && local(hours[i + 1].t) > end + 1;
    return [[start, value(one)], [end, value(one)], ...(gap ? [[end + 1, null]] : [])];
  });
  const steps = (key) => stepped((one) => one[key]);
  const height = stepped((one) => (one.l10_db === null || one.l90_db === null ? null : one.l10_db - one.l90_db));
  const plain = { type: "line", showSymbol: false, silent: true, z: 1, lineStyle: { width: 0 }, itemStyle: { color: colours.band } };
  return [
    { ...plain, name: t("chart.band"), stack: "band", stackStrategy: "all", data: steps("l90_db") },
    { ...plain, name: t("chart.band"), stack: "band", stackStrategy: "all", data: height, areaStyle: { color: colours.band, opacity: 1 } },
    { ...plain, name: t("chart.l50"), data: steps("l50_db"), lineStyle: { width: 1.2, color: colours.text, type: "dotted" }, itemStyle: { color: colours.text } },
  ];
}

function tip(rows, series, hours, timezone, stepMs) {
  const at = rows.length ? rows[0].axisValue : null;
  if (at === null) return "";
  const ms = fromLocal(timezone, at);
  const index = series.t.findIndex((one) => Math.abs(Date.parse(one) - ms) < stepMs);
  const lines = [];
  if (index >= 0) {
    lines.push(["accent", t("chart.laeq"), `${level(series.laeq_db[index])} dB`], ["muted", t("chart.lafmax"), `${level(series.lafmax_db[index])} dB`]);
  }
  const limit = series.limits.find((one) => ms >= Date.parse(one.start) && ms < Date.parse(one.end));
  if (limit) lines.push(["above", t(`chart.limit_${limit.period}`), `${level(limit.value_db)} dB`]);
  const hour = hours.find((one) => ms >= Date.parse(one.t) && ms < Date.parse(one.t) + 3600_000);
  if (hour) lines.push(["band", t("chart.ln_hour"), [hour.l10_db, hour.l50_db, hour.l90_db].map(level).join(" / ")]);
  if (index >= 0) lines.push(["none", t("chart.valid"), percent(series.valid_share[index])]);
  return tooltipNode(moment(ms, timezone, ms + 48 * 3600_000, stepMs < 60_000), lines);
}
