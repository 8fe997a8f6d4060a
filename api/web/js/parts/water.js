// Water today against yesterday.

import { h } from "../dom.js";
import { comparison, volume } from "../format.js";
import { t } from "../i18n.js";

/** Today, and yesterday at the same time, in one line. */
export function waterLine(today, before) {
  const compared = comparison(today, before);
  return h(
    "div",
    { class: "water-line", data: { testid: "water-today" } },
    h("span", { class: "water-now" }, h("span", { class: "caption" }, t("water.today")), h("strong", {}, volume(today))),
    h("span", { class: "water-before" }, h("span", { class: "caption" }, t("water.same_time")), h("span", {}, volume(before))),
    compared && h("span", { class: "water-change", data: { more: today > before ? "yes" : "no" } }, compared),
  );
}

/** Two bars to one scale: today and yesterday at the same time. */
export function waterBars(today, before, scale) {
  const bar = (value, kind) => {
    const node = h("span", { class: `water-bar water-bar-${kind}` });
    node.style.setProperty("--share", String(scale > 0 && value ? Math.min(1, value / scale) : 0));
    return node;
  };
  return h("span", { class: "water-bars", "aria-hidden": "true" }, bar(today, "today"), bar(before, "before"));
}
