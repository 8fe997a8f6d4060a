from datetime import timedelta
from typing import Any

import pytest

from analysis.source_bands import check_bands, whole_minutes
from analysis.source_check import CheckImpossible, Measured, check
from analysis.source_record import CheckRequest, run_check
from analysis.standard_rows import BandLimitRow, CorrectionRow
from analysis.standards import standards
from contract.flags import NoiseFlag
from store.registry.database import Registry
from store.registry.models import SourceCheck
from store.series.duckdb_store import DuckDbStore
from store.series.interface import SpectrumMinute
from tests.analysis import readings
from tests.analysis.quarter import NOON

MINUTE = timedelta(minutes=1)


def _measured(level: float, lafmax_db: float = 60.0) -> Measured:
    return Measured(((NOON, NOON + MINUTE),), level, lafmax_db, 60.0, 1.0)


@pytest.mark.parametrize("standard", ["gb22337", "gb12348"])
@pytest.mark.parametrize(
    ("difference", "correction"),
    [
        (2.4, None), (2.6, -3.0), (3.0, -3.0), (3.4, -3.0), (3.6, -2.0), (4.0, -2.0), (5.4, -2.0), (5.6, -1.0),
        (6.0, -1.0), (10.4, -1.0), (10.6, 0.0), (11.0, 0.0), (40.0, 0.0), (-5.0, None),
    ],
)  # fmt: skip
def test_the_correction_table(standard: str, difference: float, correction: float | None) -> None:
    assert standards().get(f"{standard}.background", CorrectionRow).correction(difference) == correction


def test_a_shop_in_class_2_at_night() -> None:
    """58.2 dB with the fan, 52.0 without: 6 dB apart, corrected by 1 dB to 57.2, rounded 57 against 50."""
    found = check(_measured(58.2), _measured(52.0), standard="gb22337", zone_class="2", period="night")
    assert (found.correction_db, found.result_db, found.limit_db, found.verdict) == (-1.0, 57.0, 50.0, "fail")


@pytest.mark.parametrize(("on_db", "verdict"), [(60.4, "pass"), (60.6, "fail")])
def test_the_result_is_rounded_to_a_whole_decibel(on_db: float, verdict: str) -> None:
    found = check(_measured(on_db), _measured(40.0), standard="gb12348", zone_class="2", period="day")
    assert found.verdict == verdict


def test_a_source_that_hardly_stands_out_is_not_judged() -> None:
    found = check(_measured(52.0), _measured(50.0), standard="gb22337", zone_class="1", period="night")
    assert (found.verdict, found.result_db, found.correction_db) == ("not_usable", None, None)


def test_indoors_instead_of_the_boundary_ten_decibels_less_are_allowed() -> None:
    found = check(
        _measured(42.0),
        _measured(20.0),
        standard="gb12348",
        zone_class="2",
        period="night",
        where="indoors_instead",
    )
    assert (found.limit_db, found.verdict) == (40.0, "fail")


@pytest.mark.parametrize(
    ("noise", "lafmax_db", "verdict"),
    [
        ("frequent", 60.0, "pass"),
        ("frequent", 61.0, "fail"),
        ("occasional", 65.0, "pass"),
        ("occasional", 66.0, "fail"),
    ],
)
def test_the_highest_level_of_the_night(noise: str, lafmax_db: float, verdict: str) -> None:
    found = check(
        _measured(49.0, lafmax_db), _measured(30.0), standard="gb12348", zone_class="2", period="night",
        night_noise=noise,  # type: ignore[arg-type]
    )  # fmt: skip
    assert (found.verdict, found.max_verdict) == ("pass", verdict)
    with pytest.raises(CheckImpossible, match="at night"):
        check(
            _measured(49.0),
            _measured(30.0),
            standard="gb12348",
            zone_class="2",
            period="day",
            night_noise="frequent",
        )


def test_a_lift_that_is_heard_in_a_bedroom() -> None:
    """Class 2, room for sleep at night: 35 dB, and 45 dB for the highest level of what fluctuates."""
    found = check(
        _measured(36.0, 45.4), _measured(20.0), standard="gb22337", zone_class="2", period="night", where="room_a",
        night_noise="fluctuating",
    )  # fmt: skip
    assert (found.limit.id, found.limit_db) == ("gb22337.indoor.class2.room_a.night", 35.0)
    assert (found.verdict, found.max_verdict) == ("fail", "pass")
    wrong: list[dict[str, Any]] = [
        {"standard": "gb22337", "where": "room_a", "night_noise": "frequent"},
        {"standard": "gb22337", "where": "boundary", "night_noise": "fluctuating"},
        {"standard": "gb12348", "where": "room_b", "night_noise": "fluctuating"},
        {"standard": "gb22337", "where": "boundary", "night_noise": "frequent"},
    ]
    for asked in wrong:
        with pytest.raises(CheckImpossible):
            check(_measured(36.0), _measured(20.0), zone_class="2", period="night", **asked)


def _spectrum(minute: int, level_db: float, *, flags: int = 0, bands: int = 20) -> SpectrumMinute:
    return SpectrumMinute(NOON + minute * MINUTE, 14, [level_db] * bands, 60_000, flags)


