// Where a quarter and its households stand: quota, plan and surcharge, tier and bill, forecast, peers, losses.

import { get } from "../api.js";
import { fill, h } from "../dom.js";
import { calendarDate, number, percent, volume } from "../format.js";
import { label, t } from "../i18n.js";
import { facts, scrollTable } from "./lazy.js";
import { indicativeMark } from "./level.js";
import { origin } from "./origin.js";
import { into, loading } from "./states.js";

/** Fill a place with the quarter's account, its loss, and a household that can be chosen. */
export async function waterAccount(place, site, signal) {
  const { items } = await get(`/sites/${site.name}/meters`, {}, signal);
  const homes = items.filter((one) => one.role === "household");
  const [quarter, loss, home] = [h("div"), h("div"), h("div")];
  into(quarter, () => get("/water/account", { site: site.name }, signal), quarterSheet, loading(4));
  const balanced = items.some((one) => one.role === "master");
  if (balanced) into(loss, () => get("/water/balance", { site: site.name }, signal), lossSheet, loading(2));
  const choice = h("select", { id: "account-meter" }, h("option", { value: "" }, t("use.choose")), homes.map((one) => h("option", { value: one.name }, label(one.label))));
  choice.addEventListener("change", () => {
    home.replaceChildren();
    if (choice.value) into(home, () => get("/water/household", { site: site.name, meter: choice.value }, signal), homeSheet, loading(4));
  });
  fill(place, quarter, balanced && [h("h3", {}, t("use.loss")), loss],
    homes.length > 0 && [h("h3", {}, t("use.household")), h("div", { class: "form-row" }, h("label", { for: "account-meter" }, t("use.meter")), choice), home]);
}

function perHead(one) {
  if (one.litres_per_person_day === null) return t("use.no_persons");
  const range = one.highest_lpd === null ? "" : ` (${one.lowest_lpd === null ? "≤" : `${one.lowest_lpd}–`}${one.highest_lpd})`;
  return [`${number(one.litres_per_person_day)} L${range} · ${t(`quota.${one.verdict}`)} `, one.quota && origin(one.quota)];
}

function money(amount, currency) {
  return `${number(amount, 2)} ${currency}`;
}

function forecast(one) {
  return one ? t("use.forecast_words", { likely: number(one.likely_m3, 1), low: number(one.low_m3, 1), high: number(one.high_m3, 1) }) : t("use.no_forecast");
}

function quarterSheet(one) {
  const plan = one.plan_m3 === null ? t("use.no_plan") : `${number(one.plan_m3)} m³`;
  return [
    h("p", {}, one.indicative && indicativeMark()),
    facts([
      [t("use.per_person"), perHead(one.per_head)],
      [t("use.per_home"), one.litres_per_household_day === null ? null : `${number(one.litres_per_household_day)} L`],
      [t("use.night"), one.night_flow && t("use.night_words", { newest: number(one.night_flow.newest_lph), date: calendarDate(one.night_flow.date), median: number(one.night_flow.median_lph), nights: one.night_flow.nights })],
      [t("use.year_used"), `${number(one.used_m3, 1)} m³ (${t("use.known", { share: percent(one.known_share) })})`],
      [t("use.plan"), plan], [t("use.forecast"), forecast(one.forecast)],
      [t("use.passes_plan"), one.passes_plan === null ? null : percent(one.passes_plan)],
      [t("use.surcharge_now"), one.over_plan && money(one.over_plan.surcharge, one.currency)],
      [t("use.surcharge_likely"), one.expected && [`${money(one.expected.surcharge, one.currency)} `, origin(one.surcharge_row)]],
    ]),
  ];
}

function lossSheet(one) {
  if (one.reason) return h("p", { class: "caption" }, t(`loss.${one.reason}`));
  const grade = one.grade ? t(`loss.${one.grade}`) : t("loss.unknown", { n: one.unknown_meters.length });
  return [
    facts([
      [t("use.span"), `${calendarDate(one.first)} – ${calendarDate(one.last)}`], [t("use.master"), volume(one.master_l)], [t("use.subs"), volume(one.sub_l)],
      [t("use.lost"), `${volume(one.lost_l)} · ${number(one.lost_share * 100, 1)} % · ${grade}`],
    ]),
    h("p", { class: "caption" }, t("use.not_rbl")),
  ];
}

function homeSheet(one) {
  const peers = one.peers;
  return [
    h("p", {}, h("strong", {}, label(one.label)), " ", one.indicative && indicativeMark()),
    facts([
      [t("use.span"), `${calendarDate(one.period_first)} – ${calendarDate(one.period_last, true)}`],
      [t("use.used"), `${number(one.used_m3, 1)} m³ (${t("use.known", { share: percent(one.known_share) })})`],
      [t("use.bill"), [`${money(one.total, one.currency)} `, origin(one.tariff)]],
      [t("use.tier"), one.left_m3 === null ? String(one.tier) : t("use.tier_left", { tier: one.tier, left: number(one.left_m3, 1) })],
      [t("use.forecast"), forecast(one.forecast)],
      [t("use.passes_tier"), one.passes_tier === null ? null : t("use.passes_tier_words", { share: percent(one.passes_tier), tier: one.tier_likely })],
      [t("use.per_person"), perHead(one.per_head)],
      [t("use.peers"), peers ? t("use.peers_words", { own: number(peers.own_l_per_day), low: peers.lower_quartile_l, median: peers.median_l, high: peers.upper_quartile_l, n: peers.group_size }) : t("use.few_peers")],
    ]),
    scrollTable(t("use.tiers"), [t("use.tier"), "m³", t("use.price"), t("use.amount")],
      one.tiers.map((tier) => [String(tier.tier), number(tier.volume_m3, 1), number(tier.price, 2), number(tier.amount, 2)])),
  ];
}
