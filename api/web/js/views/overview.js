// All quarters: how each is now or stood over a period, its water, its open alerts; as cards, table or map.

import { get } from "../api.js";
import { refreshMs } from "../clock.js";
import { every, fill, h, setText } from "../dom.js";
import { percent } from "../format.js";
import { label, t } from "../i18n.js";
import { latestLevels, live } from "../live.js";
import { alertList } from "../parts/alertList.js";
import { chosen, cityTools, firstChoice } from "../parts/cityTools.js";
import { inView } from "../parts/inView.js";
import { siteCard } from "../parts/siteCard.js";
import { siteMap } from "../parts/siteMap.js";
import { siteTable } from "../parts/siteTable.js";
import { loadStandings, shownState } from "../parts/standings.js";
import { empty, failure, loading, toast } from "../parts/states.js";

const ORDER = { above: 0, near: 1, below: 2, no_data: 3 };

/** The overview. */
export function overview({ signal }) {
  const state = { sites: [], standings: null, choice: firstChoice(), shown: null };
  const summary = h("p", { class: "summary", data: { testid: "summary" } }, "\u00a0");
  const place = h("div", { class: "sites" }, loading(3, "card"));
  const zones = new Map();
  const alerts = h("section", { class: "side", "aria-labelledby": "alerts-title" },
    h("h2", { id: "alerts-title" }, t("alert.open_title")),
    alertList({ signal, zone: (site) => zones.get(site) ?? "Asia/Shanghai" }));
  const render = () => renderSites(place, state, signal);
  const loadPeriod = async () => {
    const { period } = state.choice;
    try {
      const standings = period === "now" ? null : await loadStandings(period, signal);
      if (period !== state.choice.period) return;
      state.standings = standings;
      render();
    } catch (error) {
      if (error.name !== "AbortError") toast(error.message, "bad");
    }
  };
  const tools = cityTools(state.choice, (key) => (key === "period" ? loadPeriod() : render()));
  const load = async () => {
    try {
      const { items } = await get("/sites", {}, signal);
      state.sites = items;
      for (const site of items) zones.set(site.name, site.timezone);
      setText(summary, summaryWords(items));
      tools.sites(items);
      render();
    } catch (error) {
      if (error.name !== "AbortError" && !state.sites.length) fill(place, failure(error, load));
    }
  };
  live.addEventListener("levels", (event) => state.shown?.levels(event.detail.levels), { signal });
  live.addEventListener("resync", load, { signal });
  live.addEventListener("alert", load, { signal });
  live.addEventListener("device", load, { signal });
  const stale = setInterval(() => state.shown?.tick(), 1000);
  signal.addEventListener("abort", () => clearInterval(stale));
  every(refreshMs(15), signal, load);
  load();
  return {
    title: t("ways.sites"),
    node: h("div", { class: "overview" },
      h("div", { class: "overview-main" },
        h("div", { class: "head" }, h("h1", { tabindex: "-1" }, t("overview.title")), summary), tools.node, place),
      alerts),
  };
}

function summaryWords(sites) {
  const above = sites.filter((site) => site.state === "above").length;
  const alerts = sites.reduce((sum, site) => sum + site.alerts.unanswered, 0);
  const online = sites.reduce((sum, site) => sum + site.devices.online, 0);
  const total = sites.reduce((sum, site) => sum + site.devices.total, 0);
  return [
    t("overview.sites", { n: sites.length }),
    above ? t("overview.above", { n: above }) : t("overview.none_above"),
    t("overview.alerts", { n: alerts }),
    t("overview.devices", { online, total }),
  ].join(t("overview.comma"));
}

function renderSites(place, state, signal) {
  const { choice, standings } = state;
  const sites = state.sites
    .map((site) => {
      const shown = shownState(site, standings);
      return { ...site, shown, words: stateWords(shown, standings), ...periodOf(standings?.get(site.name)) };
    })
    .filter((site) => chosen(site, choice));
  const kind = sites.length || choice.view === "map" ? choice.view : "empty";
  if (state.shown?.kind !== kind || kind === "empty") {
    state.shown?.close?.();
    const words = (one) => stateWords(one, state.standings);
    state.shown = { cards: () => cards(place, signal), table: () => table(place, signal), map: () => map(place, signal, words), empty: () => nothing(place, state) }[kind]();
  }
  state.shown.sites(sites);
  state.shown.levels(latestLevels());
}

/** The share of a period's judged days and nights within their limits, or why there is none. */
function periodOf(standing) {
  if (!standing) return { period: "", share: null };
  const judged = standing.days + standing.nights;
  const within = standing.days_within + standing.nights_within;
  const words = judged ? t("standing.share", { share: percent(standing.share_within), within, judged }) : t("standing.no_data");
  return { period: words, share: standing.share_within };
}

function stateWords(state, standings) {
  return t(standings ? `standing.${state}` : `state.${state}`);
}

function nothing(place, state) {
  const none = state.sites.length === 0;
  fill(place, none ? empty(t("overview.empty"), t("overview.empty_hint")) : empty(t("overview.no_match")));
  return { kind: "empty", sites() {}, levels() {}, tick() {} };
}

function table(place, signal) {
  const shown = siteTable(signal);
  fill(place, shown.node);
  return { kind: "table", ...shown };
}

function map(place, signal, words) {
  const shown = siteMap({ signal, words });
  fill(place, shown.node);
  return { kind: "map", ...shown };
}

/** Cards by site; each is made once and changed in place, so that nothing jumps. */
function cards(place, signal) {
  const known = new Map();
  const view = inView(signal);
  fill(place);
  return {
    kind: "cards",
    sites(sites) {
      const order = known.size ? sites.slice().sort(byPlace(known)) : sites.slice().sort(byState);
      for (const site of order) {
        if (!known.has(site.name)) known.set(site.name, siteCard(site, signal, view));
        else known.get(site.name).take(site);
      }
      const wanted = order.map((site) => known.get(site.name).node);
      if (wanted.length !== place.children.length || wanted.some((node, i) => node !== place.children[i])) place.replaceChildren(...wanted);
    },
    levels(levels) {
      for (const one of levels) known.get(one.site)?.level(one);
    },
    tick() {
      for (const card of known.values()) card.tick();
    },
  };
}

function byState(a, b) {
  return ORDER[a.state] - ORDER[b.state] || label(a.label).localeCompare(label(b.label));
}

/** Cards keep the place they had: they must not jump while somebody reads. */
function byPlace(known) {
  const places = new Map([...known.keys()].map((name, i) => [name, i]));
  return (a, b) => (places.get(a.name) ?? 1e9) - (places.get(b.name) ?? 1e9);
}
