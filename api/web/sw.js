// Keeps the page and what it showed last, so that a manager in a cellar still sees the alerts.
// The page's files are those of one version; data are asked of the server first, and kept until somebody logs out.

const SHELL = "shell __ASSETS__";
const DATA = "data";
const FILES = __FILES__;
const KEPT = /^\/api\/v1\/(session|sites|alerts)(\/|$)(?!.*\/dossier)/;
const PATIENCE_MS = 5000;

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(SHELL).then((cache) => cache.addAll(["/", ...FILES])));
});

self.addEventListener("activate", (event) => {
  const old = (name) => name !== SHELL && name !== DATA;
  event.waitUntil(caches.keys().then((names) => Promise.all(names.filter(old).map((name) => caches.delete(name)))));
});

self.addEventListener("message", (event) => {
  if (event.data === "forget") event.waitUntil(caches.delete(DATA));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin) return;
  if (request.mode === "navigate") event.respondWith(page(request));
  else if (url.pathname.startsWith("/assets/")) event.respondWith(asset(request));
  else if (KEPT.test(url.pathname)) event.respondWith(data(request));
});

async function page(request) {
  try {
    return await soon(fetch(request));
  } catch {
    return (await caches.match("/")) ?? Response.error();
  }
}

async function asset(request) {
  return (await caches.match(request)) ?? fetch(request);
}

/** The server's answer, kept; without one, what was kept, marked with when it was true. */
async function data(request) {
  const cache = await caches.open(DATA);
  try {
    const answer = await soon(fetch(request));
    if (answer.ok) await cache.put(request, answer.clone());
    else if (answer.status === 401) await caches.delete(DATA);
    return answer;
  } catch (error) {
    const kept = await cache.match(request);
    if (!kept) throw error;
    const headers = new Headers(kept.headers);
    headers.set("X-Kept-Since", kept.headers.get("Date") ?? "");
    return new Response(await kept.blob(), { status: 200, headers });
  }
}

/** A connection that is there and says nothing is as good as none. */
function soon(answer) {
  return Promise.race([answer, new Promise((_, reject) => setTimeout(() => reject(new TypeError("no answer")), PATIENCE_MS))]);
}
