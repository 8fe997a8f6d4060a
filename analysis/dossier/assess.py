"""Judge a quarter's facts by a programme's indicators: score, outcomes, gaps and what closes them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from analysis.dossier.facts import Fact, Facts
from analysis.dossier.standard import Alternative, Indicator, Override, Standard, changed
from analysis.dossier.text import Text, difference, same, shown
from analysis.standard_rows import meets, round_to

Outcome = Literal["met", "not_met", "incomplete", "missing", "not_applicable"]
Reason = Literal[
    "meets",
    "misses",
    "no_data",
    "not_entered",
    "period_incomplete",
    "too_few",
    "no_threshold",
    "does_not_apply",
]
_COMPARED: Final = {"<=": "≤", "<": "<", ">=": "≥", ">": ">"}
_OR: Final = Text(" 或 ", " or ")


@dataclass(frozen=True, slots=True)
class Judged:
    """One indicator as the site judges it, with its outcome.

    ``threshold`` is ``None`` where there is none (yet). ``missing`` is by how much the value misses it. ``gained`` are
    points: all or none. ``closing`` says what would close the gap, ``None`` where there is none.
    """

    indicator: Indicator
    fact: Fact
    outcome: Outcome
    reason: Reason
    reason_text: Text
    threshold: float | None
    threshold_text: Text
    missing: float | None
    gained: float
    changed: bool
    closing: Text | None


@dataclass(frozen=True, slots=True)
class Assessment:
    """The whole: ``score`` is the gained share of the points that apply, times 100, to one decimal.

    ``passed`` needs every required indicator met and a score of ``pass_score`` at least. ``gaps`` are the indicators
    that lose points or are required and not met, the required ones first, then by points.
    """

    standard: Standard
    score: float
    gained: float
    possible: float
    passed: bool
    judged: tuple[Judged, ...]

    @property
    def gaps(self) -> tuple[Judged, ...]:
        """What is open, the most important first."""
        open_ = [one for one in self.judged if one.closing is not None]
        return tuple(sorted(open_, key=lambda one: (not one.indicator.required, -one.indicator.points)))


def assess(standard: Standard, facts: Facts, overrides: Mapping[str, Override] | None = None) -> Assessment:
    """Judge facts by a programme, changed as the site's local rule says."""
    own = overrides or {}
    judged = tuple(_judge(one, own.get(one.id), facts) for one in standard.indicators)
    applying = [one for one in judged if one.outcome != "not_applicable"]
    gained, possible = sum(one.gained for one in applying), sum(one.indicator.points for one in applying)
    score = round_to(100.0 * gained / possible, 0.1) if possible else 0.0
    required = all(one.outcome == "met" for one in applying if one.indicator.required)
    return Assessment(
        standard,
        score,
        gained,
        possible,
        bool(applying) and required and score >= standard.pass_score,
        judged,
    )


def _judge(shipped: Indicator, override: Override | None, facts: Facts) -> Judged:
    one = changed(shipped, override)
    fact = facts.get(one.fact, Fact(None, one.unit))
    if override is not None and not override.applies:
        return _made(one, fact, "not_applicable", "does_not_apply", None, changed_=True)
    if one.any_of:
        return _judge_any(one, facts, override is not None)
    threshold = fact.threshold.value if one.from_site and fact.threshold else one.value
    outcome, reason = _outcome(one, fact, threshold)
    return _made(one, fact, outcome, reason, threshold, changed_=override is not None)


def _outcome(one: Indicator, fact: Fact, threshold: float | None) -> tuple[Outcome, Reason]:
    if fact.value is None:
        return ("incomplete", "no_data") if one.measured else ("missing", "not_entered")
    if threshold is None:
        return "missing", "no_threshold"
    if one.least_count is not None and (fact.counted or 0) < one.least_count:
        return "incomplete", "too_few"
    if one.least_completeness is not None and (fact.completeness or 0.0) < one.least_completeness:
        return "incomplete", "period_incomplete"
    return ("met", "meets") if one.met_by(fact.value, threshold) else ("not_met", "misses")


def _judge_any(one: Indicator, facts: Facts, changed_: bool) -> Judged:
    """Judge an indicator with alternatives: the first that is met is shown, else the first that is known."""
    known = [(each, facts[each.fact]) for each in one.any_of if _value(facts, each) is not None]
    if not known:
        return _made(one, Fact(None, one.unit), "missing", "not_entered", None, changed_=changed_)
    good = [(each, fact) for each, fact in known if meets(fact.value or 0.0, each.comparator, each.value)]
    _, fact = (good or known)[0]
    outcome: tuple[Outcome, Reason] = ("met", "meets") if good else ("not_met", "misses")
    return _made(one, fact, *outcome, None, changed_=changed_)


