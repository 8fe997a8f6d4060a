from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from analysis.leak_rows import hour_rows
from analysis.leak_units import DISTRICT, QUARTER
from analysis.leak_watch import LeakWatch
from analysis.leaks.alarm import Alarm
from analysis.leaks.household import HouseholdConfig, HouseholdDetector
from analysis.rollups import roll_up
from analysis.rules.water_leak import seen
from store.registry.database import Registry
from store.registry.models import DetectorState, Meter, Site
from store.registry.provisioning import add_meter
from store.series.duckdb_store import DuckDbStore
from store.series.interface import WaterPoint
from tests.analysis import readings
from tests.analysis.quarter import NOON

HOUR = timedelta(hours=1)
DAY = [0.0] * 6 + [
    30.0,
    20.0,
    0.0,
    5.0,
    0.0,
    15.0,
    20.0,
    0.0,
    0.0,
    5.0,
    0.0,
    10.0,
    40.0,
    30.0,
    10.0,
    0.0,
    5.0,
    0.0,
]


def _point(hours: float, litres: float, serial: str | None = None) -> WaterPoint:
    return WaterPoint(NOON + hours * HOUR, round(litres * 1000), 1000, None, None, serial, 0)


def test_rows_are_about_an_hour_and_a_gap_is_one_long_row() -> None:
    points = [_point(h / 4, h) for h in range(9)] + [_point(5, 20.0), _point(6.02, 21.0)]
    rows, last = hour_rows(points)
    assert [(row.t, row.volume_l, round(row.duration_h, 2)) for row in rows] == [
        (NOON, 4.0, 1.0), (NOON + HOUR, 4.0, 1.0), (NOON + 2 * HOUR, 12.0, 3.0), (NOON + 5 * HOUR, 1.0, 1.02),
    ]  # fmt: skip
    assert last == points[-1]
    assert hour_rows([]) == ([], None)
    assert hour_rows(points[:2]) == ([], points[0])


def test_a_new_meter_is_no_gain() -> None:
    rows, _ = hour_rows(
        [_point(0, 500.0, "a"), _point(0.5, 1.0, "b"), _point(1, 2.0, "b"), _point(2, 5.0, "b")]
    )
    assert [row.volume_l for row in rows] == [None, 3.0]


def _town(registry: Registry) -> tuple[dict[str, Site], dict[str, Sequence[Meter]]]:
    with registry.reader() as session:
        sites = {site.name: site for site in session.scalars(select(Site))}
        meters = list(session.scalars(select(Meter).order_by(Meter.name)))
    return sites, {"garden": meters}


def _advance(watch: LeakWatch, registry: Registry, now: datetime) -> None:
    while watch.advance(*_town(registry), now):
        pass


@pytest.fixture
def leaking(series: DuckDbStore) -> datetime:
    """Twenty ordinary days, then four with 12 L/h on top; returns the time of the newest reading."""
    readings.water(series, NOON, DAY * 20 + [volume + 12.0 for volume in DAY * 4])
    return NOON + len(DAY) * 24 * HOUR


def test_it_finds_what_the_detector_finds(series: DuckDbStore, registry: Registry, leaking: datetime) -> None:
    watch = LeakWatch(series, registry)
    _advance(watch, registry, leaking)
    direct = HouseholdDetector(HouseholdConfig(step_l=1.0))
    rows, _ = hour_rows(series.water_readings("garden", "flat-1", NOON, leaking + HOUR))
    for row in rows:
        direct.update(row)
    assert watch.active("garden", "flat-1") == direct.active() != []
    assert watch.seen_until("garden", "flat-1") == leaking
    assert watch.active("garden", "nobody") is None


def test_a_restart_goes_on_where_it_was(series: DuckDbStore, registry: Registry, leaking: datetime) -> None:
    whole = LeakWatch(series, registry)
    _advance(whole, registry, leaking)
    expected = whole.active("garden", "flat-1")
    whole.close(leaking)
    with registry.reader() as session:
        row = session.get_one(DetectorState, ("garden", "flat-1"))
        assert row.done_until == leaking and [one["kind"] for one in row.active] == [
            a.kind for a in expected or []
        ]
    again = LeakWatch(series, registry)
    assert again.advance(*_town(registry), leaking) == 0
    assert again.active("garden", "flat-1") == expected
    readings.water(series, leaking + HOUR, [12.0], register_l=9000.0)
    assert again.advance(*_town(registry), leaking + 2 * HOUR) > 0


def test_a_state_of_another_meter_step_is_not_gone_on_from(
    series: DuckDbStore, registry: Registry, leaking: datetime
) -> None:
    first = LeakWatch(series, registry)
    _advance(first, registry, leaking)
    first.close(leaking)
    with registry.session() as session:
        session.get_one(DetectorState, ("garden", "flat-1")).config = "household/10000"
    second = LeakWatch(series, registry)
    assert second.advance(*_town(registry), leaking) > 0
    with registry.session() as session:
        row = session.get_one(DetectorState, ("garden", "flat-1"))
        row.config, row.state = "household/1000", b"broken"
    assert LeakWatch(series, registry).advance(*_town(registry), leaking) > 0


