// The mean 1/3-octave spectrum.

import { level } from "../format.js";
import { chart, tooltipNode, tooltipStyle } from "./echarts.js";

/** A spectrum chart of an answer in a node. */
export function spectrumChart(node, signal, answer) {
  return chart(node, signal, (colours) => options(answer, colours));
}

/** 31.5, 1k, 12.5k. */
export function hertz(hz) {
  return hz >= 1000 ? `${hz / 1000}k` : String(hz);
}

function options({ bands }, colours) {
  const low = Math.floor((Math.min(...bands.map((one) => one.leq_db)) - 5) / 10) * 10;
  return {
    animation: false,
    textStyle: { fontFamily: colours.font },
    grid: { left: 40, right: 12, top: 26, bottom: 40 },
    tooltip: {
      ...tooltipStyle(colours),
      axisPointer: { type: "shadow", shadowStyle: { color: colours.night } },
      formatter: ([{ dataIndex }]) => tooltipNode(`${hertz(bands[dataIndex].nominal_hz)} Hz`, [["accent", "Leq (Z)", `${level(bands[dataIndex].leq_db)} dB`]]),
    },
    xAxis: {
      type: "category", name: "Hz", nameLocation: "middle", nameGap: 24, nameTextStyle: { color: colours.muted, fontSize: 11 }, data: bands.map((one) => hertz(one.nominal_hz)),
      axisLine: { lineStyle: { color: colours.line } }, axisTick: { show: false }, axisLabel: { color: colours.muted, fontSize: 11, hideOverlap: true },
    },
    yAxis: { type: "value", min: low, name: "dB", nameGap: 8, nameTextStyle: { color: colours.muted, fontSize: 11, align: "right", padding: [0, 8, 0, 0] }, axisLabel: { color: colours.muted, fontSize: 11 }, splitLine: { lineStyle: { color: colours.line } } },
    series: [{ type: "bar", data: bands.map((one) => one.leq_db), itemStyle: { color: colours.accent, borderRadius: [2, 2, 0, 0] }, barCategoryGap: "22%" }],
  };
}
