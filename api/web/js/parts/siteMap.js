// All quarters on a map: each a disc with the colour of its state, and with its live level where there is room for it.

import { get } from "../api.js";
import { leaflet } from "../charts/leaflet.js";
import { h, setText } from "../dom.js";
import { level, NONE } from "../format.js";
import { label, t } from "../i18n.js";
import { isFresh } from "../live.js";
import { path } from "../router.js";
import { marginWords } from "./level.js";
import { failure, loading } from "./states.js";

const STATES = ["above", "near", "below", "no_data"];
const MOST_NUMBERS = 60; // levels inside the discs up to so many quarters; more would cover one another
const SMALL = 8;
const LARGE = 17;
const FIRST_ZOOM = 14;

/** Make the map. It has sites(list), levels(list), tick() and close(); `words(site)` names the state that is shown. */
export function siteMap({ signal, words }) {
  const ground = h("div", { class: "map", role: "group", "aria-label": t("map.title") }, loading(1, "card"));
  const legend = h("ul", { class: "map-legend", "aria-label": t("map.legend") });
  const note = h("p", { class: "caption map-note" });
  const node = h("div", { class: "map-place", data: { testid: "map" } }, ground, legend, note);
  let drawn = null;
  let latest = [];
  const start = async () => {
    try {
      const [library, on] = await Promise.all([leaflet(), get("/city/map", {}, signal)]);
      if (signal.aborted || drawn) return;
      ground.replaceChildren();
      drawn = draw(library, ground, on);
      drawn.sites(latest);
    } catch (error) {
      if (error.name !== "AbortError") ground.replaceChildren(failure(error, start));
    }
  };
  start();
  const close = () => {
    drawn?.close();
    drawn = null;
  };
  signal.addEventListener("abort", close);
  return {
    node,
    sites(sites) {
      latest = sites;
      legend.replaceChildren(...STATES.map((state) => legendRow(state, sites, words)));
      const placeless = sites.filter((site) => !placed(site)).length;
      setText(note, placeless ? t("map.placeless", { n: placeless }) : t("map.hint"));
      drawn?.sites(sites);
    },
    levels(levels) {
      drawn?.levels(levels);
    },
    tick() {
      drawn?.tick();
    },
    close,
  };
}

function placed(site) {
  return site.latitude !== null && site.longitude !== null;
}

function legendRow(state, sites, words) {
  const count = sites.filter((site) => site.shown === state).length;
  return h("li", { data: { state } }, h("span", { class: "map-key", "aria-hidden": "true" }), `${words(state)} ${count}`);
}

function draw(L, ground, on) {
  const map = L.map(ground, { preferCanvas: true, zoomControl: false, scrollWheelZoom: true, maxZoom: 19 });
  map.attributionControl.setPrefix("Leaflet");
  L.control.zoom({ position: "topright", zoomInTitle: t("map.zoom_in"), zoomOutTitle: t("map.zoom_out") }).addTo(map);
  L.control.scale({ imperial: false }).addTo(map);
  for (const one of on.tiles) {
    L.tileLayer(one.url, { attribution: one.attribution, subdomains: one.subdomains, maxZoom: 19, referrerPolicy: "origin" }).addTo(map);
  }
  map.setView([30.7, 111.3], FIRST_ZOOM);
  if (on.ground) groundPlan(L, on.ground).addTo(map);
  const discs = new Map();
  let seen = false;
  const resized = new ResizeObserver(() => map.invalidateSize({ animate: false }));
  resized.observe(ground);
  return {
    sites(sites) {
      const here = sites.filter(placed);
      const wanted = new Set(here.map((site) => site.name));
      for (const [name, disc] of discs) {
        if (!wanted.has(name)) {
          disc.remove();
          discs.delete(name);
        }
      }
      const numbers = here.length <= MOST_NUMBERS;
      for (const site of here) {
        if (!discs.has(site.name)) discs.set(site.name, discOf(L, map, site));
        discs.get(site.name).take(site, numbers);
      }
      if (!seen && here.length) {
        seen = true;
        map.fitBounds(here.map((site) => [site.latitude, site.longitude]), { padding: [48, 48], maxZoom: FIRST_ZOOM, animate: false });
      }
    },
    levels(levels) {
      for (const one of levels) discs.get(one.site)?.level(one);
    },
    tick() {
      for (const disc of discs.values()) disc.tick();
    },
    close() {
      resized.disconnect();
      map.remove();
    },
  };
}

