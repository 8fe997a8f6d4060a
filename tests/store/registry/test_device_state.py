from datetime import UTC, datetime, timedelta

import pytest

from contract.messages import DeviceStatus
from store.registry.database import Registry
from store.registry.device_state import StatusReport, record_statuses
from store.registry.models import DeviceState
from tests.broker import quarter

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def registry(tmp_path):
    made = quarter(tmp_path, sites=1, devices=3)
    yield made.registry
    made.registry.close()


def _at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def _tell(registry: Registry, *told, device="d1") -> DeviceState:
    with registry.session() as session:
        unknown = record_statuses(session, [StatusReport("s1", device, *one) for one in told])
        assert unknown == set()
    with registry.reader() as session:
        return session.get_one(DeviceState, ("s1", device))


def _online(minutes: float, **more) -> DeviceStatus:
    return DeviceStatus(state="online", t=_at(minutes), **more)


OFFLINE = DeviceStatus(state="offline")


def test_since_moves_only_when_the_device_comes_or_goes(registry):
    row = _tell(registry, (_online(0), _at(0)))
    assert (row.state, row.since) == ("online", _at(0))
    row = _tell(registry, (_online(1), _at(1)))
    assert (row.since, row.received_at) == (_at(0), _at(1))
    row = _tell(registry, (OFFLINE, _at(5)))
    assert (row.state, row.since) == ("offline", _at(5))
    row = _tell(registry, (_online(9), _at(9)))
    assert (row.state, row.since) == ("online", _at(9))


def test_a_last_will_keeps_what_the_device_told_before(registry):
    row = _tell(registry, (_online(0, version="1.2", outbox_depth=7), _at(0)), (OFFLINE, _at(1)))
    assert row.state == "offline"
    assert (row.status["version"], row.status["outbox_depth"]) == ("1.2", 7)


def test_within_one_batch_the_last_word_counts_and_a_change_back_and_forth_is_seen(registry):
    _tell(registry, (_online(0), _at(0)))
    row = _tell(registry, (OFFLINE, _at(1)), (_online(2, version="2"), _at(2)))
    assert (row.state, row.since, row.status["version"]) == ("online", _at(2), "2")


def test_a_retained_copy_of_what_is_known_is_no_sign_of_life(registry):
    before = _tell(registry, (_online(0, version="1"), _at(0)))
    row = _tell(registry, (_online(0, version="1"), _at(60), True))
    assert row.received_at == before.received_at == _at(0)
    _tell(registry, (OFFLINE, _at(61)))
    row = _tell(registry, (OFFLINE, _at(90), True))
    assert row.received_at == _at(61)


def test_a_retained_status_that_is_news_is_taken(registry):
    _tell(registry, (_online(0), _at(0)))
    row = _tell(registry, (OFFLINE, _at(30), True))
    assert (row.state, row.since) == ("offline", _at(30))
    row = _tell(registry, (_online(1, version="new"), _at(1), True), device="d2")
    assert row.status["version"] == "new"


def test_a_device_whose_clock_was_set_back_is_still_heard(registry):
    _tell(registry, (_online(60 * 24 * 365), _at(0)))
    row = _tell(registry, (_online(1, version="after"), _at(1)))
    assert row.status["version"] == "after"


def test_unknown_devices_are_named_and_the_others_kept(registry):
    with registry.session() as session:
        unknown = record_statuses(
            session, [StatusReport("s1", "d3", _online(0), NOW), StatusReport("s9", "x", _online(0), NOW)]
        )
        assert unknown == {("s9", "x")}
        assert session.get_one(DeviceState, ("s1", "d3")).state == "online"


def test_many_devices_at_once(tmp_path):
    made = quarter(tmp_path / "many", sites=2, devices=500, meters=0)
    reports = [StatusReport(s, d, _online(0), NOW) for s, d in made.passwords]
    with made.registry.session() as session:
        assert record_statuses(session, reports) == set()
    with made.registry.session() as session:
        assert record_statuses(session, reports) == set()
        assert session.query(DeviceState).count() == 1_000
    made.registry.close()
