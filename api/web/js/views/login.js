// Logging in.

import { h, setText } from "../dom.js";
import { t } from "../i18n.js";
import { languageSwitch } from "../parts/frame.js";
import { login as logIn } from "../session.js";

/** The login page. `done` is called when somebody is logged in, `language` when the language changed. */
export function login({ note, done, language }) {
  const told = h("p", { class: "form-error", role: "alert", data: { testid: "login-error" } });
  const name = field("name", "username", "text");
  const password = field("password", "current-password", "password");
  const code = field("code", "one-time-code", "text");
  code.input.required = false;
  code.row.hidden = true;
  const button = h("button", { class: "button button-main", type: "submit" }, t("login.login"));
  const submit = async (event) => {
    event.preventDefault();
    setText(told, "");
    button.disabled = true;
    try {
      await logIn(name.input.value.trim(), password.input.value, code.input.value.trim());
      done();
    } catch (error) {
      setText(told, error.message);
      button.disabled = false;
      code.row.hidden &&= error.code !== "code_required";
      (code.row.hidden ? password : code).input.select();
    }
  };
  document.title = `${t("login.login")} · ${t("app.name")}`;
  return h(
    "main",
    { class: "login" },
    h("div", { class: "login-language" }, languageSwitch(language)),
    h(
      "div",
      { class: "login-card" },
      h("img", { src: new URL("../../icons/icon.svg", import.meta.url).href, alt: "", width: 52, height: 52 }),
      h("h1", {}, t("app.name")),
      h("p", { class: "login-more" }, t("login.what")),
      note && h("p", { class: "note", role: "status" }, note),
      h("form", { data: { testid: "login-form" }, on: { submit } }, name.row, password.row, code.row, told, button),
    ),
  );
}

function field(key, autocomplete, type) {
  const input = h("input", {
    id: `login-${key}`, name: key, type, autocomplete, required: true, autocapitalize: "none", spellcheck: "false",
    maxlength: key === "name" ? 64 : 256, data: { testid: `login-${key}` },
  });
  return { input, row: h("div", { class: "field" }, h("label", { for: `login-${key}` }, t(`login.${key}`)), input) };
}
