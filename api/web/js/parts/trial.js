// A rule tried on the past: how many alerts would there have been?

import { send } from "../api.js";
import { fill, h } from "../dom.js";
import { level, moment, number, percent } from "../format.js";
import { t } from "../i18n.js";
import { scrollTable } from "./lazy.js";
import { failure, loading } from "./states.js";

const DAYS = 90;

/** A button that tries parameters, and the answer below it. `read` returns the parameters of the form. */
export function trialPlace(rule, timezone, read) {
  const place = h("div", { "aria-live": "polite", data: { testid: "trial" } });
  const button = h("button", { type: "button", class: "button" }, t("trial.run", { days: DAYS }));
  button.addEventListener("click", async () => {
    button.disabled = true;
    fill(place, loading(1));
    try {
      fill(place, told(await send("POST", "/rules/trial", { site: rule.site, kind: rule.kind, params: read(), days: DAYS }), timezone));
    } catch (error) {
      fill(place, failure(error));
    }
    button.disabled = false;
  });
  return h("div", { class: "trial" }, h("p", {}, button), place);
}

function told(answer, timezone) {
  const sources = Object.entries(answer.per_source).filter(([, count]) => count).sort((a, b) => b[1] - a[1]);
  return [
    h("p", {}, h("strong", {}, t("trial.alerts", { n: number(answer.alerts), days: DAYS }))),
    h("p", { class: "caption" }, [t("trial.known", { share: percent(answer.known_share) }), ...sources.slice(0, 5).map(([name, count]) => `${name}: ${count}`)].join(" · ")),
    answer.newest.length > 0 && scrollTable(t("trial.newest"), [t("limits.since"), t("day.to"), t("day.measured")],
      answer.newest.slice(0, 5).map((one) => [moment(Date.parse(one.firing_at), timezone, 0), one.resolved_at ? moment(Date.parse(one.resolved_at), timezone, 0) : "…", level(one.worst)])),
  ];
}
