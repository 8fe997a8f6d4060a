// Who was told of an alert, what waits and why, and what could not be delivered.

import { h } from "../dom.js";
import { moment } from "../format.js";
import { t } from "../i18n.js";
import { scrollTable } from "./lazy.js";

/** The messages about an alert; nothing where nobody was to be told. */
export function deliveries(alert, timezone) {
  if (!alert.deliveries?.length) return h("p", { class: "caption" }, t("delivery.none"));
  const when = (one) => {
    if (one.state === "sent") return moment(Date.parse(one.sent_at), timezone, 0, true);
    return one.next_try_at ? t("delivery.next", { time: moment(Date.parse(one.next_try_at), timezone, 0) }) : "";
  };
  const state = (one) => [t(`delivery.${one.state}`), one.held_by ? ` (${t(`delivery.held.${one.held_by}`)})` : ""].join("");
  return h("div", { data: { testid: "deliveries" } }, scrollTable(t("delivery.title"), ["who", "what", "state", "when", "fault"].map((key) => t(`delivery.${key}`)),
    alert.deliveries.map((one) => [`${one.user} · ${one.contact} (${one.scheme})`, t(`alert.state.${one.event}`), h("span", { data: { state: one.state } }, state(one)), when(one),
      one.last_error ? `${one.last_error} (${t("delivery.attempts", { n: one.attempts })})` : ""])));
}
