// The frame around every view: product, ways, clock of the data, connection, language, user.

import { get, send, whenKept } from "../api.js";
import { clockSpeed, now } from "../clock.js";
import { every, fill, h, setText } from "../dom.js";
import { clockTime, dateWords } from "../format.js";
import { language, setLanguage, t } from "../i18n.js";
import { live, liveState } from "../live.js";
import { outbox, sendWaiting } from "../outbox.js";
import { path } from "../router.js";
import { isAdmin, isOfficial, logout, user } from "../session.js";
import { icon } from "./icons.js";
import { toast } from "./states.js";

const ZONE = "Asia/Shanghai";

/** Make the frame. `language` shows everything anew, `loggedOut` goes to the login. */
export function frame({ language: languageChanged, loggedOut }) {
  const ending = new AbortController();
  const { signal } = ending;
  const content = h("main", { class: "content", id: "content", tabindex: "-1" });
  const ways = waysOf();
  const element = h(
    "div",
    { class: "frame" },
    h("a", { class: "skip", href: "#content", on: { click: (event) => skip(event, content) } }, t("frame.skip")),
    h(
      "header",
      { class: "top" },
      h("a", { class: "brand", href: "#/" }, mark(), h("span", { class: "brand-name" }, t("app.name")),
        h("span", { class: "brand-more" }, t("app.more"))),
      h("nav", { class: "ways", "aria-label": t("frame.ways") }, ways.element),
      h("div", { class: "top-state" }, dataClock(signal), connection(signal)),
      h("div", { class: "top-user" }, languageSwitch(languageChanged), userMenu(loggedOut, signal)),
    ),
    user().demo && h("p", { class: "banner" }, t("frame.demo")),
    keptBanner(),
    content,
    h("footer", { class: "foot" }, h("p", {}, t("frame.indicative_note")), h("p", {}, t("frame.not_a_finding"))),
  );
  followOutbox(signal);
  const count = () => countAlerts(ways.badge, signal);
  live.addEventListener("alert", count, { signal });
  live.addEventListener("resync", count, { signal });
  every(60_000, signal, count);
  count();
  return {
    element,
    close: () => ending.abort(),
    show(place, way) {
      fill(content, place);
      ways.mark(way);
    },
  };
}

/** A line that says so while what is shown is older, because there is no connection. */
function keptBanner() {
  const banner = h("p", { class: "banner", role: "status", hidden: true, data: { testid: "kept-banner" } });
  whenKept((since) => {
    banner.hidden = since === null;
    if (since !== null) setText(banner, t("frame.kept", { time: since ? clockTime(since, ZONE) : "–" }));
  });
  return banner;
}

/** Send waiting acknowledgements when there is a connection again. */
function followOutbox(signal) {
  const back = () => liveState() === "live" && sendWaiting();
  live.addEventListener("state", back, { signal });
  addEventListener("online", sendWaiting, { signal });
  outbox.addEventListener("changed", ({ detail }) => {
    if (detail.sent) toast(t("alert.sent_later", { n: detail.sent }));
    if (detail.refused) toast(t("alert.refused_later", { n: detail.refused }), "bad");
  }, { signal });
  back();
}

function skip(event, content) {
  event.preventDefault();
  content.focus();
}

function mark() {
  const image = h("img", { src: new URL("../../icons/icon.svg", import.meta.url).href, alt: "", width: 28, height: 28 });
  return image;
}

function waysOf() {
  const badge = h("span", { class: "badge", hidden: true, data: { testid: "alert-badge" } });
  const list = [
    ["", t("ways.sites"), null],
    ["alerts", t("ways.alerts"), badge],
    ["limits", t("ways.limits"), null],
  ];
  const links = list.map(([way, text, more]) =>
    h("a", { class: "way", href: path(way), data: { way, testid: `way-${way || "sites"}` } }, text, more));
  return {
    element: links,
    badge,
    mark(way) {
      const present = way === "site" || way === "dossier" ? "" : way;
      for (const link of links) {
        if (link.dataset.way === present) link.setAttribute("aria-current", "page");
        else link.removeAttribute("aria-current");
      }
    },
  };
}

