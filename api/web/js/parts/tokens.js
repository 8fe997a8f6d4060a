// Tokens for programs.

import { get, send } from "../api.js";
import { fill, h } from "../dom.js";
import { dateShort, moment } from "../format.js";
import { t } from "../i18n.js";
import { isOfficial, mayAcknowledge } from "../session.js";
import { form, openDialog, rowButton, secret } from "./dialog.js";
import { into, loading, toast } from "./states.js";

const ZONE = "Asia/Shanghai";

/** The list of a person's tokens, with making and ending. */
export function tokens(signal) {
  const place = h("div", { class: "tokens", data: { testid: "tokens" } });
  const load = () => into(place, () => get("/me/tokens", {}, signal), ({ items }) => [
    items.map((one) => row(one, load)),
    h("p", {}, h("button", { type: "button", class: "button", data: { testid: "add-token" }, on: { click: () => add(load) } }, t("tokens.add"))),
  ], loading(1));
  load();
  return place;
}

function row(one, reload) {
  const end = async () => {
    try {
      await send("DELETE", `/me/tokens/${one.id}`);
    } catch (error) {
      toast(error.message, "bad");
    }
    reload();
  };
  const used = one.used_at ? t("tokens.used", { time: moment(Date.parse(one.used_at), ZONE, 0) }) : t("tokens.unused");
  const over = Date.parse(one.expires_at) < Date.now();
  return h("p", { class: "past-row", data: { testid: "token-row" } }, h("strong", {}, one.name), one.scopes.map((scope) => h("span", { class: "chip chip-plain" }, t(`scope.${scope}`))),
    h("span", { class: "caption" }, over ? t("tokens.over") : t("tokens.until", { date: dateShort(Date.parse(one.expires_at), ZONE) })), h("span", { class: "caption" }, used),
    rowButton(t("tokens.remove"), one.name, end));
}

function add(reload) {
  const scopes = ["read", mayAcknowledge() && "acknowledge", isOfficial() && "administer", isOfficial() && "metrics"].filter(Boolean);
  openDialog(t("tokens.add"), (close) => {
    const place = h("div");
    const submit = async ({ name, scopes: chosen, days }) => {
      const answer = await send("POST", "/me/tokens", { name, scopes: chosen, days });
      fill(place, secret(t("tokens.text"), answer.text, close));
      reload();
    };
    return fill(place, form({
      fields: [
        { key: "name", label: t("tokens.name"), required: true, maxlength: 80 },
        { key: "scopes", label: t("tokens.scopes"), type: "checks", value: ["read"], options: scopes.map((scope) => [scope, t(`scope.${scope}`)]) },
        { key: "days", label: t("tokens.days"), type: "number", required: true, min: 1, max: 366, step: 1, value: 90 },
      ],
      button: t("tokens.add"), cancel: close, submit,
    }));
  });
}
