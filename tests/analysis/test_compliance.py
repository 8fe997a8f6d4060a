"""A day against every preset equals a direct computation from its seconds; borders and exclusions."""

import math
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from analysis.compliance import area_mean, findings, judge, preset_rows
from analysis.days import NoiseDay, noise_days
from analysis.exclusions import Span, spans_of, weather_spans
from analysis.limits import site_clock
from analysis.rollups import roll_up
from analysis.standards import LimitRow, standards
from store.registry.database import Registry
from store.registry.models import Exclusion, Site
from store.series.duckdb_store import DuckDbStore
from store.series.interface import EventRow
from tests.analysis import readings

DAY = date(2026, 3, 1)
SITE = Site(
    name="garden", zone_class="1", timezone="Asia/Shanghai", day_starts_h=6, night_starts_h=22,
    settings={"noise": {"also_judged": ["quiet_quarter.2002", "who.", "eu.", "construction."]}},
)  # fmt: skip
CLOCK = site_clock(SITE)
DAWN, DUSK = CLOCK.day_bounds(DAY)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
OF_A_DAY = standards().limits()


def _level(n: int) -> float:
    """A quiet hum with a loud minute every quarter of an hour, by seconds from 06:00."""
    return (72.0 if n % 900 < 60 else 44.0 if n < 16 * 3600 else 38.0) + (n * 7919 % 500) / 100.0


OVERLOADED = range(5 * 3600, 5 * 3600 + 2400)
"""Forty minutes of the hour from 11:00 are overloaded: the hour does not count at all."""
GAP = range(9 * 3600 + 100, 9 * 3600 + 700)
"""Ten minutes of the hour from 15:00 are not there: the rest of the hour counts."""
RAIN = range(18 * 3600, 18 * 3600 + 300)
"""Five minutes of the hour from midnight are flagged as rain by the device itself."""


def _valid(n: int) -> bool:
    return n not in OVERLOADED and n not in GAP and n not in RAIN


