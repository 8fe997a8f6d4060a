from datetime import UTC, datetime, timedelta

import pytest

from analysis.limits import present_limit
from analysis.rules.noise_window import NoiseWindowParams, judge
from store.registry.models import Site
from store.series.interface import NoiseWindow

SITE = Site(name="garden", zone_class="1", timezone="Asia/Shanghai", day_starts_h=6, night_starts_h=22)
NIGHT = present_limit(SITE, datetime(2026, 3, 1, 15, tzinfo=UTC))
PARAMS = NoiseWindowParams(margin_db=3.0, hysteresis_db=2.0)
TEN_MINUTES = timedelta(minutes=10)


def _window(laeq_db: float | None, valid_s: float = 600.0) -> NoiseWindow:
    return NoiseWindow("garden", "gate", laeq_db, laeq_db, valid_s, valid_s / 600.0, None)


@pytest.mark.parametrize(
    ("laeq_db", "verdict"),
    [(48.1, "breach"), (48.0, "between"), (46.1, "between"), (46.0, "clear"), (30.0, "clear")],
)
def test_margin_above_and_hysteresis_below(laeq_db: float, verdict: str) -> None:
    seen = judge(_window(laeq_db), TEN_MINUTES, NIGHT, PARAMS)
    assert (seen.verdict, seen.value, seen.limit) == (verdict, laeq_db, 45.0)


def test_too_little_valid_time_is_no_data() -> None:
    assert judge(_window(60.0, 299.0), TEN_MINUTES, NIGHT, PARAMS).verdict == "no_data"
    assert judge(_window(60.0, 300.0), TEN_MINUTES, NIGHT, PARAMS).verdict == "breach"
    assert judge(_window(None, 0.0), TEN_MINUTES, NIGHT, PARAMS).verdict == "no_data"
    assert judge(None, TEN_MINUTES, NIGHT, PARAMS).verdict == "no_data"


def test_just_after_ten_in_the_evening_it_is_too_early_to_say() -> None:
    just_begun = timedelta(minutes=4)
    assert judge(_window(60.0, 240.0), just_begun, NIGHT, PARAMS).verdict == "between"
    assert judge(_window(60.0, 300.0), timedelta(minutes=5), NIGHT, PARAMS).verdict == "breach"
