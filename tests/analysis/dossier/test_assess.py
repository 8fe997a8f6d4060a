"""Scores, outcomes and gaps from facts, against values worked out by hand."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from analysis.dossier.assess import assess, threshold_text
from analysis.dossier.facts import Fact, SiteThreshold
from analysis.dossier.standard import (
    PROGRAMMES,
    BadStandard,
    Override,
    load,
    parse_overrides,
    shipped,
    standard_of,
)

FIRST, LAST = date(2026, 2, 1), date(2026, 2, 28)
ZONE = SiteThreshold(55.0, "GB 3096-2008", "2008", "5.1", "x", "V")


def level(value: float | None, *, counted: int = 28, threshold: SiteThreshold | None = None) -> Fact:
    return Fact(value, "dB", FIRST, LAST, counted / 28, counted, threshold=threshold)


def all_good() -> dict[str, Fact]:
    """Facts that meet every indicator of every programme."""
    facts: dict[str, Fact] = {}
    for standard in shipped().values():
        for one in standard.indicators:
            value = one.value if one.value is not None else 50.0
            good = value * 0.9 if one.comparator == "<" else value
            threshold = SiteThreshold(55.0, "S", "1", "1", "x", "V") if one.from_site else None
            facts[one.fact] = Fact(good, one.unit, FIRST, LAST, 1.0, 40, threshold=threshold)
    facts["profile.households"] = Fact(301.0, "households")
    return facts


@pytest.mark.parametrize("programme", PROGRAMMES)
def test_everything_met_is_a_hundred(programme) -> None:
    found = assess(standard_of(programme), all_good())
    assert {one.outcome for one in found.judged} == {"met"}
    assert (found.score, found.gained, found.possible, found.passed) == (100.0, 100.0, 100.0, True)
    assert found.gaps == ()


@pytest.mark.parametrize("programme", PROGRAMMES)
def test_nothing_known_is_nothing_gained_and_every_gap_says_what_to_do(programme) -> None:
    found = assess(standard_of(programme), {})
    assert (found.score, found.passed) == (0.0, False)
    assert len(found.gaps) == len(found.judged)
    required = [one.indicator.required for one in found.gaps]
    assert required == sorted(required, reverse=True)
    for one in found.judged:
        assert one.outcome == ("incomplete" if one.indicator.measured else "missing")
        assert one.closing is not None and one.closing.zh and one.closing.en
        assert "{" not in one.closing.zh + one.closing.en + one.reason_text.zh + one.reason_text.en


def test_equal_to_the_limit_is_not_below_it() -> None:
    facts = all_good()
    at, below, rounded = 45.0, 44.9, 44.96
    for value, outcome in ((at, "not_met"), (below, "met"), (rounded, "not_met")):
        facts["noise.area_night"] = level(value)
        found = {one.indicator.id: one for one in assess(standard_of("quiet-2002"), facts).judged}
        assert found["area_night"].outcome == outcome, value


def test_a_required_indicator_that_fails_fails_the_whole_whatever_the_score() -> None:
    facts = {**all_good(), "noise.area_night": level(47.23)}
    found = assess(standard_of("quiet-2002"), facts)
    assert found.score == 91.0 and not found.passed
    (gap,) = found.gaps
    assert gap.missing == pytest.approx(2.2)
    assert "2.2 dB" in gap.closing.zh and "2.2 dB" in gap.closing.en  # type: ignore[union-attr]
    assert gap.reason_text.en == "47.2 dB does not meet < 45.0 dB"


def test_too_few_days_are_incomplete_and_not_judged() -> None:
    facts = {
        **all_good(),
        "noise.area_day": level(40.0, counted=6),
        "noise.area_night": level(30.0, counted=14),
    }
    found = {one.indicator.id: one for one in assess(standard_of("quiet-2002"), facts).judged}
    assert (found["area_day"].outcome, found["area_day"].reason) == ("incomplete", "too_few")
    assert found["area_day"].closing.en.startswith("1 more")  # type: ignore[union-attr]
    assert found["area_night"].reason == "period_incomplete"
    assert "50 %" in found["area_night"].reason_text.en


def test_a_threshold_of_the_site_is_used_and_its_lack_is_named() -> None:
    facts = {**all_good(), "noise.zone_day": level(55.0, threshold=ZONE)}
    judged = {one.indicator.id: one for one in assess(standard_of("quiet-2002"), facts).judged}
    assert judged["zone_day"].outcome == "met" and judged["zone_day"].threshold == 55.0
    facts["noise.zone_day"] = level(55.0)
    judged = {one.indicator.id: one for one in assess(standard_of("quiet-2002"), facts).judged}
    assert judged["zone_day"].reason == "no_threshold" and judged["zone_day"].gained == 0.0


def test_any_of_several_conditions_is_enough() -> None:
    facts = all_good()
    facts |= {"profile.land_m2": Fact(100.0, "m2"), "profile.floor_m2": Fact(None, "m2")}

    def size():
        return next(
            one for one in assess(standard_of("quiet-2002"), facts).judged if one.indicator.id == "size"
        )

    assert size().outcome == "met" and size().fact.value == 301.0
    facts["profile.households"] = Fact(300.0, "households")
    assert size().outcome == "not_met"
    assert size().threshold_text.en == "> 24000 m² or > 20000 m² or > 300 households"
    facts |= {"profile.households": Fact(None, "households"), "profile.land_m2": Fact(None, "m2")}
    assert size().outcome == "missing"


def test_a_local_rule_changes_threshold_points_and_what_applies() -> None:
    standard = standard_of("ningjing")
    own = parse_overrides(
        {
            "satisfaction": {"standard": "DB 1", "value": 0.9, "points": 20.0},
            "quiet_hours": {"standard": "DB 1", "applies": False},
        },
        standard,
    )
    facts = {**all_good(), "survey.noise": Fact(0.85, "share", counted=40)}
    found = assess(standard, facts, own)
    by_id = {one.indicator.id: one for one in found.judged}
    assert by_id["satisfaction"].outcome == "not_met" and by_id["satisfaction"].changed
    assert (
        by_id["satisfaction"].indicator.standard == "DB 1" and by_id["satisfaction"].indicator.verified == "K"
    )
    assert by_id["quiet_hours"].outcome == "not_applicable"
    assert found.possible == 100.0 - 12.0 + 20.0 - 4.0
    assert found.score == pytest.approx(round(100 * (100 - 12 - 4) / 104, 1))


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({"nothing": {"standard": "x"}}, "no indicator 'nothing'"),
        ({"satisfaction": {"value": 0.9}}, "standard"),
        ({"size": {"standard": "x", "value": 3.0}}, "several conditions"),
        ({"pact": {"standard": "x", "points": 200.0}}, "points"),
    ],
)
def test_a_change_that_does_not_fit_is_named(raw, told) -> None:
    with pytest.raises(BadStandard, match=told):
        parse_overrides(raw, standard_of("quiet-2002"))


def test_every_indicator_says_where_it_comes_from() -> None:
    for standard in shipped().values():
        assert sum(one.points for one in standard.indicators) == 100.0
        for one in standard.indicators:
            assert one.standard and one.source and one.clause and one.verified in ("V", "C", "K"), one.id
            assert one.label_zh and one.label_en and one.what_zh and one.what_en
            if one.project_default:
                assert one.verified == "K", one.id


def test_a_file_that_does_not_fit_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text('id = "quiet-2002"\n')
    with pytest.raises(BadStandard, match=r"bad\.toml"):
        load(path)


def test_points_can_be_taken_away_entirely() -> None:
    standard = standard_of("ningjing")
    own = {one.id: Override(standard="x", applies=False) for one in standard.indicators}
    found = assess(standard, all_good(), own)
    assert (found.score, found.passed) == (0.0, False)


def test_the_document_has_every_indicator_as_it_is_judged() -> None:
    text = (Path(__file__).parents[3] / "docs" / "dossier.md").read_text()
    for standard in shipped().values():
        part = text[text.index(f"(`{standard.id}`)") :]
        for one in standard.indicators:
            row = next(line for line in part.splitlines() if line.startswith(f"| `{one.id}` |"))
            cells = [cell.strip() for cell in row.split("|")[1:-1]]
            threshold = "≤ the site's own" if one.from_site else threshold_text(one, one.value).en
            assert cells[2:5] == [threshold, f"{one.points:g}", one.what_en], one.id
            assert cells[6] == one.verified and ("(required)" in cells[1]) == one.required
            assert cells[5].startswith("project default" if one.project_default else one.standard)
