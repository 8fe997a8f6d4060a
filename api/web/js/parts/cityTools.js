// What the overview is narrowed to and how it is shown: state, words, district, zone, period, view.

import { h, setAttr } from "../dom.js";
import { t } from "../i18n.js";
import { icon } from "./icons.js";
import { PERIODS } from "./standings.js";

const KEPT_VIEW = "quietwater.overview";
const VIEWS = ["cards", "table", "map"];
const STATES = ["all", "above", "near", "alerts", "no_data"];
const SEARCH_FROM = 8;

/** What an overview begins with. */
export function firstChoice() {
  return { state: "all", words: "", district: "", zone: "", period: "now", view: keptView() };
}

/** Whether a quarter is among the chosen ones; `shown` is the state that is shown of it. */
export function chosen(site, choice) {
  const { state, words, district, zone } = choice;
  const fits = state === "all" || (state === "alerts" ? site.alerts.unanswered > 0 : site.shown === state);
  return fits && (!district || site.district === district) && (!zone || site.zone_class === zone)
    && (!words || [site.name, site.label.zh, site.label.en, site.district].some((one) => one.toLowerCase().includes(words)));
}

/** Make the tools; `changed(key)` is called after a choice. They have sites(list), which offers what there is. */
export function cityTools(choice, changed) {
  const take = (key) => (value) => {
    choice[key] = value;
    if (key === "view") keep(value);
    changed(key);
  };
  const states = buttons(STATES.map((key) => [key, t(`filter.${key}`)]), choice.state, take("state"), "filter");
  const views = buttons(VIEWS.map((view) => [view, [icon(view), h("span", { class: "spoken" }, t(`view.${view}`))]]), choice.view, take("view"), "view");
  const search = h("input", {
    type: "search", class: "search", placeholder: t("overview.search"), "aria-label": t("overview.search"), value: choice.words,
    on: { input: (event) => take("words")(event.target.value.trim().toLowerCase()) },
  });
  const district = select(t("overview.district"), "district", take("district"));
  const zone = select(t("overview.zone"), "zone", take("zone"));
  const period = select(t("overview.period"), "period", take("period"));
  offer(period, Object.keys(PERIODS).map((key) => [key, t(`period.${key}`)]), choice.period);
  const node = h("div", { class: "tools" },
    h("div", { class: "choices", role: "group", "aria-label": t("overview.filter") }, states), search, district, zone, period,
    h("div", { class: "choices choices-view", role: "group", "aria-label": t("overview.view") }, views));
  return {
    node,
    sites(sites) {
      const districts = distinct(sites.map((site) => site.district));
      const zones = distinct(sites.map((site) => site.zone_class));
      node.hidden = sites.length < 2;
      search.hidden = sites.length < SEARCH_FROM;
      district.hidden = districts.length < 2;
      zone.hidden = zones.length < 2;
      offer(district, [["", t("overview.any_district")], ...districts.map((one) => [one, one])], choice.district);
      offer(zone, [["", t("overview.any_zone")], ...zones.map((one) => [one, t("site.zone_short", { zone: one })])], choice.zone);
    },
  };
}

function buttons(options, first, take, key) {
  const made = options.map(([value, content]) =>
    h("button", {
      class: "choice", type: "button", "aria-pressed": String(value === first), title: key === "view" ? t(`view.${value}`) : null,
      data: { [key]: value, testid: `${key}-${value}` },
      on: {
        click: () => {
          for (const one of made) setAttr(one, "aria-pressed", String(one.dataset[key] === value));
          take(value);
        },
      },
    }, content));
  return made;
}

function select(name, key, take) {
  return h("select", { class: "pick", "aria-label": name, data: { testid: `pick-${key}` }, on: { change: (event) => take(event.target.value) } });
}

function offer(node, options, value) {
  const now = JSON.stringify(options);
  if (node.dataset.offered !== now) {
    node.dataset.offered = now;
    node.replaceChildren(...options.map(([key, words]) => h("option", { value: key }, words)));
  }
  node.value = value;
}

function distinct(values) {
  return [...new Set(values.filter(Boolean))].sort((a, b) => a.localeCompare(b, "zh-CN"));
}

function keptView() {
  try {
    const kept = localStorage.getItem(KEPT_VIEW);
    return VIEWS.includes(kept) ? kept : "cards";
  } catch {
    return "cards";
  }
}

function keep(view) {
  try {
    localStorage.setItem(KEPT_VIEW, view);
  } catch {
    // not kept, still shown
  }
}
