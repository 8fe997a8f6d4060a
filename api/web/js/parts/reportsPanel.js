// Reports of a quarter, or of all quarters: order one, see how far it is, download it.

import { get, send } from "../api.js";
import { now } from "../clock.js";
import { h, setText } from "../dom.js";
import { clockTime, dateShort } from "../format.js";
import { label, language, t, tOr } from "../i18n.js";
import { toLocal } from "../zone.js";
import { empty, into, loading } from "./states.js";

const MONTHS = 24;
const YEARS = 5;
const SHOWN = 10;
const POLL_MS = 1500;
const ZONE = "Asia/Shanghai";
const OVER = ["done", "failed"];
const PROGRAMMES = ["quiet-2002", "ningjing", "water-saving"];
const DOSSIER = "dossier:";

/** The reports of `site`, or of all quarters where it is null (`names` then gives the labels of quarters). */
export function reportsPanel({ site = null, names = null, mayOrder = true, signal }) {
  const zone = site?.timezone ?? ZONE;
  const list = h("div", { class: "report-list" });
  const follow = follower(signal, () => load(false));
  const load = (shapes = true) => {
    const shown = (answer) => {
      follow(answer.items.some((one) => !OVER.includes(one.state)));
      return rows(answer.items.slice(0, SHOWN), { names, zone });
    };
    return into(list, () => get("/reports", { site: site?.name ?? null }, signal), shown, shapes ? loading(2) : null);
  };
  const node = h("div", { class: "reports", data: { testid: "reports" } },
    h("p", { class: "caption" }, t(site ? "reports.lead" : "reports.lead_all")),
    mayOrder && orderForm(site, zone, () => load(false)), list);
  whenSeen(node, signal, load);
  return { node };
}

/** Run a task when a node comes near the screen. */
function whenSeen(node, signal, task) {
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some((one) => one.isIntersecting)) return;
    observer.disconnect();
    task();
  }, { rootMargin: "300px" });
  observer.observe(node);
  signal.addEventListener("abort", () => observer.disconnect());
}

/** Ask again while something is under way. */
function follower(signal, task) {
  let timer = null;
  signal.addEventListener("abort", () => clearTimeout(timer));
  return (wanted) => {
    clearTimeout(timer);
    if (wanted && !signal.aborted) timer = setTimeout(task, POLL_MS);
  };
}

function orderForm(site, zone, ordered) {
  const period = select("period", [...periods(zone), ...(site ? PROGRAMMES.map((one) => [DOSSIER + one, programmeName(one)]) : [])]);
  const words = select("language", [["zh", "中文"], ["en", "English"]], language());
  const format = select("format", [["pdf", "PDF"], ["xlsx", "XLSX"]]);
  const told = h("p", { class: "form-error", role: "alert" });
  const act = h("button", { type: "submit", class: "button button-main", data: { testid: "report-order" } }, t("reports.order"));
  const submit = async (event) => {
    event.preventDefault();
    setText(told, "");
    act.disabled = true;
    try {
      const how = { language: words.input.value, format: format.input.value };
      await place(site, period.input.value, how);
      await ordered();
    } catch (error) {
      setText(told, error.message);
    }
    act.disabled = false;
  };
  return h("form", { class: "report-form", data: { testid: "report-form" }, on: { submit } }, period.node, words.node, format.node, act, told);
}

/** Send an order: of a month, a year, or of a dossier as it is now. */
function place(site, wanted, how) {
  const at = site && `/sites/${encodeURIComponent(site.name)}`;
  if (wanted.startsWith(DOSSIER)) return send("POST", `${at}/dossiers/${wanted.slice(DOSSIER.length)}/reports`, how);
  return send("POST", site ? `${at}/reports` : "/reports", { period: wanted, ...how });
}

function programmeName(programme) {
  return `${t("reports.dossier")} · ${t(`reports.programme.${programme}`)}`;
}

function select(key, options, chosen = null) {
  const id = `report-${key}`;
  const input = h("select", { id, name: key }, options.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));
  return { input, node: h("div", { class: "field" }, h("label", { for: id }, t(`reports.${key}`)), input) };
}

/** The months and years to choose from: the month before this one first. */
function periods(zone) {
  const today = new Date(toLocal(zone, now()));
  const [year, month] = [today.getUTCFullYear(), today.getUTCMonth()];
  const months = Array.from({ length: MONTHS }, (_, back) => {
    const first = new Date(Date.UTC(year, month - back, 1));
    return [first.toISOString().slice(0, 7), periodName(first.toISOString().slice(0, 7)) + (back ? "" : t("reports.not_over"))];
  });
  const years = Array.from({ length: YEARS }, (_, back) => [String(year - back), periodName(String(year - back)) + (back ? "" : t("reports.not_over"))]);
  return [months[1], months[0], ...months.slice(2), ...years];
}

/** 2026年10月, October 2026, 2026. */
function periodName(period) {
  const [year, month] = period.split("-").map(Number);
  if (!month) return language() === "zh" ? `${year}年` : String(year);
  return new Date(Date.UTC(year, month - 1, 1)).toLocaleDateString(language() === "zh" ? "zh-CN" : "en-GB", { year: "numeric", month: "long", timeZone: "UTC" });
}

function rows(items, place) {
  if (!items.length) return empty(t("reports.none"));
  return h("ul", { class: "report-rows" }, items.map((one) => row(one, place)));
}

function row(one, { names, zone }) {
  const version = one.version ? ` · ${t("reports.version", { n: one.version })}` : "";
  const period = one.kind === "dossier" ? programmeName(one.period) + version : periodName(one.period);
  const about = one.site === null ? t("reports.all") : names?.get(one.site) ? label(names.get(one.site)) : "";
  const title = [about, period].filter(Boolean).join(" · ");
  return h("li", { class: "report-row", data: { testid: "report-row", state: one.state } },
    h("div", { class: "report-what" },
      h("strong", {}, title),
      h("span", { class: "caption" }, [one.language === "zh" ? "中文" : "English", one.format.toUpperCase(), asked(one, zone), one.made_by].join(" · "))),
    result(one, title));
}

function asked(one, zone) {
  const at = Date.parse(one.asked_at);
  return `${dateShort(at, zone)} ${clockTime(at, zone)}`;
}

function result(one, title) {
  if (one.state === "done") {
    const size = one.size_bytes < 1e6 ? `${Math.ceil(one.size_bytes / 1000)} kB` : `${(one.size_bytes / 1e6).toFixed(1)} MB`;
    return h("a", { class: "button", href: `/api/v1/reports/${one.id}/file`, download: one.file_name, data: { testid: "report-file" } },
      t("reports.download", { size }), h("span", { class: "spoken" }, ` ${title}`));
  }
  if (one.state === "failed") return h("p", { class: "report-failed", role: "alert" }, tOr(`reports.failed.${one.error_code}`, "reports.failed.internal", {}), h("span", { class: "caption" }, one.error));
  const words = t(`reports.state.${one.state}`);
  return h("div", { class: "report-progress" },
    h("span", { class: "caption" }, words),
    h("progress", { max: 1, value: one.progress, "aria-label": `${title}: ${words}` }));
}
