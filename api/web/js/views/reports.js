// All reports that the user may see; offices order those on all quarters here.

import { get } from "../api.js";
import { h } from "../dom.js";
import { t } from "../i18n.js";
import { reportsPanel } from "../parts/reportsPanel.js";
import { into, loading } from "../parts/states.js";
import { isOffice } from "../session.js";

/** The page of reports: #/reports. */
export function reports({ signal }) {
  const place = h("div", {});
  into(place, () => get("/sites", {}, signal), ({ items }) => {
    const names = new Map(items.map((one) => [one.name, one.label]));
    return reportsPanel({ names, mayOrder: isOffice(), signal }).node;
  }, loading(3));
  return { title: t("reports.title"), node: h("div", { class: "records" }, h("h1", { tabindex: "-1" }, t("reports.title")), place) };
}
