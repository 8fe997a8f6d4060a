// The stream of what happens now. Reconnects for ever; says when something was missed.

import { get } from "./api.js";
import { clockSpeed, now, setClock } from "./clock.js";

const EVENTS = ["levels", "water", "alert", "device", "edge_event", "resync"];
const SILENT_MS = 25_000;

/** Emits the stream's events (detail: the data) and "state" (detail: connecting, live or lost). */
export const live = new EventTarget();

const latest = new Map();
let source = null;
let retryTimer = 0;
let watchdog = 0;
let failures = 0;
let state = "connecting";
let wanted = false;

/** Open the stream. */
export function openLive() {
  wanted = true;
  connect();
}

/** Close the stream. */
export function closeLive() {
  wanted = false;
  latest.clear();
  clearTimeout(retryTimer);
  clearTimeout(watchdog);
  source?.close();
  source = null;
}

/** The newest second of every device so far: what a view begins with. */
export function latestLevels() {
  return [...latest.values()];
}

/** The stream's state. */
export function liveState() {
  return state;
}

/** Whether a second that began at `ms` is still the present one. */
export function isFresh(ms, seconds = 15) {
  return now() - ms < (seconds + 1) * 1000 * Math.max(1, clockSpeed());
}

function connect() {
  source?.close();
  clearTimeout(retryTimer);
  if (!wanted) return;
  say(failures ? "lost" : "connecting");
  source = new EventSource("/api/v1/live");
  source.addEventListener("open", alive);
  source.addEventListener("error", broken);
  source.addEventListener("bye", broken);
  source.addEventListener("hello", alive);
  source.addEventListener("clock", (message) => {
    alive();
    setClock(JSON.parse(message.data));
  });
  for (const name of EVENTS) {
    source.addEventListener(name, (message) => {
      alive();
      const detail = JSON.parse(message.data);
      if (name === "levels") for (const one of detail.levels) latest.set(`${one.site}/${one.device}`, one);
      live.dispatchEvent(new CustomEvent(name, { detail }));
    });
  }
}

function alive() {
  const returned = state === "lost";
  failures = 0;
  say("live");
  clearTimeout(watchdog);
  watchdog = setTimeout(broken, SILENT_MS);
  // Nothing keeps the levels of the time without a connection: whoever shows them loads them anew.
  if (returned) live.dispatchEvent(new CustomEvent("resync", { detail: {} }));
}

async function broken() {
  if (!wanted) return;
  clearTimeout(watchdog);
  say("lost");
  // The browser tries again by itself after a lost connection, with the id of what it saw last.
  if (source && source.readyState === EventSource.CONNECTING) return;
  source?.close();
  failures += 1;
  clearTimeout(retryTimer);
  retryTimer = setTimeout(connect, Math.min(30_000, 1000 * 2 ** Math.min(failures, 5)) * (0.7 + 0.6 * Math.random()));
  // A refused stream may mean that the session is over: asking says so.
  if (failures > 1) get("/me").catch(() => {});
}

function say(what) {
  if (state === what) return;
  state = what;
  live.dispatchEvent(new CustomEvent("state", { detail: what }));
}
