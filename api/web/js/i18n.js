// The language of the page: one table of texts for each, Chinese unless chosen otherwise.

import en from "./texts/en.js";
import zh from "./texts/zh.js";

const TABLES = { zh, en };
const TAGS = { zh: "zh-CN", en: "en" };
const KEPT = "quietwater.language";

let present = "zh";

/** The language in use: "zh" or "en". */
export function language() {
  return present;
}

/** The language that this browser chose before, or null. */
export function keptLanguage() {
  try {
    const kept = localStorage.getItem(KEPT);
    return kept in TABLES ? kept : null;
  } catch {
    return null;
  }
}

/** Use a language, and remember it in this browser unless told not to. */
export function setLanguage(wanted, remember = true) {
  present = wanted in TABLES ? wanted : "zh";
  document.documentElement.lang = TAGS[present];
  if (!remember) return;
  try {
    localStorage.setItem(KEPT, present);
  } catch {
    // A browser that keeps nothing still shows the language until it is closed.
  }
}

/** The text of a key with {name} filled in. A missing key shows itself, so that it is noticed. */
export function t(key, values = {}) {
  const text = TABLES[present][key] ?? TABLES.zh[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** The text of a key, or of another one where there is none. */
export function tOr(key, other, values = {}) {
  return key in TABLES[present] ? t(key, values) : t(other, values);
}

/** The name of a {zh, en} label. */
export function label(both) {
  return both?.[present] || both?.zh || "";
}
