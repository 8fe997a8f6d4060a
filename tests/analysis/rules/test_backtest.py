from datetime import UTC, datetime, timedelta

import pytest

from analysis.rules.backtest import Backtest, NotReplayable, backtest, most_alerting
from analysis.rules.catalog import new_kinds
from analysis.rules.edit import BadRule
from analysis.rules.kinds import RuleView, World, parse_params
from analysis.rules.trial import try_rule
from store.registry.database import Registry
from store.registry.models import Device, Meter, Site
from store.series.duckdb_store import DuckDbStore
from tests.analysis import readings
from tests.analysis.quarter import NOON

SITE = Site(
    name="garden", zone_class="1", timezone="Asia/Shanghai", day_starts_h=6, night_starts_h=22, settings={}
)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def _run(series: DuckDbStore, kind: str, start: datetime, end: datetime, **params: object) -> Backtest:
    kinds = new_kinds()
    parsed = parse_params(kinds[kind], params, "rule")
    rule = RuleView(1, "garden", kind, 1, parsed, parsed.timing(1800))
    world = World(
        series=series, now=end, end=end, sites={"garden": SITE},
        devices={"garden": [Device(site="garden", name=name, kind="noise") for name in ("gate", "roof")]},
        meters={"garden": [Meter(site="garden", name="flat-1", device="cellar", role="household")]},
    )  # fmt: skip
    return backtest(rule, kinds[kind], world, start, end)


def test_how_many_alerts_would_there_have_been(series: DuckDbStore) -> None:
    """An hour of 50 dB with two loud quarters of an hour: two alerts, or none with a margin of 10 dB."""

    def level(n: int) -> float:
        return 60.0 if 900 <= n % 5400 < 1800 else 50.0

    readings.noise(series, NOON, 3 * 3600, level)
    result = _run(series, "noise_window", NOON, NOON + 3 * HOUR)
    assert result.per_source == {"gate": 2, "roof": 0}
    assert result.known_share == pytest.approx(0.5, abs=0.02)  # the roof was silent
    first = result.alerts[0]
    assert NOON + 15 * MINUTE < first.firing_at < NOON + 25 * MINUTE
    assert first.resolved_at is not None and NOON + 30 * MINUTE < first.resolved_at < NOON + 60 * MINUTE
    assert (first.worst, first.limit) == (pytest.approx(60.0, abs=0.1), 55.0)
    assert most_alerting(result) == [("gate", 2)]
    assert _run(series, "noise_window", NOON, NOON + 3 * HOUR, margin_db=10.0).alerts == ()


def test_it_fires_in_the_minute_in_which_the_live_rule_does(series: DuckDbStore) -> None:
    readings.noise(series, NOON, 3600, lambda n: 80.0 if n >= 1800 else 50.0)
    (alert,) = _run(series, "noise_window", NOON, NOON + HOUR).alerts
    kind = new_kinds()["noise_window"]
    params = kind.params()
    rule = RuleView(1, "garden", "noise_window", 1, params, params.timing(None))
    for second in range(1800, 1900):
        end = NOON + timedelta(seconds=second)
        world = World(
            series=series, now=end, end=end, sites={"garden": SITE},
            devices={"garden": [Device(site="garden", name="gate", kind="noise")]},
        )  # fmt: skip
        if next(iter(kind.observe([rule], world))).seen.verdict == "breach":
            break
    assert timedelta(0) <= alert.firing_at - end <= MINUTE
    assert alert.resolved_at is None


def test_night_has_its_own_limit_in_the_past_too(series: DuckDbStore) -> None:
    ten = datetime(2026, 3, 1, 14, tzinfo=UTC)  # 22:00 in Shanghai
    readings.noise(series, ten - HOUR, 2 * 3600, 50.0)
    (alert,) = _run(series, "noise_window", ten - HOUR, ten + HOUR).alerts
    assert alert.firing_at == ten + 5 * MINUTE and alert.limit == 45.0


def test_a_leak_in_the_past(series: DuckDbStore) -> None:
    readings.water(series, NOON, [*([20.0] * 6 + [0.0] * 6) * 4, *[12.0] * 40, 0.0, 5.0])
    result = _run(series, "water_continuous", NOON, NOON + 90 * HOUR)
    (alert,) = result.alerts
    assert alert.firing_at == NOON + (48 + 24) * HOUR
    assert alert.resolved_at == NOON + (48 + 41) * HOUR


def test_a_silent_meter_is_no_data(series: DuckDbStore) -> None:
    readings.water(series, NOON, [12.0] * 30)
    readings.water(series, NOON + 50 * HOUR, [12.0] * 3, register_l=2000.0)
    result = _run(series, "water_continuous", NOON, NOON + 60 * HOUR)
    assert len(result.alerts) == 1 and result.alerts[0].resolved_at is None
    assert 0.0 < result.known_share < 1.0


@pytest.mark.parametrize(
    ("kind", "start", "end", "told"),
    [
        ("device_offline", NOON, NOON + HOUR, "cannot be tried"),
        ("noise_window", NOON, NOON, "up to 92 days"),
        ("noise_window", NOON, NOON + timedelta(days=93), "up to 92 days"),
    ],
)
def test_what_cannot_be_tried_says_so(
    series: DuckDbStore, kind: str, start: datetime, end: datetime, told: str
) -> None:
    with pytest.raises(NotReplayable, match=told):
        _run(series, kind, start, end)


def test_a_rule_is_tried_on_a_site_of_the_registry(series: DuckDbStore, registry: Registry) -> None:
    readings.noise(series, NOON - 2 * HOUR, 3600, 60.0)
    with registry.reader() as session:

        def alerts(kind: str = "noise_window", site: str = "garden", days: int = 1, **params: object) -> int:
            return len(
                try_rule(session, series, site=site, kind=kind, params=params, now=NOON, days=days).alerts
            )

        assert (alerts(), alerts(margin_db=6.0)) == (1, 0)
        for broken in ({"site": "nowhere"}, {"kind": "moon"}, {"margin_db": -1}):
            with pytest.raises(BadRule):
                alerts(**broken)  # type: ignore[arg-type]
        for impossible in ({"kind": "water_leak"}, {"days": 0}, {"days": 400}):
            with pytest.raises(NotReplayable):
                alerts(**impossible)  # type: ignore[arg-type]
