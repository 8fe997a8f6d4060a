// Acknowledgements made without a connection: kept in this browser, sent when the server is back.

import { ApiError, send } from "./api.js";
import { user } from "./session.js";

const KEPT = "quietwater.outbox";
const MOST = 50;

/** Emits "changed" when something was put in or sent (detail: {sent, refused}). */
export const outbox = new EventTarget();
let sending = false;

function read() {
  try {
    return JSON.parse(localStorage.getItem(KEPT) ?? "[]");
  } catch {
    return [];
  }
}

function write(items) {
  localStorage.setItem(KEPT, JSON.stringify(items.slice(-MOST)));
}

/** The acknowledgements of this user that wait. */
export function waiting() {
  return read().filter((one) => one.user === user()?.name);
}

/** Whether an alert's acknowledgement waits to be sent. */
export function isWaiting(alertId) {
  return waiting().some((one) => one.alert === alertId);
}

/** Acknowledge an alert: now, or as soon as there is a connection. Returns the server's answer, or null where it waits. */
export async function acknowledgeSoon(alertId, note) {
  try {
    return await send("POST", `/alerts/${alertId}/acknowledge`, { note });
  } catch (error) {
    if (error.code !== "offline") throw error;
    write([...read().filter((one) => !(one.alert === alertId && one.user === user().name)), { user: user().name, alert: alertId, note }]);
    outbox.dispatchEvent(new CustomEvent("changed", { detail: { sent: 0, refused: 0 } }));
    return null;
  }
}

/** Send what waits. What the server refuses for good is let go and counted. */
export async function sendWaiting() {
  if (sending || !user()) return;
  sending = true;
  let sent = 0;
  let refused = 0;
  try {
    for (const one of waiting()) {
      try {
        await send("POST", `/alerts/${one.alert}/acknowledge`, { note: one.note });
        sent += 1;
      } catch (error) {
        if (!(error instanceof ApiError) || ![403, 404, 409, 422].includes(error.status) || error.code === "csrf") return;
        refused += 1;
      }
      write(read().filter((item) => !(item.alert === one.alert && item.user === one.user)));
    }
  } finally {
    sending = false;
    if (sent || refused) outbox.dispatchEvent(new CustomEvent("changed", { detail: { sent, refused } }));
  }
}
