from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest

from analysis.alerts.machine import Observation
from analysis.alerts.silences import Window
from analysis.exclusions import Span as Excluded
from analysis.limits import night_max_limit
from analysis.rules.backtest import Replayable
from analysis.rules.catalog import new_kinds
from analysis.rules.device_offline import DeviceOfflineParams
from analysis.rules.device_offline import judge as judge_device
from analysis.rules.filters import inhibit, maintain, supersede
from analysis.rules.kinds import RuleView, Sighting, World
from analysis.rules.noise_night_max import NoiseNightMaxParams
from analysis.rules.noise_night_max import judge as judge_max
from analysis.rules.water_plan import WaterPlanParams
from analysis.rules.water_plan import judge as judge_plan
from analysis.water.account import QuarterAccount, Span
from analysis.water.forecast import Forecast
from analysis.water.quota import PerHead
from store.registry.models import Device, DeviceState, Meter, Site
from store.series.duckdb_store import DuckDbStore
from store.series.interface import NoiseWindow
from tests.analysis import readings
from tests.analysis.quarter import NOON

SITE = Site(
    name="garden", zone_class="1", timezone="Asia/Shanghai", day_starts_h=6, night_starts_h=22, settings={}
)
MIDNIGHT = datetime(2026, 3, 1, 16, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BREACH = Observation("breach", 1.0, 0.0)


def _rule(kind: str, number: int = 1) -> RuleView:
    params = new_kinds()[kind].params()
    return RuleView(number, "garden", kind, 1, params, params.timing(None))


def _window(lafmax_db: float | None) -> NoiseWindow:
    return NoiseWindow("garden", "gate", lafmax_db, lafmax_db, 60.0, 1.0, None)


@pytest.mark.parametrize(("lafmax_db", "verdict"), [(60.0, "clear"), (60.1, "breach"), (None, "no_data")])
def test_a_sudden_noise_at_night(lafmax_db: float | None, verdict: str) -> None:
    """Class 1: 45 dB at night, and 15 dB more for a sudden noise."""
    seen = judge_max(_window(lafmax_db), night_max_limit(SITE), NoiseNightMaxParams())
    assert seen.verdict == verdict


def _world(series: DuckDbStore, end: datetime, **more: object) -> World:
    gate = Device(site="garden", name="gate", kind="noise")
    return World(
        series=series, now=end, end=end, sites={"garden": SITE}, devices={"garden": [gate]}, **more,  # type: ignore[arg-type]
    )  # fmt: skip


def _verdicts(kind: str, world: World) -> list[str]:
    return [one.seen.verdict for one in new_kinds()[kind].observe([_rule(kind)], world)]


def test_a_backlog_that_arrives_newest_first_completes_the_judgement(series: DuckDbStore) -> None:
    """After an outage the newest register comes first; the hours before it must not have to wait for the next one."""
    start = NOON - timedelta(hours=25)
    kind, rule = new_kinds()["water_continuous"], _rule("water_continuous")
    meters = {"garden": [Meter(site="garden", name="flat-1", device="cellar", role="household")]}

    def verdict(now: datetime) -> str:
        (one,) = kind.observe([rule], _world(series, now, meters=meters))
        return one.seen.verdict

    readings.water(series, NOON - timedelta(hours=2), [4.0, 4.0], register_l=1092.0)
    assert verdict(NOON) == "no_data"
    readings.water(series, start, [4.0] * 23)
    assert verdict(NOON + MINUTE) == "breach"


def test_by_day_a_sudden_noise_is_none(series: DuckDbStore) -> None:
    readings.noise(series, NOON - MINUTE, 60, 80.0)
    readings.noise(series, MIDNIGHT - MINUTE, 60, 40.0, lafmax_db=61.0)
    assert _verdicts("noise_night_max", _world(series, NOON)) == ["clear"]
    assert _verdicts("noise_night_max", _world(series, MIDNIGHT)) == ["breach"]


def test_in_rain_noise_says_nothing(series: DuckDbStore) -> None:
    readings.noise(series, MIDNIGHT - 10 * MINUTE, 600, 70.0)
    minutes = {"raining": (6, -1), "just over": (9, 4), "long over": (9, 6), "other device": (6, -1)}
    worlds = {
        name: _world(
            series, MIDNIGHT,
            left_out={"garden": [Excluded(
                MIDNIGHT - began * MINUTE, MIDNIGHT - over * MINUTE, "rain", "roof" if name == "other device" else None
            )]},
        )
        for name, (began, over) in minutes.items()
    }  # fmt: skip
    verdicts = {name: _verdicts("noise_window", world) for name, world in worlds.items()}
    assert verdicts == {
        "raining": ["between"], "just over": ["between"], "long over": ["breach"], "other device": ["breach"],
    }  # fmt: skip
    assert _verdicts("noise_night_max", worlds["raining"]) == ["between"]
    assert _verdicts("noise_night_max", worlds["just over"]) == ["breach"]


def test_the_sound_of_the_rain_does_not_count_after_it(series: DuckDbStore) -> None:
    """Four minutes of drumming rain, then six quiet ones: the window after the rain holds nothing of it."""
    readings.noise(series, MIDNIGHT - 10 * MINUTE, 240, 80.0)
    readings.noise(series, MIDNIGHT - 6 * MINUTE, 360, 40.0)
    rain = {"garden": [Excluded(MIDNIGHT - 10 * MINUTE, MIDNIGHT - 6 * MINUTE, "rain")]}
    assert _verdicts("noise_window", _world(series, MIDNIGHT)) == ["breach"]
    assert _verdicts("noise_window", _world(series, MIDNIGHT, left_out=rain)) == ["clear"]
    rule, kind = _rule("noise_window"), new_kinds()["noise_window"]
    assert isinstance(kind, Replayable)
    replayed = dict(
        kind.replay(rule, "gate", _world(series, MIDNIGHT, left_out=rain), MIDNIGHT - 10 * MINUTE, MIDNIGHT)
    )
    assert replayed[MIDNIGHT].verdict == "clear" and "breach" not in {
        one.verdict for one in replayed.values()
    }


def _state(state: str, minutes_ago: float) -> DeviceState:
    return DeviceState(
        site="garden",
        device="gate",
        state=state,
        since=NOON - minutes_ago * MINUTE,
        received_at=NOON,
        status={},
    )


@pytest.mark.parametrize(
    ("state", "last", "verdict", "minutes"),
    [
        (None, None, "between", None),
        (_state("offline", 4.9), None, "between", 4.9),
        (_state("offline", 5), None, "breach", 5.0),
        (_state("online", 60), NOON - 14 * MINUTE, "clear", 0.0),
        (_state("online", 60), NOON - 15 * MINUTE, "breach", 15.0),
        (_state("online", 5), NOON - 60 * MINUTE, "clear", 0.0),
        (_state("online", 600), None, "clear", 0.0),
    ],
)
def test_a_device_that_is_away_or_silent(
    series: DuckDbStore, state: DeviceState | None, last: datetime | None, verdict: str, minutes: float | None
) -> None:
    seen = judge_device(state, last, _world(series, NOON), DeviceOfflineParams())
    assert (seen.verdict, seen.value) == (verdict, minutes)


def test_after_a_restart_of_the_server_devices_have_time_to_come_back(series: DuckDbStore) -> None:
    def verdict(started_min_ago: float, real_second: timedelta = timedelta(seconds=1)) -> str:
        world = _world(series, NOON, started_at=NOON - started_min_ago * MINUTE, real_second=real_second)
        return judge_device(_state("offline", 600), None, world, DeviceOfflineParams()).verdict

    assert (verdict(4.9), verdict(5)) == ("between", "breach")
    fast = timedelta(seconds=100)
    assert (verdict(99, fast), verdict(100, fast)) == ("between", "breach")  # a real minute


def test_a_process_that_has_just_begun_does_not_call_a_silent_device_well(series: DuckDbStore) -> None:
    """Its alert goes on: neither an all-clear after each restart nor a second alert a quarter of an hour later."""

    def verdict(started_min_ago: float) -> str:
        world = _world(series, NOON, started_at=NOON - started_min_ago * MINUTE)
        return judge_device(_state("online", 600), NOON - 60 * MINUTE, world, DeviceOfflineParams()).verdict

    assert (verdict(1), verdict(14.9), verdict(15)) == ("between", "between", "breach")


def _meters() -> dict[str, Sequence[Meter]]:
    return {"garden": [Meter(site="garden", name="flat-1", device="cellar")]}


def test_what_hangs_on_a_device_that_is_away_is_inhibited(series: DuckDbStore) -> None:
    world = _world(series, NOON, meters=_meters())
    away = Sighting(_rule("device_offline"), "cellar", Observation("breach", 9.0, 0.0, {"what": "offline"}))
    water = Sighting(_rule("water_continuous", 2), "flat-1", BREACH)
    noise = Sighting(_rule("noise_window", 3), "gate", BREACH)
    assert [one.seen.verdict for one in inhibit([away, water, noise], world)] == [
        "breach",
        "no_data",
        "breach",
    ]
    assert [one.seen.verdict for one in inhibit([water, noise], world)] == ["breach", "breach"]


def test_under_maintenance_no_alert_begins() -> None:
    window = Window(1, "maintenance", "garden", None, "gate", NOON, NOON + 10 * MINUTE)
    gate = Sighting(_rule("noise_window"), "gate", BREACH)
    roof = Sighting(_rule("noise_window"), "roof", BREACH)
    calm = Sighting(_rule("noise_window"), "gate", Observation("clear", 1.0, 2.0))
    seen = [one.seen.verdict for one in maintain([gate, roof, calm], [window], NOON)]
    assert seen == ["between", "breach", "clear"]
    assert [one.seen.verdict for one in maintain([gate], [window], NOON + 10 * MINUTE)] == ["breach"]


@pytest.mark.parametrize(
    ("probability", "known_share", "verdict"),
    [(0.8, 1.0, "breach"), (0.79, 1.0, "between"), (0.59, 1.0, "clear"), (0.9, 0.5, "no_data")],
)
def test_a_year_that_is_heading_above_its_plan(probability: float, known_share: float, verdict: str) -> None:
    account = QuarterAccount(
        measured_by="master", per_head=PerHead(None, None, "unknown"), litres_per_household_day=None, night_flow=None,
        year=Span(date(2026, 1, 1), date(2026, 12, 31)), used_m3=36.0, known_share=known_share, plan_m3=100.0,
        over_plan=None, forecast=Forecast(36.0, 90.0, 110.0, 120.0, 300), passes_plan=probability, expected=None,
    )  # fmt: skip
    seen = judge_plan(account, WaterPlanParams())
    assert seen.verdict == verdict
    if verdict != "no_data":
        assert (seen.value, seen.limit) == (110.0, 100.0)


def test_a_site_without_a_plan_is_not_looked_at(series: DuckDbStore) -> None:
    assert _verdicts("water_plan", _world(series, NOON)) == []


def test_one_leak_is_one_alert() -> None:
    leak = Sighting(_rule("water_leak"), "flat-1", BREACH)
    plain = Sighting(_rule("water_continuous", 2), "flat-1", BREACH)
    other = Sighting(_rule("water_continuous", 2), "flat-2", BREACH)
    assert [one.seen.verdict for one in supersede([leak, plain, other])] == ["breach", "between", "breach"]
    assert [one.seen.verdict for one in supersede([plain, other])] == ["breach", "breach"]
