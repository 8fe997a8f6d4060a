// One quarter: noise, water, alerts, devices.

import { get } from "../api.js";
import { refreshMs } from "../clock.js";
import { every, fill, h, setText } from "../dom.js";
import { level } from "../format.js";
import { label, t } from "../i18n.js";
import { live } from "../live.js";
import { alertHistory } from "../parts/alertHistory.js";
import { alertList } from "../parts/alertList.js";
import { devicePanel } from "../parts/devicePanel.js";
import { icon } from "../parts/icons.js";
import { lazyPart } from "../parts/lazy.js";
import { stateMark } from "../parts/level.js";
import { noisePanel } from "../parts/noisePanel.js";
import { patternsPanel } from "../parts/patternsPanel.js";
import { reportsPanel } from "../parts/reportsPanel.js";
import { rulesPanel } from "../parts/rulesPanel.js";
import { againstWords } from "../parts/siteCard.js";
import { failure, loading } from "../parts/states.js";
import { waterPanel } from "../parts/waterPanel.js";
import { path } from "../router.js";

/** A quarter's page: #/site/NAME/SECTION/DEVICE/RANGE. */
export function quarter({ parts, signal }) {
  const [name, section, device, range] = parts;
  const place = h("div", { class: "quarter" }, loading(4, "card"));
  const start = async () => {
    try {
      show(place, await get(`/sites/${encodeURIComponent(name)}`, {}, signal), { section, device, range, signal });
    } catch (error) {
      if (error.name !== "AbortError") fill(place, failure(error, start));
    }
  };
  start();
  return { title: name, node: place };
}

function show(place, site, { section, device, range, signal }) {
  document.title = `${label(site.label)} · ${t("app.name")}`;
  const noise = noisePanel(site, { device, range, signal });
  const head = headOf(site);
  const sections = {
    noise: part("noise", t("noise.title"), [
      noise.node,
      site.levels.length > 0 && lazyPart(t("day.title"), "judged-day", async (node) => (await import("../parts/judgedDay.js")).judgedDay(node, site, signal)),
      site.levels.length > 0 && lazyPart(t("check.title"), "checks", async (node) => (await import("../parts/checks.js")).sourceChecks(node, site, signal)),
    ]),
    patterns: part("patterns", t("patterns.title"), patternsPanel(site, { device: device ?? site.worst?.device, signal }).node),
    water: part("water", t("water.title"), [
      waterPanel(site, { signal }).node,
      lazyPart(t("use.title"), "water-account", async (node) => (await import("../parts/waterAccount.js")).waterAccount(node, site, signal)),
    ]),
    alerts: part("alerts", t("alert.open_title"), [
      alertList({ site: site.name, showSite: false, signal, zone: () => site.timezone, withPending: true }),
      alertHistory(site, signal),
      rulesPanel(site, signal),
      lazyPart(t("judging.title"), "judging", async (node) => (await import("../parts/judging.js")).judging(node, site, signal)),
    ]),
    devices: part("devices", t("device.title"), devicePanel(site, { signal }).node),
    reports: part("reports", t("reports.title"), reportsPanel({ site, signal }).node),
  };
  const jumps = Object.keys(sections).map((key) =>
    h("a", { class: "way", href: path("site", site.name, key), on: { click: (event) => jump(event, sections[key]) } }, t(`section.${key}`)));
  fill(place, head.node, h("nav", { class: "jumps", "aria-label": t("quarter.sections") }, jumps), Object.values(sections));
  const load = async () => {
    try {
      const next = await get(`/sites/${encodeURIComponent(site.name)}`, {}, signal);
      head.take(next);
      noise.take(next);
    } catch {
      // the connection's state is in the frame; what is shown stays
    }
  };
  live.addEventListener("resync", load, { signal });
  live.addEventListener("alert", (event) => event.detail.site === site.name && load(), { signal });
  every(refreshMs(15), signal, load);
  if (section && section !== "noise") sections[section]?.scrollIntoView();
}

function jump(event, target) {
  event.preventDefault();
  target.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  target.querySelector("h2").focus({ preventScroll: true });
}

function part(key, title, ...content) {
  return h("section", { class: `part part-${key}`, id: `part-${key}`, "aria-labelledby": `title-${key}` },
    h("h2", { id: `title-${key}`, tabindex: "-1" }, title), content);
}

function headOf(site) {
  const mark = stateMark(site.state);
  const number = h("span", { class: "big-number", data: { testid: "site-level" } });
  const against = h("span", { class: "against" });
  const where = h("span", { class: "caption" });
  const take = (next) => {
    mark.set(next.state);
    setText(number, level(next.worst?.laeq_db));
    setText(against, againstWords(next));
    setText(where, next.worst ? t("site.window", { minutes: Math.max(1, Math.round(next.window_s / 60)), device: label(next.worst.label) }) : t("site.no_level"));
  };
  take(site);
  return {
    take,
    node: h("header", { class: "quarter-head" },
      h("a", { class: "back", href: "#/" }, icon("back"), t("quarter.back")),
      h("div", { class: "quarter-title" }, h("h1", { tabindex: "-1" }, label(site.label)), mark.node),
      h("p", { class: "caption" }, [t("site.zone", { zone: site.zone_class }), t(`zone.${site.zone_class}`), site.district].filter(Boolean).join(" · ")),
      h("p", {}, h("a", { class: "button", href: path("dossier", site.name), data: { testid: "to-dossier" } }, icon("note"), t("dossier.title"))),
      h("div", { class: "quarter-level" }, h("p", { class: "big" }, number, h("span", { class: "unit" }, " dB")), h("div", { class: "quarter-against" }, against, where))),
  };
}
