import json
import threading
from datetime import timedelta

import pytest
from click.testing import CliRunner

import ingest.pipeline
from contract.clock import SystemClock
from contract.messages import Stored
from ingest.cli import replay as replay_command
from ingest.pipeline import Pipeline, answer_pause_s
from ingest.replay import replay, replay_if_asked
from ingest.source import Arrival
from store.registry.database import RegistryUnavailable
from store.registry.models import DeviceState
from store.registry.provisioning import add_device, add_meter
from store.registry.quarantine import counts
from store.registry.replay import ReplayResult, ask, result_of
from store.series.duckdb_store import DuckDbStore
from store.series.interface import StoreUnavailable, WriteReport
from tests.broker import NOW, quarter, wait_for


class Clock(SystemClock):
    def now(self):
        return NOW + timedelta(hours=1)


class FakeSource:
    def __init__(self):
        self.queue: list[Arrival] = []
        self.acked: list[int] = []
        self.answers: dict[tuple[str, str], list[Stored]] = {}
        self.order: list[str] = []

    def take(self, timeout_s):
        return self.queue.pop(0) if self.queue else None

    def acknowledge(self, arrival):
        self.acked.append(arrival.mid)
        self.order.append("ack")

    def answer(self, site, device, stored):
        self.answers.setdefault((site, device), []).append(stored)
        self.order.append("answer")


class Breaking:
    """A store that raises on readings that ``breaks`` picks, and is away while ``away``."""

    def __init__(self, inner, breaks=lambda reading: False):
        self._inner, self.breaks, self.away, self.calls = inner, breaks, False, 0

    def write(self, entries):
        self.calls += 1
        if self.away:
            raise StoreUnavailable("away")
        if any(self.breaks(entry.reading) for entry in entries):
            raise RuntimeError("cannot digest this")
        return self._inner.write(entries)

    def __getattr__(self, name):
        return getattr(self._inner, name)


def noise(n, **changes):
    t = (NOW + timedelta(seconds=n)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "seq": n,
        "t": t,
        "laeq_db": 50.0,
        "lafmax_db": 55.0,
        "lafmin_db": 45.0,
        "laf_db": 50.0,
        **changes,
    }


def arrival(mid, readings, topic="qw/v1/s1/d1/noise", **more):
    payload = readings if isinstance(readings, bytes) else json.dumps(readings).encode()
    return Arrival(topic, payload, len(payload), mid, 1, **more)


@pytest.fixture
def stage(tmp_path):
    town = quarter(tmp_path / "data")
    series = DuckDbStore(tmp_path / "series.duckdb")
    source = FakeSource()
    store = Breaking(series)
    pipeline = Pipeline(source, store, town.registry, Clock(), answer_every_s=0.0)
    yield source, store, town.registry, pipeline
    series.close()
    town.registry.close()


def test_commit_comes_before_acknowledgement_and_the_answer_names_each_seq(stage):
    source, store, _registry, pipeline = stage
    write = store._inner.write
    store._inner.write = lambda entries: (source.order.append("commit"), write(entries))[1]
    pipeline.process([
        arrival(1, [noise(1), noise(2), noise(3, laeq_db="x")]), arrival(2, [noise(9)]),
        arrival(3, [noise(1)], "qw/v1/s1/d2/noise"),
    ])  # fmt: skip
    assert source.order == ["commit", "ack", "ack", "ack", "answer", "answer"]
    assert source.answers["s1", "d1"] == [Stored(stored=((1, 2), (9, 9)), refused=((3, 3),))]
    assert source.answers["s1", "d2"] == [Stored(stored=((1, 1),))]


def test_answers_of_several_batches_go_together_and_at_once_when_nothing_waits(stage):
    source, _, _, pipeline = stage
    pipeline._answer_every_s = 3600.0
    pipeline._answered_at = 1e12
    for n in range(5):
        pipeline.process([arrival(n + 1, [noise(n)])])
    assert source.acked == [1, 2, 3, 4, 5]
    assert source.answers == {}
    stop = threading.Event()
    thread = threading.Thread(target=pipeline.run, args=(stop,))
    thread.start()
    wait_for(lambda: source.answers)
    stop.set()
    thread.join(5)
    assert source.answers == {("s1", "d1"): [Stored(stored=((0, 4),))]}


