// Numbers and times as people read them, in the page's language and the site's own time.

import { language, t } from "./i18n.js";
import { toLocal } from "./zone.js";

export const NONE = "–";
const LOCALES = { zh: "zh-CN", en: "en-GB" };
const WEEK_ZH = ["日", "一", "二", "三", "四", "五", "六"];
const WEEK_EN = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTH_EN = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** A level with one decimal, without its unit. */
export function level(db) {
  return db === null || db === undefined || !Number.isFinite(db) ? NONE : db.toFixed(1);
}

/** A number with a fixed count of decimals and grouped thousands. */
export function number(value, decimals = 0) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  return value.toLocaleString(LOCALES[language()], { minimumFractionDigits: decimals, maximumFractionDigits: decimals, signDisplay: "negative" });
}

/** A volume: litres below a cubic metre, else cubic metres. */
export function volume(litres) {
  if (litres === null || litres === undefined) return NONE;
  if (Math.abs(litres) < 1000) return `${number(litres, litres < 10 ? 1 : 0)} L`;
  return `${number(litres / 1000, Math.abs(litres) < 100_000 ? 2 : 1)} m³`;
}

/** A share as whole per cent. */
export function percent(share) {
  return share === null || share === undefined ? NONE : `${Math.round(share * 100)} %`;
}

/** How today compares with yesterday, in words; null where it cannot be said. */
export function comparison(today, before) {
  if (today === null || before === null || today === undefined || before === undefined) return null;
  if (before < 1) return today < 1 ? t("water.same") : null;
  const change = Math.round((today / before - 1) * 100);
  if (change === 0) return t("water.same");
  if (change > 300) return t("water.times", { times: (today / before).toFixed(1) });
  return t(change > 0 ? "water.more" : "water.less", { percent: Math.abs(change) });
}

/** How today compares with yesterday, as +12% or −12%. */
export function change(today, before) {
  if (today === null || before === null || before < 1) return NONE;
  const share = Math.round((today / before - 1) * 100);
  return share === 0 ? "0%" : `${share > 0 ? "+" : "−"}${number(Math.abs(share))}%`;
}

function parts(ms, timezone) {
  const d = new Date(toLocal(timezone, ms));
  return {
    year: d.getUTCFullYear(), month: d.getUTCMonth(), day: d.getUTCDate(), week: d.getUTCDay(),
    hour: d.getUTCHours(), minute: d.getUTCMinutes(), second: d.getUTCSeconds(),
  };
}

const two = (n) => String(n).padStart(2, "0");

/** 14:05 or 14:05:09. */
export function clockTime(ms, timezone, seconds = false) {
  const p = parts(ms, timezone);
  return `${two(p.hour)}:${two(p.minute)}${seconds ? `:${two(p.second)}` : ""}`;
}

/** A date with its weekday: 3月1日 周日 / Sun 1 Mar. */
export function dateWords(ms, timezone) {
  const p = parts(ms, timezone);
  return language() === "zh"
    ? `${p.month + 1}月${p.day}日 周${WEEK_ZH[p.week]}`
    : `${WEEK_EN[p.week]} ${p.day} ${MONTH_EN[p.month]}`;
}

/** A date without its weekday. */
export function dateShort(ms, timezone) {
  const p = parts(ms, timezone);
  return language() === "zh" ? `${p.month + 1}月${p.day}日` : `${p.day} ${MONTH_EN[p.month]}`;
}

/** A calendar date "2026-03-01" in words. */
export function calendarDate(iso, year = false) {
  const [y, m, d] = iso.split("-").map(Number);
  if (language() === "zh") return `${year ? `${y}年` : ""}${m}月${d}日`;
  return `${d} ${MONTH_EN[m - 1]}${year ? ` ${y}` : ""}`;
}

/** Date and time; the date is left out where it is today's. */
export function moment(ms, timezone, nowMs, seconds = false) {
  const same = dateShort(ms, timezone) === dateShort(nowMs, timezone) && Math.abs(nowMs - ms) < 36 * 3600_000;
  const time = clockTime(ms, timezone, seconds);
  return same ? time : `${dateShort(ms, timezone)} ${time}`;
}

/** How long, in the two largest units at most. */
export function duration(ms) {
  const total = Math.max(0, Math.round(ms / 1000));
  if (total < 60) return t("time.seconds", { n: total });
  const minutes = Math.floor(total / 60);
  if (minutes < 60) return t("time.minutes", { n: minutes });
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return t(minutes % 60 ? "time.hours_minutes" : "time.hours", { h: hours, m: minutes % 60 });
  const days = Math.floor(hours / 24);
  return t(hours % 24 ? "time.days_hours" : "time.days", { d: days, h: hours % 24 });
}

/** How long ago. */
export function ago(ms, nowMs) {
  const gone = nowMs - ms;
  return gone < 10_000 ? t("time.just_now") : t("time.ago", { span: duration(gone) });
}
