// All quarters as a table that can be sorted.

import { fill, h, setAttr, setText } from "../dom.js";
import { level, NONE } from "../format.js";
import { label, t } from "../i18n.js";
import { path } from "../router.js";
import { inView } from "./inView.js";
import { liveLevel, marginWords, stateMark } from "./level.js";

const STATES = { above: 0, near: 1, below: 2, no_data: 3 };
const COLUMNS = [
  ["name", (site) => label(site.label), "text"],
  ["district", (site) => site.district, "text"],
  ["zone", (site) => site.zone_class, "text"],
  ["state", (site) => STATES[site.shown], "number"],
  ["period", (site) => site.share ?? -1, "number"],
  ["live", null, null],
  ["level", (site) => site.worst?.laeq_db ?? -999, "number"],
  ["limit", (site) => site.limit.value_db, "number"],
  ["margin", (site) => site.worst?.margin_db ?? -999, "number"],
  ["alerts", (site) => site.alerts.unanswered, "number"],
  ["devices", (site) => site.devices.online / Math.max(1, site.devices.total), "number"],
];
const AT_ONCE = 100;
const DESCENDING_FIRST = new Set(["level", "margin", "alerts"]);

/** Make the table. It has sites(list), levels(list) and tick(). */
export function siteTable(signal) {
  const rows = new Map();
  const view = inView(signal);
  const words = new Intl.Collator("zh-CN").compare;
  const order = { key: "margin", descending: true };
  let present = [];
  const body = h("tbody");
  const heads = COLUMNS.map(([key, value]) => headOf(key, value, order, () => arrange()));
  const table = h("table", { class: "table site-table" }, h("thead", {}, h("tr", {}, heads)), body);
  const node = h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": t("overview.title") }, table);
  const arrange = () => {
    for (const head of heads) {
      setAttr(head, "aria-sort", head.dataset.key === order.key ? (order.descending ? "descending" : "ascending") : null);
    }
    const [, value, kind] = COLUMNS.find(([key]) => key === order.key);
    const sign = order.descending ? -1 : 1;
    const sorted = present.slice().sort((a, b) =>
      sign * (kind === "text" ? words(value(a), value(b)) : value(a) - value(b)) || (a.name < b.name ? -1 : 1));
    place(sorted);
  };
  const rowFor = (site) => {
    if (!rows.has(site.name)) {
      rows.set(site.name, rowOf(site, view));
      rows.get(site.name).take(site);
    }
    return rows.get(site.name).node;
  };
  // A thousand rows at once would hold the page up: the first come now, the others frame by frame.
  let coming = 0;
  const place = (sites, from = 0, mine = ++coming) => {
    if (mine !== coming || signal.aborted) return;
    const upto = Math.min(sites.length, from + AT_ONCE);
    for (let i = from; i < upto; i += 1) {
      const row = rowFor(sites[i]);
      if (body.children[i] !== row) body.insertBefore(row, body.children[i] ?? null);
    }
    if (upto < sites.length) requestAnimationFrame(() => place(sites, upto, mine));
    else while (body.children.length > sites.length) body.lastChild.remove();
  };
  return {
    node,
    sites(sites) {
      present = sites;
      setAttr(table, "data-period", sites.some((site) => site.period) ? "yes" : "no");
      for (const site of sites) rows.get(site.name)?.take(site);
      arrange();
    },
    levels(levels) {
      for (const one of levels) rows.get(one.site)?.level(one);
    },
    tick() {
      for (const row of rows.values()) row.tick();
    },
  };
}

function headOf(key, value, order, arrange) {
  const words = t(`column.${key}`);
  if (!value) return h("th", { scope: "col", data: { key } }, words);
  return h("th", { scope: "col", class: `of-${key}`, data: { key } }, h("button", {
    type: "button", class: "sort",
    on: {
      click: () => {
        order.descending = order.key === key ? !order.descending : DESCENDING_FIRST.has(key);
        order.key = key;
        arrange();
      },
    },
  }, words));
}

function rowOf(site, view) {
  const mark = stateMark(site.state);
  const cells = Object.fromEntries(["period", "level", "limit", "margin", "alerts", "devices"].map((key) => [key, h("td", { class: `right of-${key}` })]));
  const lives = new Map();
  const livePlace = h("td", { class: "right live-cell" });
  const node = h("tr", { data: { testid: "site-row", site: site.name } },
    h("th", { scope: "row" }, h("a", { href: path("site", site.name) }, label(site.label))),
    h("td", {}, site.district), h("td", {}, t("site.zone_short", { zone: site.zone_class })), h("td", {}, mark.node), cells.period, livePlace,
    cells.level, cells.limit, cells.margin, cells.alerts, cells.devices);
  let worst = null;
  let seen = false;
  const tick = () => seen && lives.get(worst)?.show();
  view.watch(node, (now) => {
    seen = now;
    tick();
  });
  return {
    node,
    take(now) {
      mark.set(now.shown, now.words);
      setText(cells.period, now.period || NONE);
      setText(cells.level, level(now.worst?.laeq_db));
      setText(cells.limit, level(now.limit.value_db));
      setText(cells.margin, marginWords(now.worst?.margin_db) || "–");
      setText(cells.alerts, String(now.alerts.unanswered));
      setText(cells.devices, `${now.devices.online}/${now.devices.total}`);
      for (const one of now.levels) if (!lives.has(one.device)) lives.set(one.device, liveLevel(one.device, label(one.label)));
      const wanted = now.worst?.device ?? now.levels[0]?.device ?? null;
      if (wanted !== worst) {
        worst = wanted;
        fill(livePlace, wanted && lives.get(wanted).node);
      }
    },
    level(one) {
      const shown = lives.get(one.device);
      shown?.keep(one);
      if (seen && one.device === worst) shown?.show();
    },
    tick,
  };
}
