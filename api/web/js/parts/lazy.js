// A part of the page that is loaded when somebody opens it.

import { fill, h } from "../dom.js";
import { failure, loading } from "./states.js";

/** A heading that opens; `load` is given the place to fill, once. */
export function lazyPart(title, testid, load) {
  const place = h("div");
  const node = h("details", { class: "more", data: { testid } }, h("summary", {}, title), place);
  const open = async () => {
    fill(place, loading(3));
    try {
      await load(place);
    } catch (error) {
      if (error.name !== "AbortError") fill(place, failure(error, open));
    }
  };
  node.addEventListener("toggle", () => node.open && !place.childElementCount && open());
  return node;
}

/** A table in a place that scrolls sideways by itself. */
export function scrollTable(title, columns, rows) {
  return h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": title },
    h("table", { class: "table" }, h("thead", {}, h("tr", {}, columns.map((one) => h("th", { scope: "col" }, one)))),
      h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell, i) => (i ? h("td", {}, cell) : h("th", { scope: "row" }, cell))))))));
}

/** Facts in a list: [[name, value], …]; those without a value are left out. */
export function facts(items) {
  return h("dl", { class: "facts" }, items.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}
