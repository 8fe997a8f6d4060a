// Requests to the API. Every failure is an ApiError with a code and words in the page's language.

import { t, tOr } from "./i18n.js";

const BASE = "/api/v1";
let csrfToken = "";
let onLoggedOut = () => {};
let onKept = () => {};
const EDITED_WHERE_READ = /\/judging$/;
const tags = new Map();

/** A request that failed: `code` is the API's, or "offline". */
export class ApiError extends Error {
  constructor(status, code, detail, retryAfterS = 0) {
    super(tOr(`error.${code}`, "error.other", { detail, seconds: retryAfterS }));
    this.status = status;
    this.code = code;
    this.detail = detail;
  }
}

/** Keep the token that changes need. */
export function setCsrfToken(token) {
  csrfToken = token;
}

/** Say what happens when the session turns out to be over. */
export function whenLoggedOut(handler) {
  onLoggedOut = handler;
}

/** Say what happens when an answer is an older one that the browser kept (its time), or is the server's (null). */
export function whenKept(handler) {
  onKept = handler;
}

/** GET an answer; `query` values that are null are left out. */
export function get(path, query = {}, signal = undefined) {
  const wanted = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  const search = wanted.length ? `?${new URLSearchParams(wanted)}` : "";
  return request("GET", path + search, undefined, signal);
}

/** The address of a file to download. */
export function fileAddress(path, query) {
  return `${BASE}${path}?${new URLSearchParams(query)}`;
}

/** Send a change; a file is sent as it is. */
export function send(method, path, body = undefined, signal = undefined) {
  return request(method, path, body, signal);
}

async function request(method, path, body, signal) {
  const headers = { Accept: "application/json" };
  const file = body instanceof Blob;
  if (body !== undefined) headers["Content-Type"] = file ? "application/octet-stream" : "application/json";
  if (method !== "GET" && csrfToken) headers["X-CSRF-Token"] = csrfToken;
  if (method === "PATCH" && tags.has(path)) headers["If-Match"] = tags.get(path);
  let answer;
  try {
    answer = await fetch(BASE + path, {
      method, headers, signal, body: body === undefined || file ? body : JSON.stringify(body), credentials: "same-origin",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "offline", String(error));
  }
  const kept = answer.headers.get("X-Kept-Since");
  if (method === "GET") onKept(kept === null ? null : Date.parse(kept) || 0);
  if (answer.status === 204) return null;
  if (answer.ok && EDITED_WHERE_READ.test(path)) tags.set(path, answer.headers.get("ETag") ?? "*");
  if (answer.ok) return answer.json();
  throw await failure(answer, path);
}

async function failure(answer, path) {
  let problem = {};
  try {
    problem = await answer.json();
  } catch {
    problem = { code: "other", detail: t("error.status", { status: answer.status }) };
  }
  const wait = Number(answer.headers.get("Retry-After")) || 0;
  if (answer.status === 401 && path !== "/login" && problem.code === "login_required") onLoggedOut();
  return new ApiError(answer.status, problem.code ?? "other", problem.detail ?? "", wait);
}

/** Whether an error only says that the view is gone. */
export function isAbort(error) {
  return error?.name === "AbortError";
}