class Endless(FakeSource):
    """A message every ``every_s`` of a time that stands still otherwise, until ``count`` have come."""

    def __init__(self, every_s=0.0, count=10**9):
        super().__init__()
        self.now, self.every_s, self.count, self.taken = 0.0, every_s, count, 0

    def take(self, timeout_s):
        if self.taken >= self.count:
            self.now += max(0.0, timeout_s)
            return None
        self.taken += 1
        self.now += self.every_s
        return arrival(self.taken, [noise(self.taken)])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (Endless(), range(90, 111)),  # by its size: a hundred readings
        (Endless(every_s=0.03), range(6, 9)),  # by its time: 0.2 s
        (Endless(count=5), range(5, 6)),  # by a pause
    ],
    ids=["size", "time", "pause"],
)
def test_a_batch_ends_by_its_size_its_time_or_a_pause(tmp_path, monkeypatch, source, expected):
    registry = quarter(tmp_path / "data").registry
    pipeline = Pipeline(source, Breaking(None), registry, Clock(), max_readings=100, max_wait_s=0.2)
    monkeypatch.setattr(ingest.pipeline.time, "monotonic", lambda: source.now)
    assert len(pipeline._collect(threading.Event())) in expected
    registry.close()


def test_the_same_batch_twice_changes_nothing_but_the_count_of_copies(stage):
    _source, store, registry, pipeline = stage
    batch = [arrival(1, [noise(n) for n in range(10)]), arrival(2, b"junk")]
    pipeline.process(batch)
    pipeline.process(batch)
    assert store.count("noise") == 10
    with registry.reader() as session:
        assert counts(session) == {"bad_payload": 1, "evicted": 0}


def test_while_the_store_is_away_nothing_is_acknowledged_and_then_everything(stage):
    source, store, _registry, pipeline = stage
    store.away = True
    source.queue = [arrival(n, [noise(n)]) for n in range(1, 6)]
    stop = threading.Event()
    thread = threading.Thread(target=pipeline.run, args=(stop,))
    thread.start()
    wait_for(lambda: pipeline.stats.store_retries >= 2)
    assert source.acked == []
    assert pipeline.stats.waiting_since_s is not None
    store.away = False
    wait_for(lambda: len(source.acked) == 5)
    stop.set()
    thread.join(5)
    assert store.count("noise") == 5
    assert pipeline.stats.waiting_since_s is None


def test_a_registry_that_is_away_holds_up_the_batch_and_loses_nothing(stage, monkeypatch):
    source, store, registry, pipeline = stage
    pipeline.process([arrival(1, [noise(1)])])
    session = registry.session

    def away():
        raise RegistryUnavailable("locked")

    monkeypatch.setattr(registry, "session", away)
    batch = [arrival(2, [noise(2)]), arrival(3, b"junk")]
    with pytest.raises(RegistryUnavailable):
        pipeline.process(batch)
    assert source.acked == [1]
    monkeypatch.setattr(registry, "session", session)
    pipeline.process(batch)
    assert source.acked == [1, 2, 3]
    assert store.count("noise") == 2


def test_one_reading_that_the_store_cannot_digest_never_stops_the_others(stage):
    source, store, registry, pipeline = stage
    store.breaks = lambda reading: reading.seq == 137
    pipeline.process(
        [arrival(1, [noise(n) for n in range(200)]), arrival(2, [noise(n) for n in range(200, 300)])]
    )
    assert store.count("noise") == 299
    assert source.acked == [1, 2]
    assert source.answers["s1", "d1"] == [Stored(stored=((0, 136), (138, 299)), refused=((137, 137),))]
    with registry.reader() as session:
        assert counts(session)["internal_error"] == 1


