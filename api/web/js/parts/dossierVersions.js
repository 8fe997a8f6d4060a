// Frozen versions: freeze at application, look at one, see what changed.

import { get, send } from "../api.js";
import { fill, h } from "../dom.js";
import { calendarDate, moment, number } from "../format.js";
import { label, t } from "../i18n.js";
import { mayEdit } from "../session.js";
import { form, openDialog, rowButton } from "./dialog.js";
import { gaps, indicators, summary } from "./dossierIndicators.js";
import { empty, into, toast } from "./states.js";

const ZONE = "Asia/Shanghai";

/** The versions of this programme. */
export function versions(context) {
  const changes = h("div", { class: "changes", "aria-live": "polite" });
  return [
    h("p", { class: "lead" }, t("version.lead")),
    context.frozen.length ? h("ul", { class: "entries" }, context.frozen.map((one) => version(one, context, changes))) : empty(t("version.none")),
    changes,
    mayEdit() && h("p", {}, h("button", { type: "button", class: "button button-main", data: { testid: "freeze" }, on: { click: () => freeze(context) } }, t("version.freeze"))),
  ];
}

function version(one, context, changes) {
  const address = `${context.site}/dossiers/${context.programme}`;
  return h("li", { class: "entry", data: { testid: "version", number: one.number } },
    h("p", {}, h("strong", {}, t("version.number", { n: one.number })), " ", t("version.score", { score: number(one.score, 1) }), " ", one.note),
    h("p", { class: "caption" }, `${moment(Date.parse(one.frozen_at), ZONE, 0)} · ${one.frozen_by} · SHA-256 `, h("code", {}, one.sha256.slice(0, 16)), "…"),
    h("div", { class: "row-buttons" }, rowButton(t("version.look"), t("version.number", { n: one.number }), () => look(address, one, changes, context), "look-version"),
      rowButton(t("version.changes"), t("version.number", { n: one.number }), () => compare(address, one, changes, context.signal), "compare-version"),
      h("a", { class: "button", href: `/api/v1${address}/versions/${one.number}`, target: "_blank", rel: "noopener" }, t("dossier.data"))));
}

function look(address, one, place, context) {
  fill(place);
  into(place, () => get(`${address}/versions/${one.number}`, {}, context.signal), (tree) => [
    h("h3", { data: { testid: "frozen" } }, t("version.number", { n: one.number })),
    h("p", { class: "caption" }, t("dossier.period", { first: calendarDate(tree.first, true), last: calendarDate(tree.last, true) })),
    summary(tree), gaps(tree), indicators(tree, { ...context, attached: tree.attachments, isFrozen: true }),
  ]);
}

function compare(address, one, place, signal) {
  fill(place);
  into(place, () => get(`${address}/changes`, { before: one.number }, signal), ({ items }) => [
    h("h3", {}, t("version.since", { n: one.number })),
    items.length ? h("ul", { class: "entries", data: { testid: "changes" } }, items.map((each) => h("li", { class: "entry" },
      h("p", {}, h("strong", {}, label(each.label)), " ", h("span", { class: "chip" }, t(`version.${each.change}`))),
      each.before && h("p", { class: "caption" }, t("version.before"), label(each.before)),
      each.after && h("p", {}, t("version.now"), label(each.after))))) : empty(t("version.same")),
  ]);
}

function freeze({ site, programme, tree, reload }) {
  openDialog(t("version.freeze"), (close) => form({
    fields: [{ key: "note", label: t("version.note"), maxlength: 200, hint: t("version.hint") }], button: t("version.freeze_now"), cancel: close, testid: "freeze-form",
    submit: async ({ note }) => {
      await send("POST", `${site}/dossiers/${programme}/versions`, { note, first: tree.first, last: tree.last });
      close();
      toast(t("version.done"));
      await reload();
    },
  }));
}
