// Attachments: documents and photos that prove what was entered.

import { send } from "../api.js";
import { h } from "../dom.js";
import { number } from "../format.js";
import { t } from "../i18n.js";
import { mayEdit } from "../session.js";
import { rowButton } from "./dialog.js";
import { empty, toast } from "./states.js";

const ACCEPT = ".pdf,.png,.jpg,.jpeg,.webp,.docx,.xlsx";
const MOST_BYTES = 8 * 1024 * 1024;

/** All files of the quarter. */
export function files(context) {
  const { attached, site } = context;
  const list = attached.length
    ? h("ul", { class: "entries" }, attached.map((one) => h("li", { class: "entry", data: { testid: "file" } },
      h("p", {}, h("a", { href: `/api/v1${site}/dossier/attachments/${one.id}`, download: one.name }, one.name), " ",
        h("span", { class: "caption" }, `${number(Math.max(1, Math.round(one.size_bytes / 1024)))} KiB · ${one.created_by}`)),
      mayEdit() && h("div", { class: "row-buttons" }, rowButton(t("dossier.remove"), one.name, () => remove(one, context))))))
    : empty(t("dossier.files_empty"));
  return [list, attachTo(context, {})];
}

/** A button that attaches a file to an indicator, an entry, or the dossier as a whole. */
export function attachTo(context, where, about = "") {
  if (!mayEdit()) return null;
  const input = h("input", { type: "file", accept: ACCEPT, class: "spoken", tabindex: "-1", "aria-hidden": "true", data: { testid: "attach" } });
  const choose = h("button", { type: "button", class: "button", on: { click: () => input.click() } }, t("dossier.attach"), about && h("span", { class: "spoken" }, ` ${about}`));
  input.addEventListener("change", () => upload(input, choose, context, where));
  return h("p", { class: "attach" }, choose, input);
}

async function upload(input, button, { site, reload }, where) {
  const [file] = input.files;
  if (!file) return;
  if (file.size > MOST_BYTES) {
    toast(t("dossier.too_large"), "bad");
    return;
  }
  button.disabled = true;
  try {
    await send("POST", `${site}/dossier/attachments?${new URLSearchParams({ name: file.name.slice(-200), ...where })}`, file);
    toast(t("form.saved"));
    await reload();
  } catch (error) {
    toast(error.message, "bad");
  }
  input.value = "";
  button.disabled = false;
}

async function remove(one, { site, reload }) {
  try {
    await send("DELETE", `${site}/dossier/attachments/${one.id}`);
    await reload();
  } catch (error) {
    toast(error.message, "bad");
  }
}
