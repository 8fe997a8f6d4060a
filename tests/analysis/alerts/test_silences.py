from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from analysis.alerts.silences import BadSilence, Window, current, lift, make, match
from store.registry.database import Registry
from store.registry.models import Silence
from tests.analysis.quarter import NOON

HOUR = timedelta(hours=1)


def _window(**changes: object) -> Window:
    base = {
        "id": 1, "kind": "silence", "site": None, "rule_kind": None, "source": None, "starts_at": NOON,
        "ends_at": NOON + 2 * HOUR,
    }  # fmt: skip
    return Window(**{**base, **changes})  # type: ignore[arg-type]


def test_a_silence_covers_what_it_names() -> None:
    everything = _window()
    assert everything.covers("garden", "noise_window", "gate")
    assert _window(site="garden", rule_kind="noise_window").covers("garden", "noise_window", "gate")
    assert not _window(site="other").covers("garden", "noise_window", "gate")
    assert not _window(rule_kind="water_continuous").covers("garden", "noise_window", "gate")
    assert not _window(site="garden", source="roof").covers("garden", "noise_window", "gate")


def test_its_end_does_not_belong_to_it() -> None:
    one = _window()
    assert one.end_at(NOON - timedelta(seconds=1)) is None
    assert one.end_at(NOON) == NOON + 2 * HOUR
    assert one.end_at(NOON + 2 * HOUR) is None


def test_a_repeating_window_keeps_the_time_of_the_day() -> None:
    daily = _window(repeat="daily", repeat_until=NOON + timedelta(days=3))
    assert daily.end_at(NOON + timedelta(days=2, hours=1)) == NOON + timedelta(days=2, hours=2)
    assert daily.end_at(NOON + timedelta(days=2, hours=3)) is None
    assert daily.end_at(NOON + timedelta(days=3)) is None
    weekly = _window(repeat="weekly")
    assert weekly.end_at(NOON + timedelta(days=1)) is None
    assert weekly.end_at(NOON + timedelta(days=70)) == NOON + timedelta(days=70, hours=2)


def test_it_keeps_the_time_of_the_day_across_a_change_of_clocks() -> None:
    winter_noon = datetime(2026, 3, 28, 11, tzinfo=UTC)  # 12:00 in Berlin, the day before summer time
    daily = _window(starts_at=winter_noon, ends_at=winter_noon + HOUR, repeat="daily", zone="Europe/Berlin")
    summer_noon = datetime(2026, 3, 29, 10, tzinfo=UTC)
    assert daily.end_at(summer_noon) == summer_noon + HOUR
    assert daily.end_at(summer_noon + HOUR) is None


def test_the_longest_of_several_counts() -> None:
    both = [
        _window(),
        _window(id=2, ends_at=NOON + 5 * HOUR),
        _window(id=3, kind="maintenance", ends_at=NOON + 9 * HOUR),
    ]
    assert match(both, "silence", "garden", "noise_window", "gate", NOON) == NOON + 5 * HOUR
    assert match(both, "silence", "garden", "noise_window", "gate", NOON + 6 * HOUR) is None


def test_what_is_over_or_lifted_is_not_current(registry: Registry) -> None:
    with registry.session() as session:
        kept = {"kind": "silence", "reason": "roof works", "who": "li", "now": NOON}
        make(session, starts_at=NOON, ends_at=NOON + HOUR, **kept)  # type: ignore[arg-type]
        make(session, starts_at=NOON, ends_at=NOON + 3 * HOUR, site="garden", **kept)  # type: ignore[arg-type]
        make(session, starts_at=NOON, ends_at=NOON + HOUR, repeat="daily", **kept)  # type: ignore[arg-type]
    with registry.session() as session:
        assert [one.id for one in current(session, NOON + 2 * HOUR)] == [2, 3]
        lift(session, 2, NOON + 2 * HOUR)
        lift(session, 2, NOON + 3 * HOUR)
        assert [one.id for one in current(session, NOON + 2 * HOUR)] == [3]
        assert session.scalars(select(Silence.lifted_at).filter_by(id=2)).one() == NOON + 2 * HOUR
        with pytest.raises(LookupError, match="99"):
            lift(session, 99, NOON)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"reason": " "}, "needs a reason"),
        ({"ends_at": NOON}, "later than"),
        ({"ends_at": NOON + timedelta(days=91)}, "at most"),
        ({"ends_at": NOON + timedelta(hours=25), "repeat": "daily"}, "at most"),
        ({"source": "gate"}, "needs its site"),
        ({"site": "nowhere"}, "no site"),
    ],
)
def test_a_silence_that_makes_no_sense_is_refused(
    registry: Registry, changes: dict[str, object], told: str
) -> None:
    good = {
        "kind": "silence",
        "starts_at": NOON,
        "ends_at": NOON + HOUR,
        "reason": "x",
        "who": "li",
        "now": NOON,
    }
    with registry.session() as session, pytest.raises(BadSilence, match=told):
        make(session, **{**good, **changes})  # type: ignore[arg-type]