def test_little_time_a_round_gets_everything_done_in_the_end(
    series: DuckDbStore, registry: Registry, leaking: datetime
) -> None:
    with registry.session() as session:
        add_meter(session, "garden", "flat-2", device="cellar", label_zh="2", label_en="2", now=NOON)
    readings.water(series, NOON, DAY * 3, meter="flat-2")
    ticks = iter(range(10_000))
    watch = LeakWatch(series, registry, monotonic=lambda: float(next(ticks)))
    rounds = 0
    while watch.advance(*_town(registry), leaking, budget_s=1.0) and rounds < 100:
        rounds += 1
    assert watch.seen_until("garden", "flat-1") == leaking
    assert watch.seen_until("garden", "flat-2") == NOON + 72 * HOUR


def test_a_quarter_is_balanced_by_its_hours(series: DuckDbStore, registry: Registry) -> None:
    """Thirty days of a master meter and three households; 40 L/h are lost between them in the last eight."""
    with registry.session() as session:
        add_meter(
            session,
            "garden",
            "main",
            device="cellar",
            label_zh="总表",
            label_en="Main",
            now=NOON,
            role="master",
        )
        for n in (2, 3):
            add_meter(
                session, "garden", f"flat-{n}", device="cellar", label_zh=str(n), label_en=str(n), now=NOON
            )
    for n in (1, 2, 3):
        readings.water(series, NOON, DAY * 30, meter=f"flat-{n}")
    flows = [3 * volume + (40.0 if hour >= 22 * 24 else 0.0) for hour, volume in enumerate(DAY * 30)]
    readings.water(series, NOON, flows, meter="main")
    while roll_up(series, datetime(2027, 1, 1, tzinfo=UTC), budget_s=60.0):
        pass
    now = NOON + 30 * 24 * HOUR
    watch = LeakWatch(series, registry)
    _advance(watch, registry, now)
    (alarm,) = watch.active("garden", QUARTER) or []
    assert alarm.kind == "quarter_loss" and alarm.flow_lph == pytest.approx(40.0, rel=0.25)
    watch.close(now)
    again = LeakWatch(series, registry)
    again.advance(*_town(registry), now)
    assert again.active("garden", QUARTER) == [alarm]


def test_an_inlet_meter_alone_is_a_district(series: DuckDbStore, registry: Registry) -> None:
    """Fifty days of a district's inflow; 600 L/h more in the last ten. The register's fall is no water."""
    with registry.session() as session:
        session.delete(session.get_one(Meter, ("garden", "flat-1")))
        add_meter(
            session, "garden", "inlet", device="cellar", label_zh="进水", label_en="Inlet", now=NOON, role="master"
        )  # fmt: skip
    flows = [
        2000.0 + 20 * volume + (600.0 if hour >= 40 * 24 else 0.0) + 37 * (hour * 7919 % 11 - 5)
        for hour, volume in enumerate(DAY * 50)
    ]
    flows[20 * 24] = -40_000.0
    readings.water(series, NOON, flows, meter="inlet", step_ml=10_000)
    now = NOON + 50 * 24 * HOUR
    watch = LeakWatch(series, registry)
    _advance(watch, registry, now)
    (alarm,) = watch.active("garden", DISTRICT) or []
    assert alarm.kind == "district_inflow" and alarm.flow_lph == pytest.approx(600.0, rel=0.2)
    assert abs(alarm.since - (NOON + 40 * 24 * HOUR)) <= 36 * HOUR
    assert watch.active("garden", QUARTER) is None
    watch.close(now)
    again = LeakWatch(series, registry)
    assert again.advance(*_town(registry), now) == 0
    assert again.active("garden", DISTRICT) == [alarm]


def test_an_alarm_gets_its_price() -> None:
    alarm = Alarm(t=NOON, kind="continuous_flow", since=NOON - 10 * HOUR, flow_lph=12.0, params={})
    small = Alarm(t=NOON, kind="intermittent_toilet", since=NOON, flow_lph=3.0, params={})
    found = seen([small, alarm], NOON, (7.0, "CNY"))
    assert (found.verdict, found.value, found.detail["kind"]) == ("breach", 12.0, "continuous_flow")
    assert datetime.fromisoformat(found.detail["since"]) == NOON - 10 * HOUR
    first, second = found.detail["alarms"]
    assert (first["so_far_l"], first["month_l"], first["month_money"]) == (120.0, 8766.0, 61.36)
    assert (second["kind"], second["month_money"]) == ("intermittent_toilet", 15.34)
    fault = seen([Alarm(t=NOON, kind="stuck", since=NOON, flow_lph=0.0, params={})], NOON, (7.0, "CNY"))
    assert (fault.value, fault.detail["alarms"][0]["month_money"]) == (0.0, 0.0)
