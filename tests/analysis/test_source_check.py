from datetime import timedelta

import pytest

from analysis.source_check import CheckImpossible, Measured, check
from analysis.source_record import CheckRequest, run_check
from analysis.standard_rows import CorrectionRow
from analysis.standards import standards
from store.registry.database import Registry
from store.registry.models import SourceCheck
from store.series.duckdb_store import DuckDbStore
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
