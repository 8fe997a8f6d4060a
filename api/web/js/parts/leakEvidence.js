// What a leak alert knows of each leak: kind, size, since when, water and money a month, and the curve that led to it.

import { now } from "../clock.js";
import { h, s } from "../dom.js";
import { moment, number, volume } from "../format.js";
import { t, tOr } from "../i18n.js";

const WIDTH = 240;
const HEIGHT = 64;

/** A section about the leaks or meter faults of an alert, or null where it has none. */
export function leakEvidence(alert, timezone) {
  const leaks = alert.detail?.alarms ?? [];
  if (!leaks.length) return null;
  return h("section", { class: "leaks", data: { testid: "leak-evidence" } }, h("h2", {}, t("leak.title")), leaks.map((leak) => oneLeak(leak, alert.detail.currency, timezone)));
}

function oneLeak(leak, currency, timezone) {
  const lost = leak.month_l > 0;
  const facts = [
    ["kind", tOr(`leak.kind.${leak.kind}`, "leak.kind.other")],
    ["since", moment(Date.parse(leak.since), timezone, now())],
    lost && ["flow", `${number(leak.flow_lph, 1)} L/h`],
    lost && ["so_far", volume(leak.so_far_l)],
    lost && ["month", t("leak.month", { volume: volume(leak.month_l), money: number(leak.month_money, 2), currency: currency ?? "" })],
  ].filter(Boolean);
  return h("div", { class: "leak" },
    h("dl", { class: "facts" }, facts.map(([key, value]) => h("div", {}, h("dt", {}, t(`leak.fact.${key}`)), h("dd", {}, value)))),
    leak.evidence?.length > 1 && chart(leak, timezone));
}

/** The flow that was seen, over the flow that was usual; a dashed line marks the beginning. */
function chart(leak, timezone) {
  const points = leak.evidence.map(([at, seen, usual]) => [Date.parse(at), seen, usual]);
  const start = points[0][0];
  const end = points.at(-1)[0];
  const most = Math.max(1, ...points.flatMap(([, seen, usual]) => [seen, usual]));
  const x = (ms) => (((ms - start) / Math.max(1, end - start)) * WIDTH).toFixed(1);
  const y = (lph) => (HEIGHT - 2 - (Math.max(0, lph) / most) * (HEIGHT - 4)).toFixed(1);
  const path = (column) => points.map((one, i) => `${i ? "L" : "M"}${x(one[0])} ${y(one[column])}`).join("");
  const began = Date.parse(leak.since);
  const words = t("leak.chart", { from: moment(start, timezone, now()), to: moment(end, timezone, now()), most: number(most, 0) });
  return h("figure", { class: "leak-chart" },
    s("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": words },
      s("path", { class: "spark-limit", d: path(2) }),
      s("path", { class: "spark-line", d: path(1) }),
      began > start && began < end && s("path", { class: "leak-began", d: `M${x(began)} 0V${HEIGHT}` })),
    h("figcaption", { class: "caption" }, words));
}
