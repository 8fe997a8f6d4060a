// A site's own time: offsets from UTC, without a library.

const OFFSETS = new Map();
const FORMATS = new Map();
const HOUR_MS = 3600_000;

/** The offset of a zone from UTC at a time, in milliseconds. */
export function offsetMs(timezone, ms) {
  const hour = Math.floor(ms / HOUR_MS);
  const key = `${timezone} ${hour}`;
  let offset = OFFSETS.get(key);
  if (offset === undefined) {
    offset = measure(timezone, hour * HOUR_MS);
    if (OFFSETS.size > 20_000) OFFSETS.clear();
    OFFSETS.set(key, offset);
  }
  return offset;
}

function measure(timezone, ms) {
  const parts = {};
  for (const { type, value } of format(timezone).formatToParts(new Date(ms))) parts[type] = Number(value);
  const local = Date.UTC(parts.year, parts.month - 1, parts.day, parts.hour % 24, parts.minute, parts.second);
  return local - Math.floor(ms / 1000) * 1000;
}

function format(timezone) {
  let known = FORMATS.get(timezone);
  if (!known) {
    known = new Intl.DateTimeFormat("en-US", {
      timeZone: timezone, year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric",
      second: "numeric", hourCycle: "h23",
    });
    FORMATS.set(timezone, known);
  }
  return known;
}

/** The site's wall clock as if it were UTC: what charts with `useUTC` show. */
export function toLocal(timezone, ms) {
  return ms + offsetMs(timezone, ms);
}

/** The instant of a site's wall clock time that was made by `toLocal`. */
export function fromLocal(timezone, localMs) {
  const guess = localMs - offsetMs(timezone, localMs);
  return localMs - offsetMs(timezone, guess);
}

/** The instant at which the site's calendar day of a time began. */
export function midnight(timezone, ms) {
  const local = toLocal(timezone, ms);
  return fromLocal(timezone, Math.floor(local / (24 * HOUR_MS)) * 24 * HOUR_MS);
}