def test_a_store_that_fails_on_everything_is_away_and_nothing_goes_to_quarantine(stage):
    source, store, registry, pipeline = stage
    store.breaks = lambda reading: True
    with pytest.raises(StoreUnavailable, match="fails on every reading: RuntimeError: cannot digest this"):
        pipeline.process([arrival(1, [noise(n) for n in range(500)])])
    assert store.calls < 60, "a broken store is not asked for each reading"
    assert source.acked == []
    with registry.reader() as session:
        assert counts(session) == {"evicted": 0}


def test_a_lone_poison_message_is_found_out_when_others_arrive(stage):
    source, store, registry, pipeline = stage
    store.breaks = lambda reading: reading.seq == 1
    source.queue = [arrival(1, [noise(1)])]
    stop = threading.Event()
    thread = threading.Thread(target=pipeline.run, args=(stop,))
    thread.start()
    wait_for(lambda: pipeline.stats.store_retries >= 1)
    source.queue += [arrival(n, [noise(n)]) for n in range(2, 5)]
    wait_for(lambda: len(source.acked) == 4)
    stop.set()
    thread.join(5)
    assert store.count("noise") == 3
    with registry.reader() as session:
        assert counts(session) == {"internal_error": 1, "evicted": 0}


def test_what_the_store_rejects_is_quarantined_and_what_it_wants_again_is_tried_again(stage, monkeypatch):
    source, store, registry, pipeline = stage
    answers = [WriteReport(1, retry=[(0, "busy")]), WriteReport(1, rejected=[(1, "field type")])]
    monkeypatch.setattr(store, "write", lambda entries: answers.pop(0))
    batch = [arrival(1, [noise(1), noise(2)])]
    with pytest.raises(StoreUnavailable, match="1 readings were not committed: busy"):
        pipeline.process(batch)
    pipeline.process(batch)
    assert source.answers["s1", "d1"] == [Stored(stored=((1, 1),), refused=((2, 2),))]
    with registry.reader() as session:
        assert counts(session)["refused_by_store"] == 1


def test_a_status_is_recorded_and_one_of_a_stranger_or_too_large_is_told(stage):
    source, _store, registry, pipeline = stage
    good = b'{"state":"online","t":"2026-03-01T12:00:00Z"}'
    pipeline.process([
        arrival(1, good, "qw/v1/s1/d1/status"), arrival(2, good, "qw/v1/s9/d1/status"),
        Arrival("qw/v1/s1/d1/status", b"{", 10 << 20, 3, 1), arrival(4, b"[" * 100_000, "qw/v1/s1/d1/status"),
        arrival(5, good, "qw/v1/s1//status"),
    ])  # fmt: skip
    assert source.acked == [1, 2, 3, 4, 5]
    with registry.reader() as session:
        assert session.get_one(DeviceState, ("s1", "d1")).state == "online"
        assert counts(session) == {"bad_payload": 4, "evicted": 0}


def test_a_device_that_was_just_registered_is_known_within_seconds(stage):
    _source, store, registry, pipeline = stage
    new = [arrival(1, [noise(1)], "qw/v1/s1/new/noise")]
    pipeline.process(new)
    assert store.count("noise") == 0
    with registry.session() as session:
        add_device(session, "s1", "new", kind="noise", label_zh="新", label_en="New", now=NOW)
    pipeline._known._tried_at -= 1.1
    pipeline.process(new)
    assert store.count("noise") == 1


