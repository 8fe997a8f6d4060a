from datetime import UTC, datetime

import pytest

from analysis.notify.prefs import BadPrefs, NotifyPrefs, parse_prefs, wanted, when

ZONE = "Asia/Shanghai"


def _at(clock: str, day: int = 1) -> datetime:
    return datetime.fromisoformat(f"2026-03-{day:02d}T{clock}+08:00").astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "at", "held_by"),
    [
        (_at("21:59:59"), _at("21:59:59"), ""),
        (_at("22:00"), _at("07:00", 2), "quiet_hours"),
        (_at("03:00"), _at("07:00"), "quiet_hours"),
        (_at("07:00"), _at("07:00"), ""),
    ],
)
def test_quiet_hours_across_midnight(now: datetime, at: datetime, held_by: str) -> None:
    moment = when(NotifyPrefs(quiet_from="22:00", quiet_to="07:00"), "warning", now, ZONE)
    assert (moment.at, moment.held_by) == (at, held_by)


@pytest.mark.parametrize(
    ("now", "at"), [(_at("11:59"), _at("11:59")), (_at("12:30"), _at("14:00")), (_at("14:00"), _at("14:00"))]
)
def test_quiet_hours_within_a_day(now: datetime, at: datetime) -> None:
    assert when(NotifyPrefs(quiet_from="12:00", quiet_to="14:00"), "info", now, ZONE).at == at


def test_what_is_critical_waits_for_nothing() -> None:
    prefs = NotifyPrefs(quiet_from="22:00", quiet_to="07:00", digest_at=("08:00",))
    assert when(prefs, "critical", _at("23:00"), ZONE).at == _at("23:00")


@pytest.mark.parametrize(
    ("now", "at"),
    [(_at("07:59"), _at("08:00")), (_at("08:00"), _at("18:00")), (_at("19:00"), _at("08:00", 2))],
)
def test_digests(now: datetime, at: datetime) -> None:
    moment = when(NotifyPrefs(digest_at=("18:00", "08:00")), "warning", now, ZONE)
    assert (moment.at, moment.held_by) == (at, "digest")


def test_the_least_severity() -> None:
    assert wanted(NotifyPrefs(), "info")
    assert not wanted(NotifyPrefs(least="critical"), "warning")
    assert wanted(NotifyPrefs(least="warning"), "critical")


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({"quiet_from": "22:00"}, "belong together"),
        ({"quiet_from": "22:00", "quiet_to": "22:00"}, "the same"),
        ({"quiet_from": "25:00", "quiet_to": "07:00"}, "quiet_from"),
        ({"digest_at": ["8"]}, "digest_at"),
        ({"least": "loud"}, "least"),
        ({"colour": 1}, "colour"),
    ],
)
def test_wishes_that_make_no_sense_are_refused(raw: dict[str, object], told: str) -> None:
    with pytest.raises(BadPrefs, match=told):
        parse_prefs(raw)
