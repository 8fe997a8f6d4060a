// How a quarter is judged: borders, quiet periods, own limits, escalation; quota, tariff and plan.

import { get, send } from "../api.js";
import { fill, h } from "../dom.js";
import { t } from "../i18n.js";
import { isAdmin, isOfficial, user } from "../session.js";
import { form, openDialog, rowButton } from "./dialog.js";
import { facts } from "./lazy.js";
import { toast } from "./states.js";

const DAYS = ["all", "workdays", "restdays", "holidays"];

/** Fill a place with how a quarter is judged, and buttons for those who may change it. */
export async function judging(place, site, signal) {
  const address = `/sites/${site.name}/judging`;
  const load = async () => fill(place, sheet(await get(address, {}, signal)));
  const change = async (parts, close) => {
    await send("PATCH", address, parts).catch(async (error) => {
      if (error.code === "precondition_failed") await load();
      throw error;
    });
    toast(t("form.saved"));
    close();
    await load();
  };
  const water = isAdmin() || user().role === "water_office";
  const sheet = (one) => [
    facts([
      [t("judging.borders"), t("judging.borders_words", { day: one.day_starts_h, night: one.night_starts_h })],
      [t("judging.own"), one.noise.own_limits ? `${one.noise.own_limits.day_db} / ${one.noise.own_limits.night_db} dB · ${one.noise.own_limits.standard}` : t("judging.own_none")],
      [t("judging.escalation"), one.escalation.after_s === null ? t("judging.never") : `${Math.round(one.escalation.after_s / 60)} ${t("rules.minutes")}`],
      [t("judging.province"), one.water.quota_lpd ? `${one.water.quota_lpd} L · ${one.water.quota_standard}` : one.water.province || t("judging.not_set")],
      [t("judging.persons"), one.water.persons === null ? t("judging.not_set") : String(one.water.persons)],
      [t("use.plan"), Object.entries(one.water.plan_m3).map(([year, m3]) => `${year}: ${m3} m³`).join(" · ") || t("use.no_plan")],
      [t("judging.tariff"), one.water.own_tariff?.id ?? one.water.tariff_id],
    ]),
    h("p", { class: "caption" }, t("day.night_belongs")),
    h("h3", {}, t("judging.quiet")),
    one.noise.quiet_periods.length ? one.noise.quiet_periods.map((quiet) => quietRow(one, quiet, change)) : h("p", { class: "caption" }, t("judging.quiet_none")),
    h("p", { class: "row-buttons" },
      isOfficial() && [rowButton(t("judging.change_noise"), site.name, () => changeNoise(one, change), "add-judging"), rowButton(t("judging.add_quiet"), site.name, () => addQuiet(one, change), "add-quiet")],
      water && rowButton(t("judging.change_water"), site.name, () => changeWater(one, change), "add-water-rules")),
  ];
  await load();
}

function quietRow(one, quiet, change) {
  const rest = one.noise.quiet_periods.filter((other) => other !== quiet);
  const dates = [quiet.first_date, quiet.last_date].filter(Boolean).join(" – ");
  return h("p", { class: "past-row", data: { testid: "quiet-row" } }, h("strong", {}, `${quiet.name_zh} / ${quiet.name_en}`), h("span", {}, `${quiet.starts} – ${quiet.ends} · ${quiet.limit_db} dB`),
    h("span", { class: "caption" }, [t(`judging.days.${quiet.days}`), dates].filter(Boolean).join(" · ")),
    isOfficial() && rowButton(t("judging.remove"), quiet.name_zh, () => change({ noise: { ...one.noise, quiet_periods: rest } }, () => {}).catch((error) => toast(error.message, "bad"))));
}

function addQuiet(one, change) {
  openDialog(t("judging.add_quiet"), (close) => form({
    fields: [
      { key: "name_zh", label: t("judging.name_zh"), required: true, value: "午休" }, { key: "name_en", label: t("judging.name_en"), required: true, value: "Midday rest" },
      { key: "starts", label: t("judging.starts"), required: true, value: "12:00", pattern: "[0-2]\\d:[0-5]\\d" }, { key: "ends", label: t("judging.ends"), required: true, value: "14:00", pattern: "[0-2]\\d:[0-5]\\d" },
      { key: "limit_db", label: t("judging.limit"), type: "number", required: true, min: 0, max: 140, value: 50 },
      { key: "days", label: t("judging.days"), type: "select", value: "all", options: DAYS.map((day) => [day, t(`judging.days.${day}`)]) },
      { key: "first_date", label: t("judging.first"), type: "date" }, { key: "last_date", label: t("judging.last"), type: "date" },
    ],
    button: t("form.save"), cancel: close,
    submit: (values) => change({ noise: { ...one.noise, quiet_periods: [...one.noise.quiet_periods, { ...values, first_date: values.first_date || null, last_date: values.last_date || null }] } }, close),
  }));
}

function changeNoise(one, change) {
  const own = one.noise.own_limits;
  openDialog(t("judging.change_noise"), (close) => form({
    fields: [
      { key: "day_starts_h", label: t("judging.day_starts"), type: "number", required: true, min: 0, max: 22, step: 1, value: one.day_starts_h },
      { key: "night_starts_h", label: t("judging.night_starts"), type: "number", required: true, min: 1, max: 23, step: 1, value: one.night_starts_h, hint: t("judging.eight_hours") },
      { key: "after_min", label: t("judging.escalation_min"), type: "number", min: 1, max: 10080, value: one.escalation.after_s === null ? null : one.escalation.after_s / 60 },
      { key: "day_db", label: t("judging.own_day"), type: "number", min: 0, max: 140, value: own?.day_db }, { key: "night_db", label: t("judging.own_night"), type: "number", min: 0, max: 140, value: own?.night_db },
      { key: "standard", label: t("judging.own_standard"), value: own?.standard, maxlength: 120, hint: t("judging.own_hint") },
    ],
    button: t("form.save"), cancel: close,
    submit: ({ day_starts_h, night_starts_h, after_min, day_db, night_db, standard }) => {
      const own_limits = day_db === null && night_db === null ? null : { ...own, day_db, night_db, standard };
      return change({ day_starts_h, night_starts_h, escalation: { after_s: after_min === null ? null : Math.round(after_min * 60) }, noise: { ...one.noise, own_limits } }, close);
    },
  }));
}

function changeWater(one, change) {
  const year = String(new Date().getFullYear());
  openDialog(t("judging.change_water"), (close) => form({
    fields: [
      { key: "province", label: t("judging.province_name"), value: one.water.province, maxlength: 20 },
      { key: "quota_lpd", label: t("judging.quota_lpd"), type: "number", min: 1, max: 2000, value: one.water.quota_lpd },
      { key: "persons", label: t("judging.persons"), type: "number", min: 0, step: 1, value: one.water.persons }, { key: "households", label: t("judging.households"), type: "number", min: 0, step: 1, value: one.water.households },
      { key: "year", label: t("judging.plan_year"), value: year, pattern: "20\\d\\d", required: true }, { key: "plan", label: t("judging.plan_m3"), type: "number", min: 1, value: one.water.plan_m3[year] },
    ],
    button: t("form.save"), cancel: close,
    submit: ({ year: of, plan, ...values }) => {
      const plans = { ...one.water.plan_m3 };
      if (plan === null) delete plans[of];
      else plans[of] = plan;
      return change({ water: { ...one.water, ...values, plan_m3: plans } }, close);
    },
  }));
}
