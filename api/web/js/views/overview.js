// All quarters: how each is now, its water, its open alerts.

import { get } from "../api.js";
import { refreshMs } from "../clock.js";
import { every, fill, h, setText } from "../dom.js";
import { label, t } from "../i18n.js";
import { latestLevels, live } from "../live.js";
import { alertList } from "../parts/alertList.js";
import { icon } from "../parts/icons.js";
import { siteCard } from "../parts/siteCard.js";
import { siteTable } from "../parts/siteTable.js";
import { empty, failure, loading } from "../parts/states.js";

const KEPT_VIEW = "quietwater.overview";
const FILTERS = ["all", "above", "near", "alerts", "no_data"];
const SEARCH_FROM = 8;
const ORDER = { above: 0, near: 1, below: 2, no_data: 3 };

/** The overview. */
export function overview({ signal }) {
  const state = { sites: [], filter: "all", words: "", view: keptView(), shown: null };
  const summary = h("p", { class: "summary", data: { testid: "summary" } }, "\u00a0");
  const tools = h("div", { class: "tools" });
  const place = h("div", { class: "sites" }, loading(3, "card"));
  const zones = new Map();
  const alerts = h("section", { class: "side", "aria-labelledby": "alerts-title" },
    h("h2", { id: "alerts-title" }, t("alert.open_title")),
    alertList({ signal, zone: (site) => zones.get(site) ?? "Asia/Shanghai" }));
  const render = () => renderSites(place, state, signal);
  const load = async () => {
    try {
      const { items } = await get("/sites", {}, signal);
      state.sites = items;
      for (const site of items) zones.set(site.name, site.timezone);
      setText(summary, summaryWords(items));
      tools.hidden = items.length < 2;
      if (!tools.childElementCount || tools.dataset.many !== String(items.length >= SEARCH_FROM)) {
        renderTools(tools, state, render);
      }
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
        h("div", { class: "head" }, h("h1", { tabindex: "-1" }, t("overview.title")), summary), tools, place),
      alerts),
  };
}

function keptView() {
  try {
    return localStorage.getItem(KEPT_VIEW) === "table" ? "table" : "cards";
  } catch {
    return "cards";
  }
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

function renderTools(tools, state, render) {
  const many = state.sites.length >= SEARCH_FROM;
  tools.dataset.many = String(many);
  const choices = FILTERS.map((key) =>
    h("button", {
      class: "choice", type: "button", "aria-pressed": String(state.filter === key), data: { filter: key },
      on: {
        click: () => {
          state.filter = key;
          for (const one of choices) one.setAttribute("aria-pressed", String(one.dataset.filter === key));
          render();
        },
      },
    }, t(`filter.${key}`)));
  const search = many && h("input", {
    type: "search", class: "search", placeholder: t("overview.search"), "aria-label": t("overview.search"), value: state.words,
    on: { input: (event) => { state.words = event.target.value.trim().toLowerCase(); render(); } },
  });
  const views = ["cards", "table"].map((view) =>
    h("button", {
      class: "choice", type: "button", "aria-pressed": String(state.view === view), title: t(`view.${view}`), data: { view, testid: `view-${view}` },
      on: {
        click: () => {
          state.view = view;
          for (const one of views) one.setAttribute("aria-pressed", String(one.dataset.view === view));
          try {
            localStorage.setItem(KEPT_VIEW, view);
          } catch {
            // not kept, still shown
          }
          render();
        },
      },
    }, icon(view), h("span", { class: "spoken" }, t(`view.${view}`))));
  fill(tools,
    h("div", { class: "choices", role: "group", "aria-label": t("overview.filter") }, choices), search,
    h("div", { class: "choices choices-view", role: "group", "aria-label": t("overview.view") }, views));
}

function renderSites(place, state, signal) {
  const sites = state.sites.filter((site) => passes(site, state));
  const kind = sites.length ? state.view : "empty";
  if (state.shown?.kind !== kind || kind === "empty") {
    state.shown?.close?.();
    state.shown = kind === "cards" ? cards(place, signal) : kind === "table" ? table(place) : nothing(place, state);
  }
  state.shown.sites(sites);
  state.shown.levels(latestLevels());
}

function passes(site, state) {
  const { filter, words } = state;
  const fits = filter === "all" || (filter === "alerts" ? site.alerts.unanswered > 0 : site.state === filter);
  return fits && (!words || [site.name, site.label.zh, site.label.en, site.district].some((one) => one.toLowerCase().includes(words)));
}

function nothing(place, state) {
  const none = state.sites.length === 0;
  fill(place, none ? empty(t("overview.empty"), t("overview.empty_hint")) : empty(t("overview.no_match")));
  return { kind: "empty", sites() {}, levels() {}, tick() {} };
}

function table(place) {
  const shown = siteTable();
  fill(place, shown.node);
  return { kind: "table", sites: shown.sites, levels: shown.levels, tick: shown.tick };
}

/** Cards by site; each is made once and changed in place, so that nothing jumps. */
function cards(place, signal) {
  const known = new Map();
  fill(place);
  return {
    kind: "cards",
    sites(sites) {
      const order = known.size ? sites.slice().sort(byPlace(known)) : sites.slice().sort(byState);
      for (const site of order) {
        if (!known.has(site.name)) known.set(site.name, siteCard(site, signal));
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
