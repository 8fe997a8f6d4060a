// Start: language, user, frame, and one view for each address.

import { whenLoggedOut } from "./api.js";
import { fill, h } from "./dom.js";
import { keptLanguage, setLanguage, t } from "./i18n.js";
import { closeLive, openLive } from "./live.js";
import { frame } from "./parts/frame.js";
import { failure, toast } from "./parts/states.js";
import { go, here } from "./router.js";
import { installWorker } from "./worker.js";
import { forgetUser, isAdmin, isOfficial, loadUser, user } from "./session.js";
import { login } from "./views/login.js";
import { overview } from "./views/overview.js";

const root = document.getElementById("app");
let shown = null; // the view's AbortController
let chrome = null;

/** Views by the first part of the address; those that a first look does not need are loaded when they are. */
const VIEWS = {
  "": () => overview,
  site: async () => (await import("./views/quarter.js")).quarter,
  alerts: async () => (await import("./views/alerts.js")).alerts,
  dossier: async () => (await import("./views/dossier.js")).dossier,
  reports: async () => (await import("./views/reports.js")).reports,
  limits: async () => (await import("./views/records.js")).limits,
  quarantine: async () => (isOfficial() ? (await import("./views/records.js")).quarantine : null),
  audit: async () => (isOfficial() ? (await import("./views/records.js")).audit : null),
  users: async () => (isAdmin() ? (await import("./views/adminUsers.js")).users : null),
  setup: async () => (isAdmin() ? (await import("./views/adminSites.js")).setup : null),
  fleet: async () => (isAdmin() ? (await import("./views/fleet.js")).fleet : null),
  account: async () => (await import("./views/account.js")).account,
};

async function start() {
  const linked = new URLSearchParams(location.search).get("alert");
  if (linked && /^\d+$/.test(linked)) history.replaceState(null, "", `/#/alerts/${linked}`);
  setLanguage(keptLanguage() ?? "zh");
  whenLoggedOut(() => {
    if (!user()) return;
    forgetUser();
    showLogin(t("login.session_over"));
  });
  try {
    await loadUser();
  } catch (error) {
    fill(root, h("main", { class: "lonely" }, failure(error, () => location.reload())));
    return;
  }
  if (user()) showFrame();
  else showLogin();
  installWorker();
}

function showLogin(note = "") {
  closeLive();
  shown?.abort();
  chrome?.close();
  chrome = null;
  fill(root, login({ note, done: loggedIn, language: () => showLogin(note) }));
}

function loggedIn() {
  if (!keptLanguage()) setLanguage(user().language);
  showFrame();
}

function showFrame() {
  chrome?.close();
  chrome = frame({ language: () => showFrame(), loggedOut: () => showLogin(t("login.logged_out")) });
  fill(root, chrome.element);
  if (!user().lacks_factor) openLive();
  showView({ focus: false });
}

async function showView({ focus = true } = {}) {
  if (!user() || !chrome) return;
  shown?.abort();
  const mine = (shown = new AbortController());
  const { parts, query } = here();
  const place = h("div", { class: "view", data: { view: parts[0] ?? "overview", of: parts[1] ?? "" } });
  try {
    if (user().lacks_factor && parts[0] !== "account") {
      go("#/account");
      return;
    }
    const view = await VIEWS[parts[0] ?? ""]?.();
    if (mine.signal.aborted) return;
    if (!view) {
      go("#/");
      return;
    }
    const { title, node } = view({ parts: parts.slice(1), query, signal: mine.signal });
    fill(place, node);
    chrome.show(place, parts[0] ?? "");
    document.title = `${title} · ${t("app.name")}`;
    if (focus) {
      scrollTo(0, 0);
      place.querySelector("h1")?.focus({ preventScroll: true });
    }
  } catch (error) {
    if (!mine.signal.aborted) chrome.show(fill(place, failure(error, () => showView())), parts[0] ?? "");
  }
}

addEventListener("hashchange", () => showView());
addEventListener("unhandledrejection", (event) => {
  if (event.reason?.name === "AbortError") event.preventDefault();
  else if (event.reason?.code) toast(event.reason.message, "bad");
});
start();