def test_octaves_are_three_thirds_each_and_corrected_band_by_band() -> None:
    """Three thirds of 30.2 dB are an octave of 35.0 dB; 6 dB above the background 1 dB is taken off."""
    limits = standards().get("gb12348.indoor_bands.class1.room_a.night", BandLimitRow)
    table = standards().get("gb12348.background", CorrectionRow)
    on, off = [_spectrum(0, 30.23)], [_spectrum(5, 24.23)]
    found = check_bands(on, off, limits, table)
    assert [one.centre_hz for one in found] == [31.5, 63.0, 125.0, 250.0, 500.0]
    assert [one.on_db for one in found] == pytest.approx([35.0] * 5, abs=0.01)
    assert {(one.correction_db, one.result_db) for one in found} == {(-1.0, 34.0)}
    assert [one.verdict for one in found] == ["pass", "pass", "pass", "fail", "fail"]  # 69 51 39 30 24
    assert {one.verdict for one in check_bands(on, [_spectrum(5, 29.0)], limits, table)} == {"not_usable"}
    narrow = check_bands([_spectrum(0, 30.0, bands=6)], off, limits, table)
    assert [one.centre_hz for one in narrow] == [31.5, 63.0]  # what was not measured is not judged


def test_only_whole_valid_minutes_of_a_window_count() -> None:
    windows = [(NOON + 30 * MINUTE / 60, NOON + 3 * MINUTE)]
    given = [_spectrum(n, 30.0, flags=NoiseFlag.OVERLOAD if n == 2 else 0) for n in range(4)]
    assert [one.t for one in whole_minutes(given, windows)] == [NOON + MINUTE]


def test_a_room_has_its_octaves_in_the_record(series: DuckDbStore, registry: Registry) -> None:
    readings.noise(series, NOON, 900, lambda n: 50.0 if n < 300 else 30.0)
    readings.minutes(series, NOON, 15, 40.0, bands_db=lambda n: 45.0 if n < 5 else 20.0)
    with registry.session() as session:
        result = run_check(session, series, _request(where="room_b"), who="li", now=NOON).result
    assert [one["verdict"] for one in result["bands"]] == [
        "pass",
        "pass",
        "pass",
        "fail",
        "fail",
    ]  # 79 63 52 44 38
    assert result["limit"]["id"] == "gb22337.indoor.class1.room_b.day"


def test_rain_makes_a_check_worthless(series: DuckDbStore, registry: Registry) -> None:
    readings.noise(series, NOON, 900, 58.0)
    readings.event(series, NOON + 4 * MINUTE, "weather", rain=True)
    readings.event(series, NOON + 6 * MINUTE, "weather", rain=False)
    with registry.session() as session, pytest.raises(CheckImpossible, match=r"do not count \(rain\)"):
        run_check(session, series, _request(), who="li", now=NOON)


def _request(**changes: object) -> CheckRequest:
    asked = {
        "site": "garden", "device": "gate", "suspect": "the lift", "on": ((NOON, NOON + 5 * MINUTE),),
        "off": ((NOON + 10 * MINUTE, NOON + 15 * MINUTE),), "standard": "gb22337", "zone_class": "1",
    }  # fmt: skip
    return CheckRequest(**{**asked, **changes})  # type: ignore[arg-type]


def test_the_record_of_a_case_file(series: DuckDbStore, registry: Registry) -> None:
    readings.event(series, NOON - timedelta(days=3), "calibration", drift_db=0.1)
    readings.noise(series, NOON, 300, 58.0)
    readings.noise(series, NOON + 10 * MINUTE, 300, 52.0)
    with registry.session() as session:
        row_id = run_check(session, series, _request(), who="li", now=NOON + 20 * MINUTE).id
    with registry.reader() as session:
        row = session.get_one(SourceCheck, row_id)
        result = row.result
        assert (row.made_by, row.asked["suspect"]) == ("li", "the lift")
        assert (result["verdict"], result["result_db"], result["correction_db"]) == ("fail", 57.0, -1.0)
        assert result["limit"]["standard"] == "GB 22337-2008" and result["limit"]["verified"] == "V"
        assert result["on"]["laeq_db"] == pytest.approx(58.0, abs=1e-4) and result["on"]["valid_s"] == 300.0
        assert result["calibration"]["detail"] == {"drift_db": 0.1}
        assert result["indicative"] is True


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"device": "nobody"}, "no device"),
        ({"on": ()}, "at least one time"),
        ({"on": ((NOON, NOON),)}, "end after it starts"),
        (
            {"off": ((NOON + timedelta(hours=12), NOON + timedelta(hours=12, minutes=5)),)},
            "partly in the day",
        ),
        ({"off": ((NOON + 30 * MINUTE, NOON + 35 * MINUTE),)}, "measure again"),
    ],
)
def test_a_check_that_cannot_be_made_says_what_to_do(
    series: DuckDbStore, registry: Registry, changes: dict[str, object], told: str
) -> None:
    readings.noise(series, NOON, 300, 58.0)
    readings.noise(series, NOON + 10 * MINUTE, 300, 52.0)
    with registry.session() as session, pytest.raises(CheckImpossible, match=told):
        run_check(session, series, _request(**changes), who="li", now=NOON)


def test_a_window_may_end_with_the_day(series: DuckDbStore, registry: Registry) -> None:
    ten = NOON + timedelta(hours=10)  # 22:00 in Shanghai
    readings.noise(series, ten - 15 * MINUTE, 900, 58.0)
    on, off = ((ten - 5 * MINUTE, ten),), ((ten - 15 * MINUTE, ten - 10 * MINUTE),)
    with registry.session() as session:
        row = run_check(session, series, _request(on=on, off=off), who="li", now=ten)
        assert row.result["period"] == "day" and row.result["verdict"] == "not_usable"
