// A level against its limit: words, bar, small pictures of its course.

import { h, s, setAttr, setText } from "../dom.js";
import { level, NONE } from "../format.js";
import { t } from "../i18n.js";
import { isFresh } from "../live.js";

const SHAPES = { below: "M5 1a4 4 0 1 0 0 8a4 4 0 1 0 0-8z", near: "M5 .6L9.400 5 5 9.400.6 5z", above: "M5 .8L9.600 9H.4z" };
const LOW_DB = 25;
const HIGH_DB = 85;

/** The state in a word with a shape of its own: never the colour alone. */
export function stateMark(state) {
  const shape = s("path", {});
  const words = h("span");
  const node = h("span", { class: "state", data: { testid: "site-state" } },
    s("svg", { class: "state-shape", viewBox: "0 0 10 10", "aria-hidden": "true" }, shape), words);
  const set = (value, told = t(`state.${value}`)) => {
    setAttr(node, "data-state", value);
    setAttr(shape, "d", SHAPES[value] ?? "M1 4h8v2H1z");
    setText(words, told);
  };
  set(state);
  return { node, set };
}

/** How far a level lies from the limit, in words. */
export function marginWords(marginDb) {
  if (marginDb === null || marginDb === undefined) return "";
  const shown = Math.abs(marginDb).toFixed(1);
  if (shown === "0.0") return t("level.at_limit");
  return t(marginDb > 0 ? "level.over" : "level.under", { db: shown });
}

/** The state that a level of this second would have: for the bar's colour only. */
export function momentState(db, limitDb) {
  if (db === null) return "no_data";
  if (db > limitDb) return "above";
  return limitDb - db < 3 ? "near" : "below";
}

/** A bar from 25 to 85 dB with a tick at the limit. The number beside it says the same. */
export function levelBar(limitDb) {
  const bar = h("span", { class: "bar-fill" });
  const tick = h("span", { class: "bar-tick" });
  const node = h("span", { class: "bar", "aria-hidden": "true" }, bar, tick);
  const set = (db, limit) => {
    bar.style.setProperty("--share", String(db === null ? 0 : share(db)));
    setAttr(node, "data-state", momentState(db, limit));
    tick.style.setProperty("--share", String(share(limit)));
  };
  set(null, limitDb);
  return { node, set };
}

function share(db) {
  return Math.min(1, Math.max(0, (db - LOW_DB) / (HIGH_DB - LOW_DB)));
}

/** A number that follows the live level of a device; without fresh seconds it says that there are none. */
export function liveLevel(device, name) {
  const value = h("span", { class: "live-number", data: { testid: "live-level", device } }, NONE);
  const node = h("span", { class: "live" }, h("span", { class: "spoken" }, t("level.live_of", { name })), value,
    h("span", { class: "unit" }, "dB"));
  let last = null;
  const show = () => {
    const fresh = last !== null && isFresh(Date.parse(last.t));
    setText(value, fresh ? level(last.laeq_db) : NONE);
    setAttr(node, "data-fresh", fresh ? "yes" : "no");
    setAttr(node, "data-valid", fresh && !last.valid ? "no" : null);
    setAttr(value, "data-t", fresh ? last.t : null);
    setAttr(node, "title", fresh && !last.valid ? t("level.invalid", { why: (last.flags ?? []).map((f) => t(`flag.${f}`)).join("、") }) : null);
    return fresh ? last.laeq_db : null;
  };
  return {
    node,
    show,
    /** Keep a second without showing it. */
    keep(one) {
      if (last === null || one.t >= last.t) last = one;
    },
  };
}

/** "Reference" beside what a meter that is not type approved measured. */
export function indicativeMark() {
  return h("span", { class: "chip chip-plain", title: t("frame.indicative_note"), data: { testid: "indicative" } },
    t("level.indicative"), h("span", { class: "spoken" }, t("frame.indicative_note")));
}
