"""A water alert tells since when the water has flowed, not since when it was noticed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from analysis.leaks.began import began
from analysis.notify.facts import gather
from analysis.rules.kinds import RuleView, World
from analysis.rules.water_continuous import WaterContinuousParams, WaterContinuousRule
from store.registry.database import Registry
from store.registry.models import Alert, Meter, Rule, Site
from store.series.duckdb_store import DuckDbStore
from tests.analysis import readings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("detail", "expected"),
    [
        ({"since": (NOON - 30 * HOUR).isoformat()}, NOON - 30 * HOUR),
        ({"since": (NOON + HOUR).isoformat()}, NOON),
        ({"since": "2026-03-01T06:00:00"}, NOON),
        ({"since": "some day"}, NOON),
        ({"since": 7}, NOON),
        ({}, NOON),
    ],
)
def test_the_estimated_beginning_counts_where_it_can_be_understood(
    detail: dict[str, object], expected: datetime
) -> None:
    assert began(detail, NOON) == expected


def test_a_message_says_since_when_the_water_has_flowed(registry: Registry) -> None:
    with registry.session() as session:
        rule = Rule(
            site="garden",
            kind="water_leak",
            params={},
            version=1,
            enabled=True,
            updated_at=NOON,
        )
        session.add(rule)
        session.flush()
        alert = Alert(
            rule_id=rule.id, rule_kind="water_leak", site="garden", source="flat-1", state="firing",
            severity="warning", pending_since=NOON, firing_since=NOON, updated_at=NOON, value=12.0, limit=0.0,
            detail={"since": (NOON - 19 * HOUR).isoformat(), "alarms": []},
        )  # fmt: skip
        session.add(alert)
        session.flush()
        facts = gather(session, alert, "firing")
        assert facts.since == NOON - 19 * HOUR
        alert.source = "quarter"
        assert gather(session, alert, "firing").source_zh == "全小区"


def test_flow_without_rest_keeps_its_beginning_while_the_window_moves(series: DuckDbStore) -> None:
    register = readings.water(series, NOON, [0.0] + [4.0] * 26)
    kind, params = WaterContinuousRule(), WaterContinuousParams()
    rule = RuleView(1, "garden", "water_continuous", 1, params, params.timing(None))
    began_at = _since(kind, rule, series, NOON + 27 * HOUR)
    assert NOON <= began_at <= NOON + 3 * HOUR
    readings.water(series, NOON + 27 * HOUR, [4.0] * 10, register_l=register)
    assert _since(kind, rule, series, NOON + 37 * HOUR) == began_at


def _since(kind: WaterContinuousRule, rule: RuleView, series: DuckDbStore, now: datetime) -> datetime:
    world = World(
        series=series, now=now, end=now, sites={"garden": Site(name="garden")},
        meters={"garden": [Meter(site="garden", name="flat-1", device="cellar", role="household")]},
    )  # fmt: skip
    (sighting,) = kind.observe([rule], world)
    assert sighting.seen.verdict == "breach"
    return datetime.fromisoformat(sighting.seen.detail["since"])
