from datetime import date
from pathlib import Path

import pytest

from analysis.standards import BadPreset, LimitRow, Row, load, round_to, standards

GB3096 = {"0": (50, 40), "1": (55, 45), "2": (60, 50), "3": (65, 55), "4a": (70, 55), "4b": (70, 60)}


@pytest.mark.parametrize(("zone", "limits"), GB3096.items())
def test_the_zones_of_gb_3096(zone: str, limits: tuple[float, float]) -> None:
    rows = standards()
    assert rows.limit(f"gb3096.class{zone}.day").value == limits[0]
    assert rows.limit(f"gb3096.class{zone}.night").value == limits[1]
    assert rows.limit(f"gb3096.class{zone}.night_max").value == limits[1] + 15


def test_every_row_says_where_it_comes_from() -> None:
    rows = standards().rows(Row)
    assert {type(row) for row in rows} == set(Row.__subclasses__())
    for row in rows:
        assert row.standard and row.edition and row.clause and row.source, row.id
        assert row.verified in ("V", "C", "K")
        assert row.valid_to is None or row.valid_to > row.valid_from
        assert row.comparator in ("<=", "<", ">=", ">") and row.rounding >= 0.0


def test_what_no_standard_could_be_found_for_is_a_project_default_and_nothing_else() -> None:
    defaults = {row.id for row in standards().rows(Row) if row.project_default}
    families = (
        "validity.hour_share",
        "validity.day_share",
        "validity.night_share",
        "construction.2026.night",
    )
    assert defaults >= set(families)
    assert not [name for name in defaults if name.startswith(("gb", "hj640", "eu.", "who."))]


def _row(**changes: object) -> LimitRow:
    base = standards().limit("gb3096.class1.day")
    return LimitRow(**{**{f: getattr(base, f) for f in base.__struct_fields__}, **changes})  # type: ignore[arg-type]


def test_at_the_limit_passes_or_not_as_the_comparator_says() -> None:
    at_most, below = _row(comparator="<="), _row(comparator="<")
    assert (at_most.judge(55.0), at_most.judge(55.1)) == ("pass", "fail")
    assert (below.judge(55.0), below.judge(54.9)) == ("fail", "pass")


def test_rounding_comes_before_the_comparison() -> None:
    assert _row(rounding=0.1).judge(55.04) == "pass"
    assert _row(rounding=0.1).judge(55.06) == "fail"
    assert _row(rounding=0.0).judge(55.0001) == "fail"
    assert _row(rounding=1.0).judge(55.49) == "pass"


@pytest.mark.parametrize(
    ("value", "step", "rounded"),
    [
        (55.05, 0.1, 55.0), (55.15, 0.1, 55.2), (54.5, 1.0, 54.0), (55.5, 1.0, 56.0), (2.675, 0.01, 2.68),
        (1.2345, 0, 1.2345),
    ],
)  # fmt: skip
def test_halves_go_to_the_even_digit(value: float, step: float, rounded: float) -> None:
    assert round_to(value, step) == rounded


def test_validity_includes_both_ends() -> None:
    row = _row(valid_from=date(2020, 1, 1), valid_to=date(2020, 12, 31))
    days = (date(2019, 12, 31), date(2020, 1, 1), date(2020, 12, 31), date(2021, 1, 1))
    assert [row.holds_on(day) for day in days] == [False, True, True, False]


GOOD = """
[document]
standard = "S"
edition = "1"
title_zh = "标准"
title_en = "Standard"
clause = "1"
valid_from = 2020-01-01
source = "nowhere"
verified = "K"
comparator = "<="
rounding = 0.1
unit = "dB"

[[limit]]
id = "s.one"
applies_to = "all"
label_zh = "一"
label_en = "One"
period = "day"
quantity = "ld_db"
value = 50.0
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("not toml [", "bad.toml: not TOML"),
        (GOOD.replace('verified = "K"', 'verified = "X"'), "row 's.one'.*verified"),
        (GOOD.replace("value = 50.0", 'value = "fifty"'), "row 's.one'.*value"),
        (GOOD + "colour = 3\n", "row 's.one'.*colour"),
        (GOOD.replace("rounding = 0.1\n", ""), "row 's.one': say its rounding"),
        (GOOD.replace('source = "nowhere"\n', ""), "row 's.one'.*source"),
        (GOOD + GOOD[GOOD.index("[[limit]]") :], "'s.one' occurs twice"),
    ],
)
def test_a_bad_preset_is_named_with_file_and_row(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(BadPreset, match=told):
        load(tmp_path)


def test_a_good_preset_is_read(tmp_path: Path) -> None:
    (tmp_path / "good.toml").write_text(GOOD)
    assert load(tmp_path).limit("s.one").value == 50.0
    with pytest.raises(KeyError, match=r"s\.two"):
        load(tmp_path).limit("s.two")