async function countAlerts(badge, signal) {
  if (user()?.lacks_factor) return;
  try {
    const { items, next } = await get("/alerts", { state: "unanswered", limit: 100 }, signal);
    badge.hidden = items.length === 0;
    fill(badge, h("span", { "aria-hidden": "true" }, next ? "99+" : String(items.length)),
      h("span", { class: "spoken" }, t("ways.unanswered", { n: items.length })));
  } catch {
    badge.hidden = true; // the view itself says what is wrong
  }
}

function dataClock(signal) {
  const date = h("span", { class: "clock-date" });
  const time = h("span", { class: "clock-time" });
  const fast = h("span", { class: "chip", hidden: true });
  const tick = () => {
    setText(date, dateWords(now(), ZONE));
    setText(time, clockTime(now(), ZONE, true));
    fast.hidden = clockSpeed() === 1;
    setText(fast, `×${clockSpeed()}`);
  };
  tick();
  const timer = setInterval(tick, 250);
  signal.addEventListener("abort", () => clearInterval(timer));
  return h("div", { class: "clock", title: t("frame.clock"), data: { testid: "data-clock" } },
    h("span", { class: "spoken" }, t("frame.clock")), date, time, fast);
}

function connection(signal) {
  const words = h("span", { class: "connection-words" });
  const node = h("div", { class: "connection", role: "status", data: { testid: "connection" } },
    h("span", { class: "connection-dot", "aria-hidden": "true" }), words);
  const show = () => {
    node.dataset.state = liveState();
    setText(words, t(`connection.${liveState()}`));
  };
  live.addEventListener("state", show, { signal });
  show();
  return node;
}

/** The button that changes to the other language; its text is in that language. */
export function languageSwitch(changed) {
  const other = language() === "zh" ? "en" : "zh";
  return h(
    "button",
    {
      class: "button button-quiet", type: "button", lang: other === "zh" ? "zh-CN" : "en",
      data: { testid: "language-switch" },
      on: {
        click: () => {
          setLanguage(other);
          changed();
          document.querySelector("[data-testid=language-switch]")?.focus();
          if (user()) send("PUT", "/me/language", { language: other }).catch(() => {});
        },
      },
    },
    other === "zh" ? "中文" : "English",
  );
}

function userMenu(loggedOut, signal) {
  const leave = async () => {
    try {
      await logout();
      loggedOut();
    } catch (error) {
      toast(error.message, "bad");
    }
  };
  const menu = h(
    "details",
    { class: "menu", data: { testid: "user-menu" } },
    h("summary", { class: "button button-quiet" }, icon("user"), h("span", { class: "menu-name" }, user().name),
      h("span", { class: "spoken" }, t("frame.user_menu"))),
    h(
      "div",
      { class: "menu-list" },
      h("p", { class: "menu-who" }, user().name, h("span", {}, t(`role.${user().role}`))),
      h("a", { href: path("reports") }, t("reports.title")),
      h("a", { href: path("account") }, t("account.title")),
      isAdmin() && h("a", { href: path("setup") }, t("setup.title")),
      isAdmin() && h("a", { href: path("fleet") }, t("fleet.title")),
      isAdmin() && h("a", { href: path("users") }, t("users.title")),
      isOfficial() && h("a", { href: path("quarantine") }, t("quarantine.title")),
      isOfficial() && h("a", { href: path("audit") }, t("audit.title")),
      h("button", { type: "button", on: { click: leave }, data: { testid: "logout" } }, t("login.logout")),
    ),
  );
  const shut = () => menu.removeAttribute("open");
  menu.addEventListener("click", (event) => event.target.closest("a") && shut());
  document.addEventListener("click", (event) => !menu.contains(event.target) && shut(), { signal });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.open) {
      shut();
      menu.querySelector("summary").focus();
    }
  }, { signal });
  return menu;
}