def test_what_was_held_is_replayed_when_asked_and_only_then_leaves_the_quarantine(stage):
    source, store, registry, pipeline = stage
    water = [
        {"seq": n, "t": "2026-03-01T12:00:00Z", "meter": f"new-{n}", "volume_steps": n, "step_ml": 1000}
        for n in (1, 2)
    ]
    pipeline.process([
        arrival(1, [noise(n) for n in range(300)], "qw/v1/s1/new/noise"),
        arrival(2, [noise(999_999)], "qw/v1/s1/new/noise"),
        arrival(3, water, "qw/v1/s1/d1/water"),
    ])  # fmt: skip
    assert ("s1", "new") not in source.answers
    assert replay(registry, store, Clock()) == ReplayResult(still_held=303)
    with registry.session() as session:
        add_device(session, "s1", "new", kind="noise", label_zh="新", label_en="New", now=NOW)
        add_meter(session, "s1", "new-1", device="d1", label_zh="表", label_en="Meter", now=NOW)
        assert replay_if_asked(registry, store, Clock(), threading.Event()) is None
    with registry.session() as session:
        number = ask(session)
    store.away = True
    with pytest.raises(StoreUnavailable):
        replay_if_asked(registry, store, Clock(), threading.Event())
    store.away = False
    expected = ReplayResult(stored=301, refused=1, still_held=1)
    assert replay_if_asked(registry, store, Clock(), threading.Event()) == expected
    assert (store.count("noise"), store.count("water")) == (300, 1)
    with registry.reader() as session:
        assert result_of(session, number) == expected
        assert counts(session) == {"in_future": 1, "unknown_meter": 1, "evicted": 0}
    assert replay(registry, store, Clock()) == ReplayResult(still_held=1)
    assert store.count("noise") == 300


def test_the_command_replay_has_the_running_ingest_store_what_was_held(tmp_path, stage):
    _source, store, registry, pipeline = stage
    pipeline.process([arrival(1, [noise(n) for n in range(7)], "qw/v1/s1/new/noise")])
    folder = str(tmp_path / "data")
    waiting = CliRunner().invoke(replay_command, ["--data", folder, "--wait", "0"])
    assert "no ingest has done it yet" in waiting.output
    with registry.session() as session:
        add_device(session, "s1", "new", kind="noise", label_zh="新", label_en="New", now=NOW)
    stop = threading.Event()
    running = threading.Thread(target=pipeline.run, args=(stop,))
    running.start()
    try:
        done = CliRunner().invoke(replay_command, ["--data", folder])
    finally:
        stop.set()
        running.join(5)
    assert done.exit_code == 0, done.output
    assert store.count("noise", site="s1", source="new") == 7
    with registry.reader() as session:
        assert counts(session) == {"evicted": 0}
    nothing = CliRunner().invoke(replay_command, ["--data", str(tmp_path)])
    assert nothing.exit_code == 1
    assert "there is no registry in" in nothing.output


def test_a_message_that_cannot_be_judged_is_quarantined(stage, monkeypatch):
    source, store, registry, pipeline = stage
    from ingest import batch

    judge = batch.judge

    def breaks(topic, payload, *more):
        if b"trap" in payload:
            raise ZeroDivisionError("a fault of ours")
        return judge(topic, payload, *more)

    monkeypatch.setattr(batch, "judge", breaks)
    pipeline.process([arrival(1, b"trap"), arrival(2, [noise(1)])])
    assert source.acked == [1, 2]
    assert store.count("noise") == 1
    with registry.reader() as session:
        assert counts(session)["internal_error"] == 1


def test_what_an_outage_kept_back_is_counted_as_late(stage):
    _source, _store, _registry, pipeline = stage
    pipeline.process([arrival(1, [noise(3599), noise(3479), noise(0), noise(3598, laeq_db="x")])])
    stats = pipeline.stats
    assert (stats.readings_in, stats.readings_stored, stats.readings_late, stats.quarantined) == (4, 3, 2, 1)


def test_a_clock_that_is_ahead_does_not_hide_how_late_the_others_are(stage):
    _source, _store, _registry, pipeline = stage
    pipeline.process([arrival(1, [noise(0)]), arrival(2, [noise(3_650)])])  # the server's hour is 3,600
    assert pipeline.stats.readings_stored == 2
    assert pipeline.stats.newest_stored == NOW


@pytest.mark.parametrize(
    ("devices", "pause_s"), [(1, 1.0), (1_000, 1.0), (2_000, 2.0), (10_000, 5.0), (100_000, 5.0)]
)
def test_many_devices_are_answered_more_seldom_and_well_before_they_send_again(devices, pause_s):
    assert answer_pause_s(devices, 1.0) == pause_s
