// The year as a calendar: a cell a date, its upper half the day, its lower half the night, by distance to the limit.

import { h, s, setText } from "../dom.js";
import { calendarDate, level } from "../format.js";
import { language, t } from "../i18n.js";

const CELL = 15;
const GAP = 3;
const TOP = 18;
const LEFT = 26;
const STEPS = [-6, -3, 0, 3];

/** The class of a period: none, or 0 (far below the limit) to 4 (far above). */
function shade(period) {
  if (period.margin_db === null || period.verdict === "incomplete") return "none";
  return String(STEPS.filter((step) => period.margin_db > step).length);
}

/** Draw the days of an answer; `chosen` is called with the date that somebody chooses. */
export function calendar({ days }, chosen) {
  const first = weekday(days[0].date);
  const weeks = Math.ceil((first + days.length) / 7);
  const told = h("p", { class: "calendar-told", "aria-live": "polite" }, t("calendar.hint"));
  const cells = days.map((one, i) => cell(one, i, i + first));
  const frame = s("rect", { class: "calendar-frame", width: CELL + 2, height: CELL + 2, rx: 3, hidden: true });
  let present = days.length - 1;
  const show = (index) => {
    present = Math.max(0, Math.min(days.length - 1, index));
    const place = present + first;
    frame.removeAttribute("hidden");
    frame.setAttribute("x", LEFT + Math.floor(place / 7) * (CELL + GAP) - 1);
    frame.setAttribute("y", TOP + (place % 7) * (CELL + GAP) - 1);
    setText(told, words(days[present]));
  };
  const picture = s("svg", {
    class: "calendar", width: LEFT + weeks * (CELL + GAP), height: TOP + 7 * (CELL + GAP), role: "img", "aria-label": summary(days),
  }, months(days, first), weekdays(), cells, frame);
  picture.addEventListener("pointermove", (event) => event.target.dataset?.index && show(Number(event.target.dataset.index)));
  picture.addEventListener("click", (event) => event.target.dataset?.index && chosen(days[Number(event.target.dataset.index)].date));
  const scroll = h("div", {
    class: "calendar-scroll", tabindex: "0", role: "group", "aria-label": `${t("calendar.title")}. ${t("calendar.keys")}`, data: { testid: "calendar" },
    on: {
      keydown: (event) => {
        const step = { ArrowRight: 7, ArrowLeft: -7, ArrowDown: 1, ArrowUp: -1 }[event.key];
        if (step) show(present + step);
        else if (event.key === "Enter") chosen(days[present].date);
        else return;
        event.preventDefault();
      },
    },
  }, picture);
  requestAnimationFrame(() => scroll.scrollTo({ left: scroll.scrollWidth }));
  return h("div", { class: "calendar-place" }, scroll, legend(), told);
}

function weekday(iso) {
  return (new Date(`${iso}T00:00:00Z`).getUTCDay() + 6) % 7; // Monday first
}

function cell(one, index, place) {
  const x = LEFT + Math.floor(place / 7) * (CELL + GAP);
  const y = TOP + (place % 7) * (CELL + GAP);
  return [half(one.day, index, x, y), half(one.night, index, x, y + CELL / 2)];
}

function half(period, index, x, y) {
  return [
    s("rect", { class: "calendar-half", "data-shade": shade(period), "data-index": index, x, y, width: CELL, height: CELL / 2 }),
    period.verdict === "fail" && s("path", { class: "calendar-fail", d: `M${x + 4} ${y + CELL / 4}h${CELL - 8}` }),
  ];
}

function months(days, first) {
  const labels = [];
  days.forEach((one, i) => {
    const [, month, day] = one.date.split("-").map(Number);
    if (day !== 1 && i !== 0) return;
    if (i === 0 && day > 20) return;
    labels.push(s("text", { class: "calendar-text", x: LEFT + Math.floor((i + first) / 7) * (CELL + GAP), y: 11 }, monthName(month)));
  });
  return labels;
}

function monthName(month) {
  if (language() === "zh") return `${month}月`;
  return ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][month - 1];
}

function weekdays() {
  const names = language() === "zh" ? ["一", "", "三", "", "五", "", "日"] : ["M", "", "W", "", "F", "", "S"];
  return names.map((name, i) => name && s("text", { class: "calendar-text", x: 4, y: TOP + i * (CELL + GAP) + 12 }, name));
}

function legend() {
  return h("div", { class: "calendar-legend" }, h("span", {}, t("calendar.legend")),
    ["0", "1", "2", "3", "4", "none"].map((key) => h("span", { class: "calendar-key" }, h("i", { "data-shade": key, "aria-hidden": "true" }), t(`calendar.shade_${key}`))),
    h("span", { class: "calendar-key" }, h("i", { class: "calendar-key-fail", "aria-hidden": "true" }), t("calendar.fail")));
}

function words(one) {
  return [calendarDate(one.date, true), periodWords("day", one.day), periodWords("night", one.night)].join(t("calendar.comma"));
}

function periodWords(key, period) {
  const value = period.laeq_db === null ? "" : ` ${level(period.laeq_db)} dB`;
  const verdict = period.verdict === "incomplete" ? t(`reason_incomplete.${period.reason || "no_data"}`) : t(`verdict.${period.verdict}`);
  return `${t(`period.${key}`)}${value} ${verdict}`;
}

function summary(days) {
  const count = (key, verdict) => days.filter((one) => one[key].verdict === verdict).length;
  return t("calendar.summary", {
    from: calendarDate(days[0].date, true), to: calendarDate(days.at(-1).date, true),
    day_pass: count("day", "pass"), day_fail: count("day", "fail"), night_pass: count("night", "pass"), night_fail: count("night", "fail"),
  });
}

/** The same days as a table, newest first. */
export function daysTable({ days }) {
  const rows = days.filter((one) => one.day.laeq_db !== null || one.night.laeq_db !== null).reverse();
  return h("div", { class: "table-scroll hours-scroll", tabindex: "0", role: "region", "aria-label": t("calendar.table") },
    h("table", { class: "table" },
      h("thead", {}, h("tr", {}, ["date", "ld", "day_verdict", "ln", "night_verdict"].map((key) => h("th", { scope: "col" }, t(`days.${key}`))))),
      h("tbody", {}, rows.map((one) => h("tr", {}, h("th", { scope: "row" }, calendarDate(one.date, true)), h("td", {}, level(one.day.laeq_db)), h("td", {}, verdictMark(one.day)),
        h("td", {}, level(one.night.laeq_db)), h("td", {}, verdictMark(one.night)))))));
}

function verdictMark(period) {
  const text = period.verdict === "incomplete" ? t(`reason_incomplete.${period.reason || "no_data"}`) : t(`verdict.${period.verdict}`);
  return h("span", { class: "verdict", data: { verdict: period.verdict } }, text);
}