/** Districts and grid, or whatever the bureau's own plan has: lines and surfaces with their names. */
function groundPlan(L, plan) {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const styles = {
    grid: { color: colour("line-strong"), weight: 0.5 },
    district: { color: colour("line-strong"), weight: 1.5, fillColor: colour("surface"), fillOpacity: 1 },
  };
  const own = { color: colour("line-strong"), weight: 1, fillColor: colour("surface"), fillOpacity: 0.6 };
  const group = L.layerGroup();
  L.geoJSON(plan, {
    interactive: false,
    style: (feature) => styles[feature.properties?.kind] ?? own,
    pointToLayer: (_feature, at) => L.circleMarker(at, { radius: 2, ...own }),
    onEachFeature: (feature, layer) => {
      const { kind, name } = feature.properties ?? {};
      if (name && kind !== "grid") nameOf(L, layer, kind, String(name)).addTo(group);
    },
  }).addTo(group);
  return group;
}

/** A name over a feature; that of a district stands above its border, where no quarter lies. */
function nameOf(L, layer, kind, name) {
  const bounds = layer.getBounds?.();
  const at = bounds ? (kind === "district" ? [bounds.getNorth(), bounds.getCenter().lng] : bounds.getCenter()) : layer.getLatLng();
  return L.tooltip(at, { permanent: true, interactive: false, direction: kind === "district" ? "top" : "center", className: "map-name", content: h("span", {}, name) });
}

/** One quarter's disc; what it shows is changed in place. */
function discOf(L, map, first) {
  const number = h("span", {}, NONE);
  const levels = h("p");
  const disc = L.circleMarker([first.latitude, first.longitude], { weight: 2 }).addTo(map);
  let site = first;
  let last = null;
  let numbered = null;
  let looks = "";
  const now = () => (last && isFresh(Date.parse(last.t)) ? last.laeq_db : null);
  const say = () => setText(levels, levelWords(site, now()));
  const show = () => {
    const db = now();
    setText(number, db === null ? NONE : String(Math.round(db)));
    if (disc.isPopupOpen()) say();
  };
  const note = () => {
    say();
    return popup(site, levels);
  };
  disc.bindPopup(note, { closeButton: false, minWidth: 200, maxWidth: 240, autoPanPaddingTopLeft: [12, 12], autoPanPaddingBottomRight: [52, 12] });
  return {
    take(next, numbers) {
      site = next;
      const wanted = `${site.shown} ${numbers}`;
      if (wanted !== looks) {
        looks = wanted;
        const style = getComputedStyle(document.documentElement);
        const of = (name) => style.getPropertyValue(`--${name}`).trim();
        const tone = site.shown === "no_data" ? "none" : site.shown;
        disc.setStyle({ color: of(tone), fillColor: of(`${tone}-soft`), fillOpacity: 0.95, weight: site.shown === "above" ? 4 : 2 });
        disc.setRadius(numbers ? LARGE : SMALL);
      }
      if (numbers !== numbered) {
        numbered = numbers;
        disc.unbindTooltip();
        if (numbers) disc.bindTooltip(number, { permanent: true, direction: "center", className: "map-number" });
        else disc.bindTooltip(() => label(site.label), { direction: "top" });
      }
    },
    level(one) {
      if (one.device !== (site.worst?.device ?? site.levels[0]?.device)) return;
      last = one;
      show();
    },
    tick: show,
    remove() {
      disc.remove();
    },
  };
}

function levelWords(site, db) {
  return t("map.level", { live: level(db), mean: level(site.worst?.laeq_db), limit: level(site.limit.value_db) });
}

function popup(site, levels) {
  return h("div", { class: "map-popup" },
    h("a", { class: "map-popup-name", href: path("site", site.name) }, label(site.label)),
    h("p", {}, site.words, site.period ? ` · ${site.period}` : ""),
    levels,
    h("p", { class: "caption" }, [site.district, t("site.zone_short", { zone: site.zone_class }), marginWords(site.worst?.margin_db)].filter(Boolean).join(" · ")));
}
