// What stands where there is nothing to show: loading, nothing there, an error in words; and short notices.

import { fill, h } from "../dom.js";
import { t } from "../i18n.js";

/** Grey shapes of the size of what is to come, so that nothing jumps. */
export function loading(rows = 3, shape = "row") {
  return h(
    "div",
    { class: `loading loading-${shape}`, role: "status" },
    h("span", { class: "spoken" }, t("state.loading")),
    Array.from({ length: rows }, () => h("span", { class: "loading-bar", "aria-hidden": "true" })),
  );
}

/** A sentence where there is nothing, with what to do about it. */
export function empty(title, hint = "", action = null) {
  return h("div", { class: "empty", data: { testid: "empty" } }, h("p", { class: "empty-title" }, title),
    hint && h("p", { class: "empty-hint" }, hint), action);
}

/** An error in words, with a button to try again. */
export function failure(error, retry) {
  return h(
    "div",
    { class: "failure", role: "alert", data: { testid: "failure" } },
    h("p", { class: "failure-title" }, t("state.failed")),
    h("p", {}, error.message),
    retry && h("button", { class: "button", type: "button", on: { click: retry } }, t("state.retry")),
  );
}

/** Load something into a node: shapes first, then what `show` makes of it, or the error with a retry. */
export async function into(node, load, show, shapes = loading()) {
  if (!node.childElementCount) fill(node, shapes);
  node.setAttribute("aria-busy", "true");
  try {
    const answer = await load();
    fill(node, show(answer));
  } catch (error) {
    if (error.name === "AbortError") return;
    fill(node, failure(error, () => into(node, load, show, shapes)));
  } finally {
    node.removeAttribute("aria-busy");
  }
}

let toasts = null;

/** A short notice that goes by itself; screen readers say it. */
export function toast(text, kind = "good") {
  if (!toasts?.isConnected) {
    toasts = h("div", { class: "toasts", role: "status", "aria-live": "polite" });
    document.body.append(toasts);
  }
  const one = h("div", { class: `toast toast-${kind}` }, text);
  toasts.append(one);
  setTimeout(() => one.remove(), 6000);
}
