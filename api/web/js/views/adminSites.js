// Quarters with their devices and meters, for administrators.

import { get, send } from "../api.js";
import { h } from "../dom.js";
import { label, t } from "../i18n.js";
import { form, openDialog, rowButton } from "../parts/dialog.js";
import { addDevice, addMeter, changeDevice, changeMeter, enrolDevice, nameField, renewDevice } from "../parts/equipment.js";
import { empty, into, loading, toast } from "../parts/states.js";
import { go, path } from "../router.js";

const ZONES = ["0", "1", "2", "3", "4a", "4b"];

/** #/setup and #/setup/QUARTER. */
export function setup({ parts, signal }) {
  return parts[0] ? oneSite(parts[0], signal) : allSites(signal);
}

function allSites(signal) {
  const place = h("div");
  const load = () => into(place, () => get("/sites", {}, signal), ({ items }) => [
    h("p", {}, h("button", { type: "button", class: "button button-main", data: { testid: "add-site" }, on: { click: addSite } }, t("setup.add_site"))),
    items.length ? h("ul", { class: "setup-list" }, items.map(siteLine)) : empty(t("overview.empty")),
  ], loading(4));
  load();
  return { title: t("setup.title"), node: h("div", { class: "records" }, h("h1", { tabindex: "-1" }, t("setup.title")), h("p", { class: "lead" }, t("setup.lead")), place) };
}

function siteLine(site) {
  const words = [site.name, t("site.zone_short", { zone: site.zone_class }), site.district, t("site.devices", site.devices)];
  return h("li", {}, h("a", { href: path("setup", site.name) }, label(site.label)), h("span", { class: "caption" }, words.filter(Boolean).join(" · ")));
}

function siteFields(one) {
  return [
    { key: "label_zh", label: t("setup.label_zh"), required: true, value: one.label_zh, maxlength: 80 },
    { key: "label_en", label: t("setup.label_en"), required: true, value: one.label_en, maxlength: 80 },
    { key: "zone_class", label: t("setup.zone"), type: "select", value: one.zone_class ?? "1", options: ZONES.map((zone) => [zone, `${t("site.zone_short", { zone })} · ${t(`zone.${zone}`)}`]) },
    { key: "district", label: t("column.district"), value: one.district, maxlength: 80 },
    { key: "latitude", label: t("setup.latitude"), type: "number", min: -90, max: 90, value: one.latitude },
    { key: "longitude", label: t("setup.longitude"), type: "number", min: -180, max: 180, value: one.longitude },
  ];
}

function addSite() {
  openDialog(t("setup.add_site"), (close) => form({
    fields: [nameField("site"), ...siteFields({})], button: t("setup.add_site"), cancel: close,
    submit: async (values) => {
      await send("POST", "/sites", values);
      toast(t("form.saved"));
      close();
      go(path("setup", values.name));
    },
  }));
}

function changeSite(site, reload) {
  openDialog(site.name, (close) => form({
    fields: siteFields(site), button: t("form.save"), cancel: close,
    submit: async (values) => {
      await send("PATCH", `/sites/${site.name}`, values);
      toast(t("form.saved"));
      close();
      reload();
    },
  }));
}

function oneSite(name, signal) {
  const place = h("div", { class: "records" });
  const ask = (tail) => get(`/sites/${encodeURIComponent(name)}/${tail}`, {}, signal);
  const load = () => into(place, () => Promise.all([ask("settings"), ask("devices"), ask("meters")]), ([site, devices, meters]) => sheet(site, devices.items, meters.items, load), loading(5));
  load();
  return { title: t("setup.title"), node: place };
}

function sheet(site, devices, meters, reload) {
  const words = [site.name, t("site.zone_short", { zone: site.zone_class }), site.district, site.timezone];
  return [
    h("a", { class: "back", href: path("setup") }, t("setup.all")),
    h("h1", { tabindex: "-1" }, label({ zh: site.label_zh, en: site.label_en })),
    h("p", { class: "caption" }, words.filter(Boolean).join(" · ")),
    h("p", { class: "row-buttons" }, rowButton(t("form.change"), site.name, () => changeSite(site, reload)), h("a", { class: "button", href: path("site", site.name) }, t("setup.look"))),
    h("h2", {}, t("device.title")),
    devices.length ? table(t("device.title"), devices.map((one) => deviceRow(site, one, reload))) : empty(t("device.none"), t("setup.device_hint")),
    h("p", {}, rowButton(t("setup.add_device"), site.name, () => addDevice(site, reload), "add-device")),
    h("h2", {}, t("water.meters")),
    meters.length ? table(t("water.meters"), meters.map((one) => meterRow(site, one, devices, reload))) : empty(t("water.no_meters")),
    h("p", {}, devices.length ? rowButton(t("setup.add_meter"), site.name, () => addMeter(site, devices, reload), "add-meter") : h("span", { class: "caption" }, t("setup.device_first"))),
  ];
}

function table(title, rows) {
  return h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": title }, h("table", { class: "table" }, h("tbody", {}, rows)));
}

function deviceRow(site, one, reload) {
  const words = [one.name, t(`device.kind.${one.kind}`), one.type_approved ? t("setup.approved") : ""];
  const state = one.enabled ? one.health.state : "disabled";
  return h("tr", { data: { testid: "setup-device", device: one.name } },
    h("th", { scope: "row" }, label(one.label), h("span", { class: "caption" }, words.filter(Boolean).join(" · "))),
    h("td", {}, h("span", { class: "online", data: { state } }, t(`device.state.${state}`))),
    h("td", { class: "row-buttons" }, rowButton(t("form.change"), one.name, () => changeDevice(site, one, reload)), rowButton(t("setup.enrol"), one.name, () => enrolDevice(site, one), "enrol-device"), rowButton(t("users.new_password"), one.name, () => renewDevice(site, one))));
}

function meterRow(site, one, devices, reload) {
  return h("tr", { data: { testid: "setup-meter", meter: one.name } },
    h("th", { scope: "row" }, label(one.label), h("span", { class: "caption" }, `${one.name} · ${one.device}`)), h("td", {}, t(`meter_role.${one.role}`)),
    h("td", { class: "row-buttons" }, rowButton(t("form.change"), one.name, () => changeMeter(site, one, devices, reload))));
}
