// Where a number comes from: standard, clause, and how far it was checked.

import { h } from "../dom.js";
import { label, t } from "../i18n.js";

/** The mark of a row: V, C or K, and whether it is this project's own number. */
export function originMark(row) {
  const words = row.project_default ? t("verified.project_default") : t(`verified.${row.verified}`);
  return h("span", { class: "chip chip-plain", title: [words, label(row.note ?? { zh: "", en: "" })].filter(Boolean).join(" · ") },
    row.project_default ? t("verified.project_default") : `${row.verified} · ${words}`);
}

/** Standard and clause in one line, with the mark. */
export function origin(row) {
  return [row.project_default ? "" : `${row.standard} ${row.clause === "-" ? "" : row.clause}`.trim(), " ", originMark(row)];
}
