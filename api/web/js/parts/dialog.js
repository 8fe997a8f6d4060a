// A dialog over the page, a form made from a list of fields, and a secret that is shown once.

import { fill, h, setText } from "../dom.js";
import { t } from "../i18n.js";
import { icon } from "./icons.js";

let number = 0;

/** Open a dialog. `content` is given the function that closes it. */
export function openDialog(title, content) {
  const close = () => dialog.close();
  const dialog = h("dialog", { class: "dialog", "aria-labelledby": "dialog-title", data: { testid: "dialog" } });
  fill(dialog,
    h("header", { class: "dialog-head" }, h("h2", { id: "dialog-title" }, title),
      h("button", { type: "button", class: "button button-quiet", on: { click: close } }, t("form.close"))),
    content(close));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return close;
}

/**
 * A form. A field: {key, label, type: text | password | area | date | datetime-local | number | select | checks | check, value, options: [[value, label]], required,
 * hint, min, max, step}. `more` is given a function that reads the values as they are and makes what stands below the
 * fields. `submit` gets the values; what it throws is shown in words.
 */
export function form({ fields, button, submit, cancel = null, more = null, testid = "form" }) {
  const told = h("p", { class: "form-error", role: "alert" });
  const made = fields.map(field);
  const read = () => Object.fromEntries(made.map((one) => [one.key, one.read()]));
  const act = h("button", { type: "submit", class: "button button-main" }, button);
  const sent = async (event) => {
    event.preventDefault();
    setText(told, "");
    act.disabled = true;
    try {
      await submit(read());
    } catch (error) {
      setText(told, error.message);
    }
    act.disabled = false;
  };
  return h("form", { class: "form", data: { testid }, on: { submit: sent } }, made.map((one) => one.node), more?.(read), told,
    h("div", { class: "form-buttons" }, act, cancel && h("button", { type: "button", class: "button", on: { click: cancel } }, t("form.cancel"))));
}

function field(one) {
  number += 1;
  const id = `field-${number}`;
  const hint = one.hint && h("p", { class: "caption", id: `${id}-hint` }, one.hint);
  if (one.type === "checks") return checks(one, id, hint);
  if (one.type === "check") return check(one, id, hint);
  const input = one.type === "select" ? select(one, id) : text(one, id, hint);
  const read = () => {
    if (one.type !== "number") return one.type === "select" ? input.value : input.value.trim();
    return input.value === "" ? null : Number(input.value);
  };
  return { key: one.key, read, node: h("div", { class: "field" }, h("label", { for: id }, one.label), input, hint) };
}

function select(one, id) {
  return h("select", { id, name: one.key }, one.options.map(([value, label]) => h("option", { value, selected: value === one.value }, label)));
}

function text(one, id, hint) {
  const numeric = one.type === "number";
  if (one.type === "area") return h("textarea", { id, name: one.key, rows: 3, maxlength: one.maxlength ?? 1000, required: one.required }, one.value ?? "");
  return h("input", {
    id, name: one.key, type: numeric ? "number" : ["date", "datetime-local", "password"].includes(one.type) ? one.type : "text", value: one.value ?? "", required: one.required, min: one.min, max: one.max,
    step: numeric ? (one.step ?? "any") : null, maxlength: one.maxlength ?? 200, autocomplete: one.type === "password" ? "current-password" : "off", pattern: one.pattern,
    "aria-describedby": hint ? `${id}-hint` : null,
  });
}

function check(one, id, hint) {
  const input = h("input", { id, type: "checkbox", checked: Boolean(one.value), name: one.key });
  const node = h("div", { class: "field field-check" }, input, h("label", { for: id }, one.label), hint);
  return { key: one.key, read: () => input.checked, node };
}

function checks(one, id, hint) {
  const boxes = one.options.map(([value, label], i) => {
    const input = h("input", { id: `${id}-${i}`, type: "checkbox", value, checked: (one.value ?? []).includes(value) });
    return { input, node: h("div", { class: "field-check" }, input, h("label", { for: `${id}-${i}` }, label)) };
  });
  return {
    key: one.key,
    read: () => boxes.filter(({ input }) => input.checked).map(({ input }) => input.value),
    node: h("fieldset", { class: "field" }, h("legend", {}, one.label), h("div", { class: "field-checks" }, boxes.map(({ node }) => node)), hint),
  };
}

/** A secret that is shown once, with a button that copies it. */
export function secret(words, value, done) {
  const code = h("code", { class: "secret", data: { testid: "secret" } }, value);
  const copy = h("button", { type: "button", class: "button" }, t("form.copy"));
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(value);
      setText(copy, t("form.copied"));
    } catch {
      getSelection().selectAllChildren(code);
    }
  });
  return h("div", { class: "secret-place" }, h("p", {}, words), h("p", { class: "secret-row" }, code, copy),
    h("p", { class: "note" }, icon("bell"), t("form.once")),
    h("button", { type: "button", class: "button button-main", on: { click: done } }, t("form.done")));
}

/** A button with words that only a screen reader says: what it is about. */
export function rowButton(words, about, click, testid = null) {
  return h("button", { type: "button", class: "button", on: { click }, data: testid ? { testid } : {} }, words, h("span", { class: "spoken" }, ` ${about}`));
}