def _mean(seconds: range, penalty: float = 0.0) -> float:
    counting = [n for n in seconds if _valid(n) and n // 3600 != OVERLOADED[0] // 3600]
    return math.fsum(10 ** ((_level(n) + penalty) / 10) for n in counting) / len(counting)


def _store_day(series: DuckDbStore) -> None:
    """Store 25 hours from 06:00 on as they were measured, faults and all; a fault reads as 120 dB."""
    borders = [0, OVERLOADED[0], OVERLOADED[-1] + 1, GAP[0], GAP[-1] + 1, RAIN[0], RAIN[-1] + 1, 25 * 3600]
    flags: dict[int, tuple[str, ...]] = {OVERLOADED[0]: ("overload",), RAIN[0]: ("rain",)}
    for first, end in pairwise(borders):
        if first != GAP[0]:
            readings.noise(
                series, DAWN + timedelta(seconds=first), end - first,
                (lambda n, first=first: _level(first + n)) if first not in flags else 120.0, flags=flags.get(first, ()),
            )  # fmt: skip


def _direct(row: LimitRow) -> float:
    """Compute a row's quantity from the seconds alone."""
    day, night = range(16 * 3600), range(16 * 3600, 24 * 3600)
    eu = [range(3600, 13 * 3600), range(13 * 3600, 17 * 3600), range(17 * 3600, 25 * 3600)]
    match row.quantity, row.period:
        case "lafmax_db", _:
            return max(_level(n) for n in night if _valid(n))
        case "lden_db", _:
            weighted = sum(h * _mean(s, p) for h, s, p in zip((12, 4, 8), eu, (0, 5, 10), strict=True))
            return 10 * math.log10(weighted / 24)
        case "lnight_db", _:
            return 10 * math.log10(_mean(eu[2]))
        case _, "night":
            return 10 * math.log10(_mean(night))
    return 10 * math.log10(_mean(day))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> NoiseDay:
    series = DuckDbStore(tmp_path_factory.mktemp("day") / "series.duckdb", memory_mb=256, threads=1)
    _store_day(series)
    while roll_up(series, DAWN + 30 * HOUR, budget_s=60.0):
        pass
    (day,) = noise_days(series, CLOCK, SITE, "gate", DAY, DAY)
    series.close()
    return day


@pytest.mark.parametrize("row", OF_A_DAY, ids=lambda row: row.id)
def test_every_preset_equals_its_seconds(measured: NoiseDay, row: LimitRow) -> None:
    direct = _direct(row)
    found = judge(measured, row)
    assert found.measured_db == pytest.approx(direct, abs=0.01)
    assert found.verdict == row.judge(direct)
    assert found.shown_db == row.rounded(found.measured_db or 0.0)


def test_the_hours_of_that_day_say_why_they_do_not_count(measured: NoiseDay) -> None:
    (uncounted,) = measured.day.stats.uncounted
    assert (uncounted.t, uncounted.reason) == (DAWN + 5 * HOUR, "overload")
    assert measured.night.stats.uncounted == ()


def test_a_site_is_judged_by_what_it_names_and_what_is_in_force(measured: NoiseDay) -> None:
    ids = [one.row.id for one in findings(measured, SITE)]
    assert ids[:3] == ["gb3096.class1.day", "gb3096.class1.night", "gb3096.class1.night_max"]
    assert {"quiet_quarter.2002.day", "who.2009.night", "eu.lden", "construction.2026.day"} <= set(ids)
    assert "construction.2011.day" not in ids
    assert "construction.2011.day" in [row.id for row in preset_rows(["construction."], date(2025, 12, 31))]
    assert standards().limit("construction.2026.day").project_default


def _day(series: DuckDbStore, exclusions: list[Span] | None = None) -> NoiseDay:
    while roll_up(series, datetime(2027, 1, 1, tzinfo=UTC), budget_s=60.0):
        pass
    (day,) = noise_days(series, CLOCK, SITE, "gate", DAY, DAY, exclusions=exclusions or [])
    return day


def test_a_quiet_quarter_lies_below_where_the_zone_lies_at_most(series: DuckDbStore) -> None:
    readings.noise(series, DAWN, 16 * 3600, 55.0)
    day = _day(series)
    assert judge(day, standards().limit("gb3096.class1.day")).verdict == "pass"
    assert judge(day, standards().limit("quiet_quarter.2002.day")).verdict == "fail"


def test_one_maximum_too_high_is_a_finding_whatever_is_missing(series: DuckDbStore) -> None:
    row = standards().limit("gb3096.class1.night_max")
    readings.noise(series, DUSK, 3600, 40.0, lafmax_db=60.1)
    found = judge(_day(series), row)
    assert (found.verdict, found.shown_db) == ("fail", 60.1)
    readings.noise(series, DUSK - 24 * HOUR, 3600, 40.0, lafmax_db=60.0)
    while roll_up(series, datetime(2027, 1, 1, tzinfo=UTC)):
        pass
    (before,) = noise_days(series, CLOCK, SITE, "gate", DAY - timedelta(days=1), DAY - timedelta(days=1))
    assert judge(before, row).verdict == "incomplete"


def test_an_area_is_the_energy_mean_of_its_points(series: DuckDbStore) -> None:
    readings.noise(series, DAWN, 16 * 3600, 50.0)
    readings.noise(series, DAWN, 16 * 3600, 56.0, device="roof")
    row = standards().limit("quiet_quarter.2002.day")
    gate = _day(series)
    (roof,) = noise_days(series, CLOCK, SITE, "roof", DAY, DAY)
    found = area_mean([gate, roof], row)
    assert found.measured_db == pytest.approx(53.96, abs=0.01) and found.verdict == "pass"
    assert judge(roof, row).verdict == "fail"
    (silent,) = noise_days(series, CLOCK, SITE, "cellar", DAY, DAY)
    assert area_mean([gate, silent], row).verdict == "incomplete"
    with pytest.raises(ValueError, match="at least one"):
        area_mean([], row)


def test_what_is_excluded_is_left_out_to_the_second(series: DuckDbStore) -> None:
    """A thunderstorm of twelve minutes in one hour: the rest of the hour counts, and the day is the quiet one."""
    start = DAWN + 3 * HOUR + 10 * MINUTE
    readings.noise(series, DAWN, 3 * 3600 + 600, 50.0)
    readings.noise(series, start, 720, 90.0)
    readings.noise(series, start + 12 * MINUTE, 16 * 3600 - 3 * 3600 - 600 - 720, 50.0)
    assert _day(series).ld_db == pytest.approx(71.0, abs=0.1)
    span = Span(
        start + timedelta(milliseconds=300), start + 12 * MINUTE - timedelta(milliseconds=300), "lightning"
    )
    day = _day(series, [span])
    assert day.ld_db == pytest.approx(50.0, abs=1e-3)
    assert (day.day.hours_counted, day.day.valid_share) == (16, pytest.approx(1 - 720 / 57_600, abs=1e-4))
    longer = Span(start, start + 20 * MINUTE, "rain")
    day = _day(series, [longer])
    assert [(one.t, one.reason) for one in day.day.stats.uncounted] == [(DAWN + 3 * HOUR, "rain")]
    other = Span(start, start + 20 * MINUTE, "rain", source="roof")
    assert _day(series, [other]).ld_db == _day(series).ld_db


def _weather(minute: float, **detail: object) -> EventRow:
    return EventRow("garden", "station", DAWN + minute * MINUTE, "weather", None, detail)


def test_a_weather_station_tells_when_it_rains_or_blows() -> None:
    events = [
        _weather(0, rain=False, wind_ms=2.0), _weather(5, rain=True, wind_ms=2.0), _weather(10, rain=True, wind_ms=9.0),
        _weather(15, rain=False, wind_ms=5.0), _weather(20, rain_mm_h=0.0, wind_ms=4.9), _weather(25, rain_mm_h=0.2),
    ]  # fmt: skip
    spans = weather_spans(reversed(events), DAWN + 60 * MINUTE)
    told = [((one.start - DAWN) / MINUTE, (one.end - DAWN) / MINUTE, one.reason) for one in spans]
    assert told == [
        (5, 15, "rain"),
        (15, 20, "wind"),
        (25, 40, "rain"),
    ]  # the last holds for a quarter of an hour
    assert weather_spans([], DAWN) == []


def test_exclusions_by_hand_and_of_the_station_come_together(series: DuckDbStore, registry: Registry) -> None:
    readings.event(series, DAWN + 5 * MINUTE, "weather", device="station", rain=True)
    readings.event(series, DAWN + 9 * MINUTE, "weather", device="station", rain=False)
    with registry.session() as session:
        for reason, revoked in (("wind", None), ("other", DAWN)):
            session.add(
                Exclusion(
                    site="garden", source="gate", starts_at=DAWN, ends_at=DAWN + HOUR, reason=reason, note="",
                    created_by="li", created_at=DAWN, revoked_at=revoked,
                )
            )  # fmt: skip
    with registry.reader() as session:
        found = spans_of(session, series, "garden", DAWN, DAWN + HOUR)
    assert found == [
        Span(DAWN, DAWN + HOUR, "wind", "gate"), Span(DAWN + 5 * MINUTE, DAWN + 9 * MINUTE, "rain"),
    ]  # fmt: skip
