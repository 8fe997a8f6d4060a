// One quarter as a card.

import { get } from "../api.js";
import { clockSpeed, refreshMs } from "../clock.js";
import { every, fill, h, setText } from "../dom.js";
import { level } from "../format.js";
import { label, t } from "../i18n.js";
import { path } from "../router.js";
import { indicativeMark, levelBar, liveLevel, marginWords, stateMark } from "./level.js";
import { sparkline } from "./sparkline.js";
import { waterLine } from "./water.js";

const MOST_DEVICES = 4;

/** Make a card of a site's summary; `view` tells it whether it is on the screen. It has take(site), level(live level) and tick(). */
export function siteCard(site, signal, view) {
  const mark = stateMark(site.state);
  const number = h("span", { class: "big-number", data: { testid: "site-level" } });
  const against = h("p", { class: "against", data: { testid: "site-margin" } });
  const where = h("p", { class: "caption where" });
  const trend = h("div", { class: "spark-place" });
  const water = h("div", { class: "water-place" });
  const counts = h("p", { class: "counts" });
  const indicative = h("span", {});
  const devices = new Map();
  const list = h("ul", { class: "devices-now" });
  const card = { site, seen: false };

  const take = (now) => {
    card.site = now;
    mark.set(now.shown, now.words);
    setText(number, level(now.worst?.laeq_db));
    setText(against, againstWords(now));
    setText(where, now.worst ? t("site.window", { minutes: Math.max(1, Math.round(now.window_s / 60)), device: label(now.worst.label) }) : t("site.no_level"));
    fill(indicative, now.indicative && indicativeMark());
    fill(counts, countsOf(now));
    takeDevices(now, devices, list);
  };
  take(site);
  const node = h(
    "article",
    { class: "card", data: { testid: "site-card", site: site.name } },
    h("header", { class: "card-head" },
      h("div", {}, h("h2", {}, h("a", { class: "card-link", href: path("site", site.name) }, label(site.label))),
        h("p", { class: "caption" }, [t("site.zone", { zone: site.zone_class }), site.district].filter(Boolean).join(" · "))),
      mark.node),
    h("div", { class: "card-level" },
      h("p", { class: "big" }, number, h("span", { class: "unit" }, " dB"), " ", indicative),
      h("div", {}, against, where)),
    trend,
    list,
    water,
    counts,
  );
  const show = (row) => row.bar.set(row.live.show(), card.site.limit.value_db);
  const tick = () => card.seen && devices.forEach(show);
  let loaded = false;
  view.watch(node, (seen) => {
    card.seen = seen;
    tick();
    if (!seen || loaded) return;
    loaded = true;
    loadTrend(trend, card, signal);
    loadWater(water, card, signal);
  });
  return {
    node,
    take,
    tick,
    level(one) {
      const row = devices.get(one.device);
      row?.live.keep(one);
      if (row && card.seen) show(row);
    },
  };
}

/** The level against the limit in words. */
export function againstWords(site) {
  const db = level(site.limit.value_db).replace(".0", "");
  const limit = site.limit.quiet ? t("limit.quiet", { name: label(site.limit.quiet), db }) : t(`limit.${site.limit.period}`, { db });
  const margin = marginWords(site.worst?.margin_db);
  return margin ? `${limit} · ${margin}` : limit;
}

function takeDevices(site, devices, list) {
  const wanted = site.levels.slice(0, MOST_DEVICES);
  for (const one of wanted) {
    if (devices.has(one.device)) continue;
    const row = { live: liveLevel(one.device, label(one.label)), bar: levelBar(site.limit.value_db) };
    row.node = h("li", {}, h("span", { class: "device-name" }, label(one.label)), row.bar.node, row.live.node);
    devices.set(one.device, row);
    list.append(row.node);
  }
  for (const [name, row] of devices) {
    if (wanted.some((one) => one.device === name)) continue;
    row.node.remove();
    devices.delete(name);
  }
  const rest = site.levels.length - wanted.length;
  list.dataset.more = rest > 0 ? t("site.more_devices", { n: rest }) : "";
}

function countsOf(site) {
  const { unanswered, acknowledged } = site.alerts;
  const { online, total } = site.devices;
  return [
    h("a", { href: path("site", site.name, "alerts"), class: unanswered ? "count count-bad" : "count", data: { testid: "site-alerts" } },
      unanswered ? t("site.alerts", { n: unanswered }) : t("site.no_alerts")),
    acknowledged > 0 && h("span", { class: "count" }, t("site.acknowledged", { n: acknowledged })),
    h("span", { class: online < total ? "count count-warn" : "count" }, t("site.devices", { online, total })),
  ];
}

function loadTrend(place, card, signal) {
  const load = async () => {
    try {
      const answer = await get("/noise/trend", { site: card.site.name }, signal);
      fill(place, sparkline(answer, trendWords(answer, card.site)), h("p", { class: "caption spark-caption" }, h("span", {}, t("site.trend")), h("span", {}, trendShort(answer))));
    } catch (error) {
      if (error.name !== "AbortError") fill(place, h("p", { class: "caption" }, error.message));
    }
  };
  every(refreshMs(120, clockSpeed() > 1 ? 10 : 120), signal, () => card.seen && load());
  load();
}

function trendShort(answer) {
  const known = answer.laeq_db.filter((db) => db !== null);
  if (!known.length) return t("state.no_data");
  return t("site.range", { low: level(Math.min(...known)), high: level(Math.max(...known)) });
}

function trendWords(answer, site) {
  return t("site.trend_words", { site: label(site.label), range: trendShort(answer) });
}

function loadWater(place, card, signal) {
  const load = async () => {
    try {
      const { total } = await get("/water/today", { site: card.site.name }, signal);
      fill(place, total.total_from === "none" ? h("p", { class: "caption", data: { testid: "water-today" } }, t("water.none")) : waterLine(total.today_l, total.yesterday_same_time_l));
    } catch (error) {
      if (error.name !== "AbortError") fill(place, h("p", { class: "caption" }, error.message));
    }
  };
  every(refreshMs(60, 8), signal, () => card.seen && load());
  load();
}
