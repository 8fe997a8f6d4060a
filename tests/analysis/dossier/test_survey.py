"""Surveys and frozen trees: figures by other means, and every way to be wrong."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from analysis.dossier.assess import assess
from analysis.dossier.snapshot import BrokenSnapshot, diff, freeze, thaw
from analysis.dossier.standard import standard_of
from analysis.dossier.survey import QUESTIONS, BadAnswers, Question, demand_answers, evaluate, wilson
from analysis.dossier.text import Text, shown
from analysis.dossier.tree import Contents, Place, dossier

ASKED = (Question("overall", "问", "Q"), Question("night", "夜", "Night"))


def test_satisfaction_leaves_out_those_who_cannot_say() -> None:
    given = (
        [{"overall": 5, "night": 1}] * 5 + [{"overall": 4, "night": 0}] * 3 + [{"overall": 2, "night": 3}] * 2
    )
    result = evaluate(ASKED, [*given, {"overall": 0, "night": 5}])
    assert (result.answers, result.valid, result.satisfied_share) == (11, 10, 0.8)
    # Wilson's interval for 8 of 10, as published in textbooks.
    assert (round(result.low or 0, 3), round(result.high or 0, 3)) == (0.490, 0.943)
    overall, night = result.questions
    assert overall.counts == (1, 0, 2, 0, 3, 5) and overall.mean == pytest.approx(4.1)
    assert night.counts == (3, 5, 0, 2, 0, 1) and night.satisfied_share == pytest.approx(1 / 8)


def test_nobody_who_says_anything_is_no_satisfaction() -> None:
    assert evaluate(ASKED, []).satisfied_share is None
    assert evaluate(ASKED, [{"overall": 0, "night": 0}]).satisfied_share is None


def test_the_interval_stays_within_0_and_1() -> None:
    assert wilson(0.0, 1)[0] == 0.0 and wilson(1.0, 1)[1] == 1.0
    assert wilson(0.5, 10_000) == pytest.approx((0.4902, 0.5098), abs=1e-4)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"overall": 3},
        {"overall": 3, "night": 6},
        {"overall": -1, "night": 3},
        {"overall": 3, "night": 3, "name": 1},
    ],
)
def test_answers_fit_the_questions(given: dict) -> None:
    with pytest.raises(BadAnswers):
        demand_answers(given, ASKED)


def test_every_shipped_questionnaire_asks_the_overall_question_once_in_both_languages() -> None:
    for questions in QUESTIONS.values():
        assert [one.id for one in questions].count("overall") == 1
        assert len({one.id for one in questions}) == len(questions)
        assert all(one.zh and one.en for one in questions)


def tree(made_at: datetime):
    place = Place("garden", Text("静园", "Quiet Garden"), "", "1")
    found = assess(standard_of("ningjing"), {})
    return dossier(place, found, Contents(), date(2026, 2, 1), date(2026, 2, 28), made_at)


def test_a_frozen_tree_comes_back_equal_and_any_other_byte_is_noticed() -> None:
    one = tree(datetime(2026, 3, 1, tzinfo=UTC))
    document, digest = freeze(one, "")
    assert thaw(document, digest, "") == one
    for document_, digest_, previous in (
        (document.replace("Quiet", "Loud"), digest, ""), (document, "0" * 64, ""), (document, digest, "0" * 64),
    ):  # fmt: skip
        with pytest.raises(BrokenSnapshot, match="digest"):
            thaw(document_, digest_, previous)
    assert diff(one, tree(datetime(2026, 3, 2, tzinfo=UTC))) == [], "when it was made is no difference"


@pytest.mark.parametrize(
    ("value", "unit", "zh", "en"),
    [
        (0.8, "share", "80 %", "80 %"), (0.8667, "share", "86.7 %", "86.7 %"), (44.96, "dB", "45.0 dB", "45.0 dB"),
        (1.0, "yes_no", "是", "yes"), (0.0, "yes_no", "否", "no"), (None, "dB", "–", "–"),
        (320.0, "households", "320 户", "320 households"),
        (131.25, "lpd", "131.2 升/人·日", "131.2 L per person and day"), (2.0, "count", "2 项", "2"),
    ],
)  # fmt: skip
def test_values_as_people_read_them(value: float | None, unit: str, zh: str, en: str) -> None:
    assert shown(value, unit) == Text(zh, en)
