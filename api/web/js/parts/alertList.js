// A list of open alerts that keeps itself up to date and keeps what somebody is writing.

import { get } from "../api.js";
import { every, fill, h } from "../dom.js";
import { t } from "../i18n.js";
import { live } from "../live.js";
import { outbox } from "../outbox.js";
import { alertRow } from "./alerts.js";
import { empty, failure, loading } from "./states.js";

const SHOWN = 50;

/** A list of open alerts, of one site or of all. `zone` gives a site's timezone. */
export function alertList({ site = null, showSite = true, signal, zone = () => "Asia/Shanghai", withPending = false }) {
  const place = h("div", { class: "alerts", data: { testid: "alert-list" } }, loading(2));
  const rows = new Map();
  const load = async () => {
    let answer;
    try {
      answer = await get("/alerts", { state: "open", site, limit: SHOWN }, signal);
    } catch (error) {
      if (error.name !== "AbortError") fill(place, failure(error, load));
      rows.clear();
      return;
    }
    const items = answer.items.filter((one) => withPending || one.state !== "pending").sort(byUrgency);
    if (!items.length) {
      rows.clear();
      fill(place, empty(t("alert.none"), t("alert.none_hint")));
      return;
    }
    show(place, rows, items, (one) => alertRow(one, { showSite, timezone: zone(one.site), changed: load }));
  };
  outbox.addEventListener("changed", ({ detail }) => detail.sent + detail.refused > 0 && load(), { signal });
  let waiting = 0;
  const soon = () => {
    clearTimeout(waiting);
    waiting = setTimeout(load, 150);
  };
  live.addEventListener("alert", (event) => (site === null || event.detail.site === site) && soon(), { signal });
  live.addEventListener("resync", soon, { signal });
  every(30_000, signal, load);
  signal.addEventListener("abort", () => clearTimeout(waiting));
  load();
  return place;
}

const URGENCY = { escalated: 0, firing: 1, acknowledged: 2, pending: 3 };

function byUrgency(a, b) {
  return URGENCY[a.state] - URGENCY[b.state] || b.id - a.id;
}

/** Show rows in order; a row stays as it is where its alert did not change, or where somebody writes in it. */
function show(place, rows, items, make) {
  const wanted = [];
  for (const one of items) {
    const known = rows.get(one.id);
    const writing = known?.node.contains(document.activeElement) && document.activeElement.tagName === "TEXTAREA";
    const same = known && known.state === one.state && (known.updated === one.updated_at || writing);
    if (!same) rows.set(one.id, { state: one.state, updated: one.updated_at, node: make(one) });
    wanted.push(rows.get(one.id).node);
  }
  for (const id of [...rows.keys()]) if (!items.some((one) => one.id === id)) rows.delete(id);
  const present = [...place.children];
  if (present.length === wanted.length && wanted.every((node, i) => node === present[i])) return;
  place.replaceChildren(...wanted);
}
