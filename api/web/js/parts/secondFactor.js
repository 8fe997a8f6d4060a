// One-time passwords: enrolled with a QR code, confirmed with a first code, ended with the password.

import { get, send } from "../api.js";
import { fill, h } from "../dom.js";
import { t } from "../i18n.js";
import { user } from "../session.js";
import { form, openDialog, secret } from "./dialog.js";
import { into, loading } from "./states.js";

/** Whether one-time passwords are in use, with the button that begins or ends them. */
export function secondFactor(signal) {
  const place = h("div", { data: { testid: "second-factor" } });
  const load = () => into(place, () => get("/me/second-factor", {}, signal), (state) => [
    user().lacks_factor && h("p", { class: "note", data: { testid: "factor-missing" } }, t("factor.missing")),
    h("p", {}, state.enabled ? t("factor.on", { count: state.recovery_left }) : t("factor.off")),
    h("p", {}, h("button", { type: "button", class: "button", data: { testid: "second-factor-change" }, on: { click: () => (state.enabled ? end(load) : begin(load)) } },
      t(state.enabled ? "factor.end" : "factor.begin"))),
  ], loading(1));
  load();
  return place;
}

const password = () => ({ key: "password", label: t("login.password"), type: "password", required: true });

function begin(reload) {
  openDialog(t("factor.begin"), (close) => {
    const place = h("div");
    const submit = async (given) => fill(place, confirm(await send("POST", "/me/second-factor", given), place, () => {
      close();
      if (user().lacks_factor) location.reload();
      else reload();
    }));
    return fill(place, form({ fields: [password()], button: t("factor.next"), cancel: close, submit }));
  });
}

function confirm(made, place, done) {
  const submit = async ({ code }) => {
    const { recovery_codes: codes } = await send("POST", "/me/second-factor/confirm", { code });
    fill(place, secret(t("factor.recovery"), codes.join("\n"), done));
  };
  return h("div", {}, h("p", {}, t("factor.scan")),
    h("p", {}, h("img", { class: "qr", src: made.qr_svg, alt: t("factor.qr"), width: 220, height: 220, data: { testid: "second-factor-qr" } })),
    h("p", { class: "caption" }, t("factor.by_hand"), " ", h("code", { data: { testid: "second-factor-secret" } }, made.secret)),
    form({ fields: [{ key: "code", label: t("login.code"), required: true, maxlength: 8 }], button: t("factor.confirm"), submit, testid: "second-factor-confirm" }));
}

function end(reload) {
  openDialog(t("factor.end"), (close) => form({
    fields: [password()], button: t("factor.end"), cancel: close,
    submit: async (given) => {
      await send("POST", "/me/second-factor/end", given);
      close();
      reload();
    },
  }));
}
