// Dialogs that add and change devices and meters.

import { send } from "../api.js";
import { fill, h } from "../dom.js";
import { moment } from "../format.js";
import { label, t } from "../i18n.js";
import { form, openDialog, secret } from "./dialog.js";
import { toast } from "./states.js";

const SLUG = "[a-z0-9][a-z0-9\\-]{0,31}";
const KINDS = ["noise", "gateway", "both"];
const ROLES = ["household", "master", "public"];

/** The field of a name that is part of topics and addresses. `what` is site, device or meter. */
export function nameField(what) {
  return { key: "name", label: t("setup.name"), required: true, maxlength: 32, pattern: SLUG, hint: t(`setup.name_hint_${what}`) };
}

function labels(one = {}) {
  return [
    { key: "label_zh", label: t("setup.label_zh"), required: true, maxlength: 80, value: one.label?.zh },
    { key: "label_en", label: t("setup.label_en"), required: true, maxlength: 80, value: one.label?.en },
  ];
}

function approved(value) {
  return { key: "type_approved", label: t("setup.type_approved"), type: "check", value, hint: t("setup.type_approved_hint") };
}

function showPassword(place, answer, close) {
  fill(place, secret(t("setup.password_of", { username: answer.username }), answer.password, close),
    h("p", { class: "caption" }, t("setup.password_hint", { site: answer.device.site, device: answer.device.name })));
}

/** Add a device; its password is shown once. */
export function addDevice(site, reload) {
  openDialog(t("setup.add_device"), (close) => {
    const place = h("div");
    const kind = { key: "kind", label: t("setup.kind"), type: "select", value: "noise", options: KINDS.map((one) => [one, t(`device.kind.${one}`)]) };
    const submit = async (values) => {
      showPassword(place, await send("POST", `/sites/${site.name}/devices`, values), close);
      reload();
    };
    return fill(place, form({ fields: [nameField("device"), ...labels(), kind, approved(false)], button: t("setup.add_device"), cancel: close, submit }));
  });
}

/** Change a device's names, approval, or whether it may send. */
export function changeDevice(site, one, reload) {
  const enabled = { key: "enabled", label: t("setup.enabled"), type: "check", value: one.enabled, hint: t("setup.enabled_hint") };
  edit(one.name, [...labels(one), approved(one.type_approved), enabled], `/sites/${site.name}/devices/${one.name}`, reload);
}

/** Make a new password for a device. */
export function renewDevice(site, one) {
  openDialog(t("users.new_password"), (close) => {
    const place = h("div");
    const submit = async () => showPassword(place, await send("POST", `/sites/${site.name}/devices/${one.name}/password`), close);
    return fill(place, form({ fields: [], button: t("users.make_password", { name: label(one.label) }), cancel: close, submit }));
  });
}

/** Make a code with which the device fetches its identity; it is shown once. */
export function enrolDevice(site, one) {
  openDialog(t("setup.enrol"), (close) => {
    const place = h("div");
    const submit = async () => {
      const answer = await send("POST", `/sites/${site.name}/devices/${one.name}/enrolment`, {});
      fill(place, secret(t("setup.enrol_command", { device: label(one.label), until: moment(Date.parse(answer.expires_at), site.timezone, Date.now()) }), answer.command, close));
    };
    return fill(place, h("p", { class: "caption" }, t("setup.enrol_hint")),
      form({ fields: [], button: t("setup.enrol_make"), cancel: close, submit }));
  });
}

function meterFields(one, devices) {
  return [
    ...labels(one),
    { key: "role", label: t("setup.role"), type: "select", value: one.role ?? "household", options: ROLES.map((role) => [role, t(`meter_role.${role}`)]) },
    { key: "device", label: t("setup.read_by"), type: "select", value: one.device ?? devices[0]?.name, options: devices.map((device) => [device.name, label(device.label)]) },
    { key: "persons", label: t("setup.persons"), type: "number", min: 0, max: 10000, step: 1, value: one.persons },
    { key: "peer_kind", label: t("setup.peer_kind"), value: one.peer_kind, maxlength: 32, hint: t("setup.peer_kind_hint") },
  ];
}

/** Add a meter that a device of the quarter reads. */
export function addMeter(site, devices, reload) {
  const readers = devices.filter((one) => one.kind !== "noise");
  openDialog(t("setup.add_meter"), (close) => form({
    fields: [nameField("meter"), ...meterFields({}, readers.length ? readers : devices)], button: t("setup.add_meter"), cancel: close,
    submit: async (values) => {
      await send("POST", `/sites/${site.name}/meters`, values);
      toast(t("form.saved"));
      close();
      reload();
    },
  }));
}

/** Change a meter's names, role, or the device that reads it. */
export function changeMeter(site, one, devices, reload) {
  edit(one.name, meterFields(one, devices), `/sites/${site.name}/meters/${one.name}`, reload);
}

function edit(title, fields, address, reload) {
  openDialog(title, (close) => form({
    fields, button: t("form.save"), cancel: close,
    submit: async (values) => {
      await send("PATCH", address, values);
      toast(t("form.saved"));
      close();
      reload();
    },
  }));
}
