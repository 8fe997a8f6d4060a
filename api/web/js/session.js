// Who is logged in.

import { get, send, setCsrfToken } from "./api.js";
import { setClock } from "./clock.js";
import { forgetKept } from "./worker.js";

let me = null;

/** The user, or null. */
export function user() {
  return me;
}

/** Whether the user may look into quarantine and audit log. */
export function isOfficial() {
  return me?.role === "admin" || me?.role === "bureau";
}

/** Whether the user may change people, quarters, devices and meters. */
export function isAdmin() {
  return me?.role === "admin";
}

/** Whether the user may fill in dossiers. */
export function mayEdit() {
  return Boolean(me) && me.role !== "viewer";
}

/** Whether the user may decide by which local rule dossiers are judged. */
export function isOffice() {
  return isOfficial() || me?.role === "water_office";
}

/** Whether the user may take an alert up. */
export function mayAcknowledge() {
  return Boolean(me) && me.role !== "viewer" && me.role !== "committee";
}

/** Ask the server who is logged in; null where nobody is. */
export async function loadUser() {
  return take((await get("/session")).me);
}

/** Log in. */
export async function login(name, password, code = "") {
  return take(await send("POST", "/login", { name, password, ...(code && { code }) }));
}

/** Log out, at the server too where it answers. */
export async function logout() {
  try {
    await send("POST", "/logout");
  } catch (error) {
    if (error.status !== 401) throw error;
  }
  forgetKept();
  take(null);
}

/** Forget the user because the server did. */
export function forgetUser() {
  forgetKept();
  take(null);
}

/** Take over a new answer of the server about the user. */
export function take(answer) {
  me = answer;
  setCsrfToken(answer?.csrf_token ?? "");
  if (answer) setClock(answer.clock);
  return me;
}
