// How quarters stood over a period: what the server says, as states that the map and the table show.

import { get } from "../api.js";
import { now } from "../clock.js";
import { toLocal } from "../zone.js";

/** The periods that can be chosen, with the dates that each counts; `now` is the present level. */
export const PERIODS = { now: 0, week: 7, month: 30, year: 365 };

const STATE_OF = { all_within: "below", mostly_within: "near", often_above: "above", none_judged: "no_data" };
const DAY_MS = 86_400_000;
const ZONE = "Asia/Shanghai";

/** Load the standings of a period that ends yesterday: a Map from a quarter's name. */
export async function loadStandings(period, signal) {
  const last = now() - DAY_MS;
  const first = last - (PERIODS[period] - 1) * DAY_MS;
  const { items } = await get("/city/standings", { first: dateOf(first), last: dateOf(last) }, signal);
  return new Map(items.map((one) => [one.site, one]));
}

function dateOf(ms) {
  return new Date(toLocal(ZONE, ms)).toISOString().slice(0, 10);
}

/** The state to show for a quarter: of now, or of the chosen period. */
export function shownState(site, standings) {
  return standings ? STATE_OF[standings.get(site.name)?.standing ?? "none_judged"] : site.state;
}
