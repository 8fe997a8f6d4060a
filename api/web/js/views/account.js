// What a person may change about themselves.

import { send } from "../api.js";
import { h, setText } from "../dom.js";
import { t } from "../i18n.js";
import { contacts, notifyPrefs } from "../parts/contacts.js";
import { secondFactor } from "../parts/secondFactor.js";
import { toast } from "../parts/states.js";
import { tokens } from "../parts/tokens.js";
import { take, user } from "../session.js";

/** The account page. */
export function account({ signal }) {
  return {
    title: t("account.title"),
    node: h("div", { class: "records account" }, h("h1", { tabindex: "-1" }, t("account.title")),
      h("dl", { class: "facts" },
        h("div", {}, h("dt", {}, t("login.name")), h("dd", {}, user().name)),
        h("div", {}, h("dt", {}, t("account.role")), h("dd", {}, t(`role.${user().role}`))),
        h("div", {}, h("dt", {}, t("account.sites")), h("dd", {}, user().sites === null ? t("account.all_sites") : user().sites.join(", ") || "–")),
        h("div", {}, h("dt", {}, t("account.version")), h("dd", {}, user().version))),
      !user().lacks_factor && user().role !== "viewer" && h("section", {}, h("h2", {}, t("contacts.title")), h("p", { class: "lead" }, t("contacts.lead")), contacts(signal),
        h("h2", {}, t("notify.title")), notifyPrefs(signal)),
      !user().lacks_factor && h("section", {}, h("h2", {}, t("tokens.title")), h("p", { class: "lead" }, t("tokens.lead")), tokens(signal)),
      h("section", {}, h("h2", {}, t("factor.title")), h("p", { class: "lead" }, t("factor.lead")), secondFactor(signal)),
      passwordForm()),
  };
}

function passwordForm() {
  const told = h("p", { class: "form-error", role: "alert" });
  const present = field("present", "current-password");
  const next = field("new", "new-password");
  const again = field("again", "new-password");
  const button = h("button", { class: "button button-main", type: "submit" }, t("account.change"));
  const submit = async (event) => {
    event.preventDefault();
    setText(told, "");
    if (next.input.value !== again.input.value) {
      setText(told, t("account.differ"));
      return;
    }
    if (next.input.value.length < 10) {
      setText(told, t("account.too_short"));
      return;
    }
    button.disabled = true;
    try {
      take(await send("PUT", "/me/password", { present: present.input.value, new: next.input.value }));
      event.target.reset();
      toast(t("account.changed"));
    } catch (error) {
      const wrong = error.code === "invalid_input";
      setText(told, wrong && error.detail.includes("present") ? t("account.wrong") : wrong ? t("account.weak") : error.message);
    }
    button.disabled = false;
  };
  return h("form", { class: "form", on: { submit }, data: { testid: "password-form" } }, h("h2", {}, t("account.password")), present.row, next.row, again.row, told, button);
}

function field(key, autocomplete) {
  const input = h("input", { id: `account-${key}`, name: key, type: "password", autocomplete, required: true, maxlength: 256 });
  return { input, row: h("div", { class: "field" }, h("label", { for: `account-${key}` }, t(`account.${key}`)), input) };
}
