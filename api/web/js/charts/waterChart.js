// Litres by the hour: today as bars, yesterday as a line.

import { volume } from "../format.js";
import { t } from "../i18n.js";
import { chart, tooltipNode, tooltipStyle } from "./echarts.js";

/** A water chart in a node. `data()` gives {today, yesterday}: 24 values each, null where not known. */
export async function waterChart(node, signal, data) {
  const made = await chart(node, signal, (colours) => options(data(), colours));
  return made && { update: () => made.set((colours) => options(data(), colours)) };
}

function options({ today, yesterday }, colours) {
  const cubic = Math.max(0, ...today, ...yesterday) >= 2000;
  const scaled = (values) => values.map((one) => (one === null ? null : one / (cubic ? 1000 : 1)));
  return {
    animation: false,
    textStyle: { fontFamily: colours.font },
    grid: { left: 44, right: 8, top: 48, bottom: 24 },
    legend: { top: 0, left: 0, itemWidth: 14, itemHeight: 8, textStyle: { color: colours.text, fontSize: 12 }, inactiveColor: colours.muted, data: [t("water.today"), t("water.yesterday")] },
    tooltip: {
      ...tooltipStyle(colours),
      axisPointer: { type: "shadow", shadowStyle: { color: colours.night } },
      formatter: ([{ dataIndex }]) => tooltipNode(`${dataIndex}:00–${dataIndex + 1}:00`, [["water", t("water.today"), volume(today[dataIndex])], ["water-before", t("water.yesterday"), volume(yesterday[dataIndex])]]),
    },
    xAxis: {
      type: "category", data: today.map((_, hour) => `${hour}`), axisLine: { lineStyle: { color: colours.line } }, axisTick: { show: false },
      axisLabel: { color: colours.muted, fontSize: 11, interval: 2, formatter: (hour) => t("chart.hour", { hour }) },
    },
    yAxis: {
      type: "value", min: 0, name: cubic ? "m³" : "L", nameTextStyle: { color: colours.muted, fontSize: 11, align: "right", padding: [0, 6, 0, 0] }, nameGap: 8,
      axisLabel: { color: colours.muted, fontSize: 11 }, splitLine: { lineStyle: { color: colours.line } }, splitNumber: 3,
    },
    series: [
      { name: t("water.today"), type: "bar", data: scaled(today), itemStyle: { color: colours.water, borderRadius: [2, 2, 0, 0] }, barMaxWidth: 22 },
      { name: t("water.yesterday"), type: "line", step: "middle", data: scaled(yesterday), showSymbol: false, lineStyle: { color: colours.waterBefore, width: 1.6 }, itemStyle: { color: colours.waterBefore } },
    ],
  };
}
