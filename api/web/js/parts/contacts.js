// Where a person wants alerts: common ways as short forms, anything else as an address of apprise.

import { get, send } from "../api.js";
import { fill, h } from "../dom.js";
import { t } from "../i18n.js";
import { form, openDialog, rowButton, secret } from "./dialog.js";
import { empty, into, loading, toast } from "./states.js";

const CLOCK = "([01]\\d|2[0-3]):[0-5]\\d";
const part = encodeURIComponent;

/** A way: its fields (with ? where they may be empty), and the address made of them. */
const WAYS = {
  wecom: [["key"], ({ key }) => `wecombot://${part(key)}`],
  dingtalk: [["token", "secret?"], ({ token, secret }) => `dingtalk://${secret ? `${part(secret)}@` : ""}${part(token)}`],
  feishu: [["token"], ({ token }) => `feishu://${part(token)}`],
  email: [["host", "user", "password", "to"], mail],
  webhook: [["url"], ({ url }) => url],
  other: [["url"], ({ url }) => url],
};

function mail({ host, user, password, to }) {
  const from = user.includes("@") ? user : `${user}@${host}`;
  return `mailtos://${part(user)}:${part(password)}@${host}?to=${part(to)}&from=${part(from)}`;
}

/** The list of a person's addresses, with adding, trying and removing. */
export function contacts(signal) {
  const place = h("div", { class: "contacts", data: { testid: "contacts" } });
  const load = () => into(place, () => get("/me/contacts", {}, signal), ({ items }) => [
    items.length ? items.map((one) => row(one, load)) : empty(t("contacts.none"), t("contacts.none_hint")),
    h("p", {}, h("button", { type: "button", class: "button", data: { testid: "add-contact" }, on: { click: () => add(load) } }, t("contacts.add"))),
  ], loading(2));
  load();
  return place;
}

function row(one, reload) {
  const attempt = async (event) => {
    const button = event.currentTarget;
    button.disabled = true;
    try {
      const { sent, error } = await send("POST", `/me/contacts/${one.id}/test`);
      toast(sent ? t("contacts.sent") : t("contacts.not_sent", { error }), sent ? "good" : "bad");
    } catch (error) {
      toast(error.message, "bad");
    }
    button.disabled = false;
  };
  const remove = async () => {
    try {
      await send("DELETE", `/me/contacts/${one.id}`);
    } catch (error) {
      toast(error.message, "bad");
    }
    reload();
  };
  return h("p", { class: "past-row", data: { testid: "contact-row" } }, h("strong", {}, one.label), h("span", { class: "chip chip-plain" }, one.scheme),
    h("span", { class: "row-buttons" }, rowButton(t("contacts.try"), one.label, attempt), rowButton(t("contacts.remove"), one.label, remove)));
}

function add(reload) {
  openDialog(t("contacts.add"), (close) => {
    const place = h("div", { class: "form" });
    const choose = (way) => {
      const [names, address] = WAYS[way];
      const submit = async ({ label, ...values }) => {
        const answer = await send("POST", "/me/contacts", { label, url: address(values) });
        reload();
        if (answer.secret) {
          fill(place, secret(t("contacts.secret"), answer.secret, close));
          return;
        }
        toast(t("form.saved"));
        close();
      };
      const title = { key: "label", label: t("contacts.label"), maxlength: 80, value: t(`contacts.way_${way}`) };
      fill(place, wayField(way, choose), form({ fields: [title, ...names.map((name) => fieldOf(name, way))], button: t("contacts.add"), cancel: close, submit }));
    };
    choose("wecom");
    return place;
  });
}

function wayField(way, choose) {
  const node = h("select", { id: "contact-way" }, Object.keys(WAYS).map((key) => h("option", { value: key, selected: key === way }, t(`contacts.way_${key}`))));
  node.addEventListener("change", () => {
    choose(node.value);
    document.getElementById("contact-way").focus();
  });
  return h("div", { class: "field" }, h("label", { for: "contact-way" }, t("contacts.way")), node);
}

function fieldOf(name, way) {
  const key = name.replace("?", "");
  return { key, label: t(`contacts.field_${key}`), required: !name.endsWith("?"), maxlength: 400, hint: key === "url" ? t(`contacts.hint_${way}`) : "" };
}

/** When a person wants to be told. */
export function notifyPrefs(signal) {
  const place = h("div", { class: "prefs", data: { testid: "notify-prefs" } });
  const load = () => into(place, () => get("/me/notify", {}, signal), (prefs) => form({
    fields: [
      { key: "least", label: t("notify.least"), type: "select", value: prefs.least, options: ["info", "warning", "critical"].map((one) => [one, t(`severity.${one}`)]) },
      { key: "quiet_from", label: t("notify.quiet_from"), value: prefs.quiet_from, pattern: CLOCK, maxlength: 5, hint: t("notify.quiet_hint") },
      { key: "quiet_to", label: t("notify.quiet_to"), value: prefs.quiet_to, pattern: CLOCK, maxlength: 5 },
      { key: "digest_at", label: t("notify.digest_at"), value: prefs.digest_at.join(" "), hint: t("notify.digest_hint") },
    ],
    button: t("form.save"),
    submit: async (values) => {
      await send("PUT", "/me/notify", {
        least: values.least, quiet_from: values.quiet_from || null, quiet_to: values.quiet_to || null,
        digest_at: values.digest_at.split(/[\s,，、]+/).filter(Boolean),
      });
      toast(t("form.saved"));
      load();
    },
  }), loading(3));
  load();
  return place;
}
