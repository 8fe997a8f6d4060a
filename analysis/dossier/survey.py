"""Surveys of residents: the questionnaire as data, answers, and the satisfaction that follows. Pure.

Answers are numbers only, so that no personal data can be given. A question is answered 1 (very dissatisfied) to 5 (very
satisfied), or 0 for "cannot say", which counts neither way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from analysis.dossier.standard import Topic
from analysis.dossier.text import Text

OVERALL: Final = "overall"
"""The question that the satisfaction is computed from."""
SCALE: Final = (1, 2, 3, 4, 5)
CANNOT_SAY: Final = 0
MOST_QUESTIONS: Final = 12
_Z95: Final = 1.959964


@dataclass(frozen=True, slots=True)
class Question:
    """A question in both languages."""

    id: str
    zh: str
    en: str


QUESTIONS: Final[dict[Topic, tuple[Question, ...]]] = {
    "noise": (
        Question(OVERALL, "总体上，您对小区的安静程度满意吗？", "Overall, are you satisfied with how quiet it is?"),
        Question("day", "白天的安静程度", "Quiet by day"),
        Question("night", "夜间（22 时至次日 6 时）的安静程度", "Quiet at night (22:00 to 06:00)"),
        Question("traffic", "对交通噪声的控制（车辆、鸣笛）", "How traffic noise is kept down (vehicles, horns)"),
        Question("neighbours", "对邻里、装修和活动噪声的管理", "How noise of neighbours and renovation is dealt with"),
        Question("handling", "对噪声投诉的处理", "How complaints about noise are handled"),
    ),
    "water": (
        Question(OVERALL, "总体上，您对小区的节水工作满意吗？", "Overall, are you satisfied with how water is saved?"),
        Question("information", "对用水量和节水知识的告知", "How well you are informed about use and saving"),
        Question("repairs", "对漏水的发现和维修", "How leaks are found and repaired"),
        Question("fittings", "公共区域的节水器具", "Water-saving fittings in public places"),
    ),
}  # fmt: skip
"""The questionnaires that the product ships (project defaults; no official one could be obtained)."""


class BadAnswers(ValueError):
    """Answers that do not fit the questionnaire; the message says which."""


@dataclass(frozen=True, slots=True)
class QuestionResult:
    """``counts[n]`` is how often n was answered, 0 for "cannot say". ``mean`` is over 1 to 5, ``None`` without any."""

    question: Question
    counts: tuple[int, ...]
    satisfied_share: float | None
    mean: float | None


@dataclass(frozen=True, slots=True)
class SurveyResult:
    """``satisfied_share`` of the overall question with its 95 % interval (Wilson); ``valid`` are the answers in it."""

    answers: int
    valid: int
    satisfied_share: float | None
    low: float | None
    high: float | None
    questions: tuple[QuestionResult, ...]


def parse_questions(raw: Sequence[Mapping[str, Any]]) -> tuple[Question, ...]:
    """Return the questions that the registry keeps with a survey."""
    return tuple(msgspec.convert(dict(one), Question) for one in raw)


def demand_answers(given: Mapping[str, int], questions: Sequence[Question]) -> dict[str, int]:
    """Return answers that fit: every question once, 0 to 5. Raises :class:`BadAnswers`."""
    known = {one.id for one in questions}
    strange = sorted(set(given) - known)
    if strange:
        raise BadAnswers(f"there is no question {strange[0][:40]!r}")
    for one in questions:
        if given.get(one.id) not in (CANNOT_SAY, *SCALE):
            raise BadAnswers(f"answer the question {one.id!r} with 1 to 5, or 0 for 'cannot say'")
    return {one.id: given[one.id] for one in questions}


def evaluate(questions: Sequence[Question], answers: Sequence[Mapping[str, int]]) -> SurveyResult:
    """Count answers and compute the satisfaction."""
    results = tuple(_result(one, answers) for one in questions)
    overall = next((one for one in results if one.question.id == OVERALL), None)
    if overall is None or overall.satisfied_share is None:
        return SurveyResult(len(answers), 0, None, None, None, results)
    valid = sum(overall.counts[1:])
    low, high = wilson(overall.satisfied_share, valid)
    return SurveyResult(len(answers), valid, overall.satisfied_share, low, high, results)


def wilson(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share (Wilson's score interval). ``count`` must be at least 1."""
    z2 = _Z95 * _Z95
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z95 / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count * count))
    return max(0.0, centre - half), min(1.0, centre + half)


def _result(question: Question, answers: Sequence[Mapping[str, int]]) -> QuestionResult:
    counts = [0] * (len(SCALE) + 1)
    for one in answers:
        counts[one.get(question.id, CANNOT_SAY)] += 1
    valid = sum(counts[1:])
    if not valid:
        return QuestionResult(question, tuple(counts), None, None)
    mean = sum(n * counts[n] for n in SCALE) / valid
    return QuestionResult(question, tuple(counts), (counts[4] + counts[5]) / valid, mean)


def title(topic: Topic) -> Text:
    """Return what a survey is called unless somebody gives it another name."""
    return Text("小区安静满意度问卷", "How quiet is our quarter?") if topic == "noise" else Text(
        "小区节水满意度问卷", "How does our quarter save water?"
    )  # fmt: skip
