// A survey by its public link: large buttons, no login, nothing about who answers.

import { get, send } from "./api.js";
import { fill, h, setText } from "./dom.js";
import { calendarDate } from "./format.js";
import { keptLanguage, label, setLanguage, t } from "./i18n.js";
import { icon } from "./parts/icons.js";
import { languageSwitch } from "./parts/frame.js";
import { failure } from "./parts/states.js";

const root = document.getElementById("app");
const token = location.pathname.split("/").pop();
const address = `/survey/${encodeURIComponent(token)}`;
const given = {};

async function start() {
  setLanguage(keptLanguage() ?? (navigator.language.startsWith("zh") ? "zh" : "en"), false);
  try {
    show(await get(address));
  } catch (error) {
    const told = error.status === 404 ? { message: t("survey.not_there") } : error;
    fill(root, h("main", { class: "lonely" }, failure(told, error.status === 404 ? null : start)));
  }
}

function show(survey) {
  document.title = `${label(survey.title)} · ${t("app.name")}`;
  fill(root, h("main", { class: "linked public-survey", data: { testid: "public-survey", state: survey.answered ? "answered" : survey.state } },
    h("div", { class: "survey-top" },
      h("p", { class: "brand" }, h("img", { src: new URL("../icons/icon.svg", import.meta.url).href, alt: "", width: 28, height: 28 }), h("span", { class: "brand-name" }, t("app.name"))),
      languageSwitch(() => show(survey))),
    h("p", { class: "caption" }, label(survey.site)),
    h("h1", { tabindex: "-1" }, label(survey.title)),
    body(survey)));
}

function body(survey) {
  if (survey.answered) return h("p", { class: "ack-waiting", role: "status", data: { testid: "thanks" } }, icon("check"), t("survey.thanks"));
  if (survey.state === "closed") return h("p", { role: "status" }, t("survey.over"));
  return [
    h("p", { class: "caption" }, t("survey.privacy", { date: calendarDate(survey.last_day, true) })),
    questionnaire(survey),
  ];
}

function questionnaire(survey) {
  const told = h("p", { class: "form-error", role: "alert" });
  const act = h("button", { type: "submit", class: "button button-main button-wide", data: { testid: "send-answers" } }, t("survey.send"));
  const sent = async (event) => {
    event.preventDefault();
    setText(told, "");
    const missing = survey.questions.find((one) => given[one.id] === undefined);
    if (missing) {
      setText(told, t("survey.missing", { question: label(missing.text) }));
      document.getElementById(`q-${missing.id}`)?.querySelector("input").focus();
      return;
    }
    act.disabled = true;
    try {
      await send("POST", address, { answers: given });
      show({ ...survey, answered: true });
    } catch (error) {
      if (error.code === "answered_already") show({ ...survey, answered: true });
      setText(told, error.message);
      act.disabled = false;
    }
  };
  return h("form", { class: "questionnaire", on: { submit: sent } }, survey.questions.map(question), told, act);
}

function question(one) {
  return h("fieldset", { class: "question", id: `q-${one.id}`, data: { testid: "question", question: one.id } }, h("legend", {}, label(one.text)),
    h("div", { class: "scale" }, [5, 4, 3, 2, 1, 0].map((value) => {
      const id = `q-${one.id}-${value}`;
      const input = h("input", { type: "radio", id, name: one.id, value, checked: given[one.id] === value, on: { change: () => { given[one.id] = value; } } });
      return h("label", { for: id }, input, h("span", {}, t(`scale.${value}`)));
    })));
}

start();
