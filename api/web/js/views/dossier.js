// The dossier of a quarter: how it stands, what is missing, and everything that is entered by hand.

import { get } from "../api.js";
import { fill, h } from "../dom.js";
import { calendarDate } from "../format.js";
import { label, t } from "../i18n.js";
import { files } from "../parts/dossierFiles.js";
import { gaps, indicators, summary } from "../parts/dossierIndicators.js";
import { localRule, profile, registers } from "../parts/dossierRegisters.js";
import { surveys } from "../parts/dossierSurveys.js";
import { versions } from "../parts/dossierVersions.js";
import { icon } from "../parts/icons.js";
import { form, openDialog } from "../parts/dialog.js";
import { failure, loading } from "../parts/states.js";
import { path } from "../router.js";

const PROGRAMMES = ["quiet-2002", "ningjing", "water-saving"];

/** Load the styles of these parts once; they are not needed at the first look. */
function styled() {
  const href = new URL("../../css/dossier.css", import.meta.url).href;
  if (document.querySelector(`link[href="${href}"]`)) return Promise.resolve();
  return new Promise((done) => {
    document.head.append(h("link", { rel: "stylesheet", href, on: { load: done, error: done } }));
  });
}

/** #/dossier/NAME/SECTION/PROGRAMME */
export function dossier({ parts, signal }) {
  const [name, section, wanted] = parts;
  const programme = PROGRAMMES.includes(wanted) ? wanted : PROGRAMMES[0];
  const place = h("div", { class: "dossier" }, loading(4, "card"));
  let shownOnce = false;
  let period = {};
  const load = async () => {
    try {
      await styled();
      show(place, await ask(name, programme, period, signal), { name, programme, signal, reload: load, over });
      if (!shownOnce && section) place.querySelector(`#part-${CSS.escape(section)}`)?.scrollIntoView();
      shownOnce = true;
    } catch (error) {
      if (error.name !== "AbortError") fill(place, failure(error, load));
    }
  };
  const over = (wanted) => {
    period = wanted;
    return load();
  };
  load();
  return { title: t("dossier.title"), node: place };
}

async function ask(name, programme, period, signal) {
  const site = `/sites/${encodeURIComponent(name)}`;
  const [tree, kept, entries, attached, asked, frozen] = await Promise.all([
    get(`${site}/dossiers/${programme}`, period, signal), get(`${site}/dossier/profile`, {}, signal), allEntries(site, signal),
    get(`${site}/dossier/attachments`, {}, signal), get(`${site}/dossier/surveys`, {}, signal),
    get(`${site}/dossiers/${programme}/versions`, {}, signal),
  ]);
  return { site, tree, kept, entries, attached: attached.items, asked: asked.items, frozen: frozen.items };
}

async function allEntries(site, signal) {
  const found = [];
  for (let before = null; ;) {
    const page = await get(`${site}/dossier/entries`, { limit: 200, before_id: before }, signal);
    found.push(...page.items);
    if (!page.next) return found;
    before = page.next;
  }
}

function show(place, found, context) {
  const { tree } = found;
  const more = { ...context, ...found };
  const sections = {
    gaps: part("gaps", gaps(tree)),
    indicators: part("indicators", [indicators(tree, more), localRule(more)]),
    profile: part("profile", profile(more)),
    registers: part("registers", registers(more)),
    surveys: part("surveys", surveys(more)),
    files: part("files", files(more)),
    versions: part("versions", versions(more)),
  };
  fill(place,
    h("header", { class: "quarter-head" },
      h("a", { class: "back", href: path("site", tree.site) }, icon("back"), label(tree.site_label)),
      h("h1", { tabindex: "-1" }, t("dossier.of", { site: label(tree.site_label) })),
      h("nav", { class: "dossier-ways", "aria-label": t("dossier.programmes") }, PROGRAMMES.map((one) => programmeLink(context, one))),
      h("p", { class: "caption" }, label(tree.note)),
      h("p", { class: "caption dossier-period" }, t("dossier.period", { first: calendarDate(tree.first, true), last: calendarDate(tree.last, true) }),
        h("button", { type: "button", class: "button button-quiet", data: { testid: "change-period" }, on: { click: () => changePeriod(tree, context.over) } }, t("dossier.change_period")))),
    summary(tree),
    h("nav", { class: "jumps", "aria-label": t("dossier.sections") }, Object.entries(sections).map(([key, node]) =>
      h("a", { class: "way", href: path("dossier", tree.site, key, context.programme), on: { click: (event) => jump(event, node) } }, t(`dossier.${key}`)))),
    Object.values(sections));
}

function changePeriod(tree, over) {
  openDialog(t("dossier.change_period"), (close) => form({
    fields: [
      { key: "first", label: t("dossier.first"), type: "date", required: true, value: tree.first },
      { key: "last", label: t("dossier.last"), type: "date", required: true, value: tree.last, hint: t("dossier.period_hint") },
    ],
    button: t("dossier.show"), cancel: close, testid: "period-form",
    submit: async ({ first, last }) => {
      if (last < first) throw new Error(t("dossier.turned"));
      close();
      await over({ first, last });
    },
  }));
}

function programmeLink({ name, programme }, one) {
  return h("a", { class: "way", href: path("dossier", name, "indicators", one), "aria-current": one === programme ? "page" : null, data: { testid: `programme-${one}` } }, t(`programme.${one}`));
}

function part(key, ...content) {
  return h("section", { class: `part part-${key}`, id: `part-${key}`, "aria-labelledby": `title-${key}` },
    h("h2", { id: `title-${key}`, tabindex: "-1" }, t(`dossier.${key}`)), content);
}

function jump(event, target) {
  event.preventDefault();
  target.scrollIntoView();
  target.querySelector("h2").focus({ preventScroll: true });
}