def _value(facts: Facts, each: Alternative) -> float | None:
    fact = facts.get(each.fact)
    return fact.value if fact else None


def _made(
    one: Indicator, fact: Fact, outcome: Outcome, reason: Reason, threshold: float | None, *, changed_: bool
) -> Judged:
    missing = None
    if outcome == "not_met" and threshold is not None and fact.value is not None:
        missing = abs(round_to(fact.value, one.rounding) - threshold)
    return Judged(
        indicator=one, fact=fact, outcome=outcome, reason=reason,
        reason_text=_reason_text(one, fact, reason, threshold),
        threshold=threshold, threshold_text=threshold_text(one, threshold), missing=missing,
        gained=one.points if outcome == "met" else 0.0, changed=changed_,
        closing=_closing(one, fact, outcome, reason, threshold, missing),
    )  # fmt: skip


def threshold_text(one: Indicator, threshold: float | None) -> Text:
    """Return a condition in words, such as "< 45.0 dB"."""
    if one.any_of:
        each = [(_COMPARED[alt.comparator], shown(alt.value, alt.unit)) for alt in one.any_of]
        return Text(
            _OR.zh.join(f"{sign} {words.zh}" for sign, words in each),
            _OR.en.join(f"{sign} {words.en}" for sign, words in each),
        )
    if threshold is None:
        return same("–")
    words = shown(threshold, one.unit)
    if one.unit == "yes_no":
        return words
    sign = _COMPARED[one.comparator]
    return Text(f"{sign} {words.zh}", f"{sign} {words.en}")


_REASONS: Final[dict[Reason, Text]] = {
    "meets": Text("{value}，符合 {threshold}", "{value} meets {threshold}"),
    "misses": Text("{value}，不符合 {threshold}", "{value} does not meet {threshold}"),
    "no_data": Text("所选时段没有监测数据", "nothing was measured in the period"),
    "not_entered": Text("尚未填写", "not entered yet"),
    "period_incomplete": Text(
        "数据只覆盖时段的 {share}，至少须 {least}", "the data cover {share} of the period; {least} are needed"
    ),
    "too_few": Text("只有 {counted} 个，至少须 {least}", "only {counted} count; {least} are needed"),
    "no_threshold": Text("尚无可比较的限值", "there is no threshold to compare with yet"),
    "does_not_apply": Text("按当地办法不适用", "does not apply by the local rule"),
}


def _reason_text(one: Indicator, fact: Fact, reason: Reason, threshold: float | None) -> Text:
    least = same(str(one.least_count)) if reason == "too_few" else shown(one.least_completeness, "share")
    return _REASONS[reason].filled(
        value=shown(fact.value, fact.unit), threshold=threshold_text(one, threshold),
        share=shown(fact.completeness, "share"), counted=str(fact.counted or 0), least=least,
    )  # fmt: skip


_SETTINGS: Final = Text(
    "在小区设置或小区概况中填写省份、定额、计划、户数或人数。",
    "Enter province, quota, plan, households or people in the quarter's settings or profile.",
)
_MORE_DATA: Final[dict[Reason, Text]] = {
    "no_data": Text(
        "让设备在线并保持数据有效；或选择有数据的时段。",
        "Bring the devices online, or choose a period with data.",
    ),
    "period_incomplete": Text(
        "补足完整的昼夜：目前覆盖 {share}，须达到 {least}。",
        "Gather more complete days and nights: {share} are covered, {least} are needed.",
    ),
    "too_few": Text(
        "还差 {more} 个（目前 {counted}，须 {least}）。", "{more} more are needed ({counted} of {least})."
    ),
    "no_threshold": _SETTINGS,
}


_ENTER: Final = Text(
    "请在小区概况或登记中填写；须 {threshold}。",
    "Enter it in the profile or a register; {threshold} is needed.",
)


def _closing(
    one: Indicator,
    fact: Fact,
    outcome: Outcome,
    reason: Reason,
    threshold: float | None,
    missing: float | None,
) -> Text | None:
    if outcome in ("met", "not_applicable"):
        return None
    words = _MORE_DATA.get(reason, Text(one.close_zh, one.close_en))
    if reason == "no_data" and fact.note is not None:  # the readings are there; something of the site is not
        words = _SETTINGS
    if reason == "not_entered" and "{missing}" in one.close_zh:
        words = _ENTER
    counted = fact.counted or 0
    least = same(str(one.least_count)) if reason == "too_few" else shown(one.least_completeness, "share")
    return words.filled(
        value=shown(fact.value, fact.unit), threshold=threshold_text(one, threshold),
        missing=same("–") if missing is None else difference(missing, one.unit),
        share=shown(fact.completeness, "share"), counted=str(counted), least=least,
        more=str(max(0, (one.least_count or 0) - counted)),
    )  # fmt: skip
