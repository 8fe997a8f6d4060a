// How an alert is handled: what was written, the photos, "done"; and the tools to add to it.

import { get, send } from "../api.js";
import { now } from "../clock.js";
import { fill, h } from "../dom.js";
import { moment } from "../format.js";
import { t } from "../i18n.js";
import { mayAcknowledge } from "../session.js";
import { icon } from "./icons.js";
import { smallerPhoto } from "./photo.js";
import { failure, loading, toast } from "./states.js";

/** The handling of one alert. */
export function handling(alert, timezone, signal) {
  const list = h("div", { data: { testid: "handling" } }, loading(1));
  const load = async () => {
    try {
      const { items } = await get(`/alerts/${alert.id}/handling`, {}, signal);
      fill(list, items.length ? h("ol", { class: "timeline" }, items.map((one) => lineOf(alert, one, timezone)))
        : h("p", { class: "caption" }, t("handling.none")));
    } catch (error) {
      if (error.name !== "AbortError") fill(list, failure(error, load));
    }
  };
  load();
  return h("section", {}, h("h2", {}, t("handling.title")), list, mayAcknowledge() && tools(alert, load));
}

function lineOf(alert, one, timezone) {
  const address = `/api/v1/alerts/${alert.id}/photos/${one.id}`;
  return h("li", { data: { state: one.kind === "done" ? "resolved" : "acknowledged" } },
    h("span", { class: "timeline-time" }, moment(Date.parse(one.at), timezone, now(), true)),
    h("span", { class: "timeline-what" },
      one.kind === "done" && h("strong", {}, t("handling.done_mark")),
      one.text && h("q", {}, one.text),
      one.kind === "photo" && h("a", { href: address, target: "_blank", rel: "noopener" },
        h("img", { class: "handling-photo", src: address, alt: t("handling.photo_by", { who: one.who }), loading: "lazy" }))),
    h("span", { class: "caption" }, one.who));
}

function tools(alert, changed) {
  const text = h("textarea", { id: `handling-${alert.id}`, rows: 2, maxlength: 500, placeholder: t("handling.hint"), data: { testid: "handling-text" } });
  const photo = h("input", { type: "file", accept: "image/*", class: "spoken", id: `photo-${alert.id}`, data: { testid: "handling-photo" } });
  const buttons = [];
  const act = async (task, told) => {
    for (const one of buttons) one.disabled = true;
    try {
      await task();
      text.value = photo.value = "";
      toast(told);
      changed();
    } catch (error) {
      toast(error.message, "bad");
    } finally {
      for (const one of buttons) one.disabled = false;
    }
  };
  const write = (done) => {
    if (!done && !text.value.trim()) text.focus();
    else act(() => send("POST", `/alerts/${alert.id}/notes`, { text: text.value.trim(), done }), t(done ? "handling.done_told" : "handling.noted"));
  };
  photo.addEventListener("change", () => photo.files.length
    && act(async () => send("POST", `/alerts/${alert.id}/photos`, await smallerPhoto(photo.files[0])), t("handling.photo_told")));
  buttons.push(
    h("button", { class: "button", type: "button", data: { testid: "handling-note" }, on: { click: () => write(false) } }, icon("note"), t("handling.note")),
    h("button", { class: "button", type: "button", on: { click: () => photo.click() } }, icon("photo"), t("handling.photo")),
    h("button", { class: "button button-main", type: "button", data: { testid: "handling-done" }, on: { click: () => write(true) } }, icon("check"), t("handling.done")),
  );
  return h("div", { class: "ack handling-tools" },
    h("label", { for: `handling-${alert.id}` }, t("handling.label")), text,
    h("label", { class: "spoken", for: `photo-${alert.id}` }, t("handling.photo")), photo,
    h("div", { class: "ack-buttons" }, buttons), h("p", { class: "caption" }, t("handling.ends")));
}
