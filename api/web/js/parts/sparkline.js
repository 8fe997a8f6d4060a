// A small picture of a course of levels with its limit's line; words beside it say the essence.

import { s } from "../dom.js";

const WIDTH = 240;
const HEIGHT = 44;

/** Draw a trend answer (t, laeq_db, limits, start, end, step_s). `words` is what a screen reader says. */
export function sparkline(trend, words) {
  const start = Date.parse(trend.start);
  const end = Date.parse(trend.end);
  const points = trend.t.map((t, i) => [Date.parse(t) + trend.step_s * 500, trend.laeq_db[i]]);
  const limits = trend.limits.map((one) => one.value_db);
  const known = points.map(([, db]) => db).filter((db) => db !== null);
  const low = Math.min(...limits, ...known) - 3;
  const high = Math.max(...limits, ...known) + 3;
  const x = (ms) => ((ms - start) / (end - start)) * WIDTH;
  const y = (db) => HEIGHT - ((db - low) / (high - low)) * HEIGHT;
  return s(
    "svg",
    { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": words },
    nights(trend, x),
    s("path", { class: "spark-limit", d: limitLine(trend, x, y) }),
    s("path", { class: "spark-line", d: line(points, trend.step_s * 1000, x, y) }),
    s("path", { class: "spark-over", d: over(points, trend, x, y) }),
  );
}

function nights(trend, x) {
  return trend.limits
    .filter((one) => one.period === "night")
    .map((one) => s("rect", { class: "spark-night", y: 0, height: HEIGHT, x: x(Date.parse(one.start)), width: Math.max(0, x(Date.parse(one.end)) - x(Date.parse(one.start))) }));
}

function limitLine(trend, x, y) {
  return trend.limits
    .map((one, i) => `${i ? "L" : "M"}${x(Date.parse(one.start)).toFixed(1)} ${y(one.value_db).toFixed(1)}L${x(Date.parse(one.end)).toFixed(1)} ${y(one.value_db).toFixed(1)}`)
    .join("");
}

function line(points, stepMs, x, y) {
  let path = "";
  let before = null;
  for (const [ms, db] of points) {
    if (db === null) {
      before = null;
      continue;
    }
    path += `${before !== null && ms - before <= stepMs * 1.6 ? "L" : "M"}${x(ms).toFixed(1)} ${y(db).toFixed(1)}`;
    before = ms;
  }
  return path;
}

/** The parts of the line that lie above the limit, drawn over it; a single point becomes a short dash. */
function over(points, trend, x, y) {
  const stepMs = trend.step_s * 1000;
  let path = "";
  let run = [];
  const end = () => {
    if (run.length === 1) path += `M${x(run[0][0] - stepMs / 3).toFixed(1)} ${y(run[0][1]).toFixed(1)}H${x(run[0][0] + stepMs / 3).toFixed(1)}`;
    else path += run.map(([ms, db], i) => `${i ? "L" : "M"}${x(ms).toFixed(1)} ${y(db).toFixed(1)}`).join("");
    run = [];
  };
  for (const [ms, db] of points) {
    if (db === null || db <= limitAt(trend.limits, ms)) {
      end();
      continue;
    }
    if (run.length && ms - run.at(-1)[0] > stepMs * 1.6) end();
    run.push([ms, db]);
  }
  end();
  return path;
}

/** The limit at a time from an answer's steps. */
export function limitAt(limits, ms) {
  for (const one of limits) if (ms < Date.parse(one.end)) return one.value_db;
  return limits.at(-1)?.value_db ?? Infinity;
}

/** A strip of the last minutes, second by second, that is drawn anew with each level. */
export class Strip {
  constructor(spanS) {
    this.spanMs = spanS * 1000;
    this.points = [];
    this.limit = s("path", { class: "spark-limit" });
    this.line = s("path", { class: "spark-line" });
    this.node = s("svg", { class: "strip", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, this.limit, this.line);
  }

  /** Add a second; older ones than the last are passed over. */
  add(ms, db) {
    const last = this.points.at(-1);
    if (last && ms <= last[0]) return;
    this.points.push([ms, db]);
    while (this.points.length && this.points[0][0] < ms - this.spanMs) this.points.shift();
  }

  /** Take seconds from before those that are there. */
  prepend(points) {
    const first = this.points[0]?.[0] ?? Infinity;
    this.points = [...points.filter(([ms]) => ms < first), ...this.points];
  }

  /** Draw up to a time. */
  draw(nowMs, limitDb, gapMs = 5000) {
    const x = (ms) => WIDTH - ((nowMs - ms) / this.spanMs) * WIDTH;
    const low = limitDb - 18;
    const high = limitDb + 18;
    const y = (db) => HEIGHT - ((Math.min(high, Math.max(low, db)) - low) / (high - low)) * HEIGHT;
    this.limit.setAttribute("d", `M0 ${y(limitDb).toFixed(1)}H${WIDTH}`);
    this.line.setAttribute("d", line(this.points.filter(([ms]) => ms > nowMs - this.spanMs), gapMs / 1.6, x, y));
  }
}
