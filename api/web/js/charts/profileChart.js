// The hours of the day over many dates: working days and days of rest against the limit.

import { level } from "../format.js";
import { t } from "../i18n.js";
import { chart, tooltipNode, tooltipStyle } from "./echarts.js";

/** A profile chart of an answer in a node. */
export function profileChart(node, signal, answer) {
  return chart(node, signal, (colours) => options(answer, colours));
}

function limitOf(answer, hour) {
  return hour >= answer.day_starts_h && hour < answer.night_starts_h ? answer.day_limit_db : answer.night_limit_db;
}

function options(answer, colours) {
  const hours = answer.workdays.map((one) => one.hour);
  const line = (rows) => rows.map((one) => one.laeq_db);
  const known = [...line(answer.workdays), ...line(answer.restdays), answer.day_limit_db, answer.night_limit_db].filter((one) => one !== null);
  return {
    animation: false,
    textStyle: { fontFamily: colours.font },
    grid: { left: 40, right: 12, top: 50, bottom: 26 },
    legend: { top: 0, left: 0, icon: "roundRect", itemWidth: 14, itemHeight: 4, textStyle: { color: colours.text, fontSize: 12 }, inactiveColor: colours.muted },
    tooltip: {
      ...tooltipStyle(colours),
      formatter: ([{ dataIndex }]) => tooltipNode(`${dataIndex}:00–${dataIndex + 1}:00`, [
        ["accent", t("profile.workdays"), `${level(answer.workdays[dataIndex].laeq_db)} dB`],
        ["water", t("profile.restdays"), `${level(answer.restdays[dataIndex].laeq_db)} dB`],
        ["above", t("chart.limit"), `${level(limitOf(answer, dataIndex))} dB`],
        ["none", t("profile.l90"), `${level(answer.workdays[dataIndex].l90_db)} dB`],
      ]),
    },
    xAxis: { type: "category", data: hours.map(String), axisLine: { lineStyle: { color: colours.line } }, axisTick: { show: false }, axisLabel: { color: colours.muted, fontSize: 11, interval: 2, formatter: (hour) => t("chart.hour", { hour }) } },
    yAxis: {
      type: "value", min: Math.floor((Math.min(...known) - 4) / 5) * 5, max: Math.ceil((Math.max(...known) + 3) / 5) * 5, name: "dB", nameGap: 8,
      nameTextStyle: { color: colours.muted, fontSize: 11, align: "right", padding: [0, 8, 0, 0] }, axisLabel: { color: colours.muted, fontSize: 11 }, splitLine: { lineStyle: { color: colours.line } },
    },
    series: [
      { name: t("profile.workdays"), type: "line", data: line(answer.workdays), symbolSize: 5, lineStyle: { width: 2, color: colours.accent }, itemStyle: { color: colours.accent } },
      { name: t("profile.restdays"), type: "line", data: line(answer.restdays), symbol: "rect", symbolSize: 5, lineStyle: { width: 2, color: colours.water, type: "dashed" }, itemStyle: { color: colours.water } },
      { name: t("chart.limit"), type: "line", step: "middle", data: hours.map((hour) => limitOf(answer, hour)), showSymbol: false, silent: true, lineStyle: { width: 1.5, type: [6, 4], color: colours.above }, itemStyle: { color: colours.above } },
    ],
  };
}
