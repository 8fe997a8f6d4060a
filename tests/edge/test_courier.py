import json
import threading
import time
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.clock import SystemClock
from contract.codec import decode_readings
from contract.messages import MAX_PAYLOAD_BYTES, Stored
from contract.seqranges import to_ranges
from edge.courier import MESSAGE_READINGS, Courier, in_messages
from edge.outbox import Outbox, OutboxEntry
from edge.schedule import Schedule
from tests.edge.made import NOW, minute, second, water


class FakeLink:
    """Takes what it is given while it is up and has room."""

    def __init__(self):
        self.connected = True
        self.room = 10**9
        self.sent: list[tuple[str, list[int]]] = []
        self.drops = 0

    def publish(self, kind, payload):
        if self.room <= 0:
            return False
        self.room -= 1
        self.sent.append((kind, [one["seq"] for one in json.loads(payload)]))
        return True

    def drop(self):
        self.drops += 1

    def seqs(self):
        return [seq for _, seqs in self.sent for seq in seqs]


@pytest.fixture
def outbox(tmp_path):
    outbox = Outbox(tmp_path / "o.sqlite", now=NOW)
    yield outbox
    outbox.close()


def _courier(outbox, link, **settings):
    return Courier(outbox, link, SystemClock(), schedule=Schedule(**settings))


def test_a_new_reading_goes_at_once_and_leaves_the_outbox_on_stored_alone(outbox):
    link = FakeLink()
    courier = _courier(outbox, link)
    courier.step(0.0, NOW)
    seq = outbox.append(second())
    courier.step(0.1, NOW)
    assert link.sent == [("noise", [seq])]
    assert outbox.depth() == 1
    courier.step(20.0, NOW)
    assert link.sent == [("noise", [seq])], "it is under way"
    courier.on_stored(Stored(stored=((seq, seq),)))
    courier.step(20.1, NOW)
    assert outbox.depth() == 0


def test_readings_go_together_where_they_are_told_to_wait_for_one_another(outbox):
    link = FakeLink()
    courier = Courier(outbox, link, SystemClock(), send_interval_s=2.0)
    courier.step(0.0, NOW)
    seqs = []
    for n in range(8):
        seqs.append(outbox.append(second(n)))
        courier.step(0.5 + n, NOW)
    assert link.sent == [("noise", seqs[:3]), ("noise", seqs[3:5]), ("noise", seqs[5:7])]


def test_a_reading_without_an_answer_is_sent_again(outbox):
    link = FakeLink()
    courier = _courier(outbox, link, answer_timeout_s=30)
    seq = outbox.append(second())
    courier.step(0.0, NOW)
    for now_s in (10.0, 20.0, 29.0, 31.0, 32.0, 33.0):
        courier.step(now_s, NOW)
    assert link.sent == [("noise", [seq]), ("noise", [seq])]


def test_after_an_outage_the_newest_go_first_and_the_live_ones_before_all(outbox):
    link = FakeLink()
    link.connected = False
    courier = _courier(outbox, link, backlog_per_s=100)
    old = [outbox.append(second(n)) for n in range(1_000)]
    courier.step(0.0, NOW)
    assert link.sent == []
    link.connected = True
    courier.on_connected()
    now_s = 0.0
    live = []
    for tick in range(40):
        now_s += 0.1
        if tick % 10 == 9:
            live.append(outbox.append(second(2_000 + tick)))
        before = len(link.sent)
        courier.step(now_s, NOW)
        if tick % 10 == 9:
            assert link.sent[before] == ("noise", [live[-1]])
    backlog = [seq for seq in link.seqs() if seq in set(old)]
    assert 300 <= len(backlog) <= 400, "at its rate"
    assert min(backlog) == old[1_000 - len(backlog)]
    firsts = [seqs[0] for _, seqs in link.sent if seqs[0] in set(old)]
    assert firsts == sorted(firsts, reverse=True)


def test_the_whole_backlog_goes_once_when_the_server_answers(outbox):
    link = FakeLink()
    courier = _courier(outbox, link, backlog_per_s=500, window=200)
    seqs = [outbox.append(second(n)) for n in range(900)] + [outbox.append(water(n)) for n in range(50)]
    courier.on_connected()
    now_s, told = 0.0, 0
    while outbox.depth() and now_s < 60:
        now_s += 0.1
        courier.step(now_s, NOW)
        for _, part in link.sent[told:]:
            courier.on_stored(Stored(stored=to_ranges(part)))
        told = len(link.sent)
    assert sorted(link.seqs()) == seqs


def test_a_full_link_loses_nothing_and_the_live_ones_go_when_there_is_room(outbox):
    link = FakeLink()
    courier = _courier(outbox, link)
    link.room = 0
    seqs = [outbox.append(second(0)), outbox.append(water(0)), outbox.append(minute(0))]
    courier.step(0.0, NOW)
    link.room = 1
    courier.step(0.1, NOW)
    link.room = 99
    courier.step(0.2, NOW)
    assert sorted(link.seqs()) == seqs


def test_a_server_that_holds_back_one_meter_gets_the_rest_and_is_not_sent_that_meter_for_ever(outbox):
    link = FakeLink()
    courier = _courier(outbox, link)
    courier.on_connected()
    unknown = {outbox.append(water(n, "unknown")) for n in range(20)}
    now_s, told, known = 0.0, 0, 0
    for n in range(36_000):
        now_s += 0.1
        if n % 600 == 0:
            outbox.append(water(n))
            known += 1
        courier.step(now_s, NOW)
        for _, part in link.sent[told:]:
            stored = [seq for seq in part if seq not in unknown]
            if stored:
                courier.on_stored(Stored(stored=to_ranges(stored)))
        told = len(link.sent)
    assert outbox.depth() == 20
    assert len(link.seqs()) - known <= 20 * 12


def test_a_silent_server_gets_new_connections_ever_more_rarely(outbox):
    link = FakeLink()
    courier = _courier(outbox, link)
    courier.on_connected()
    outbox.append(second())
    now_s, connected_again = 0.0, 0
    for _ in range(36_000):
        now_s += 0.1
        courier.step(now_s, NOW)
        if link.drops > connected_again:
            connected_again = link.drops
            courier.on_connected()
    assert 3 <= link.drops <= 8


def test_refused_readings_leave_the_outbox_and_are_told_once_an_hour(outbox):
    link = FakeLink()
    courier = _courier(outbox, link)
    courier._committed_at = 0.0
    now_s, told = 0.0, 0
    for n in range(7_300 * 10):
        now_s += 0.1
        if n % 100 == 0:
            outbox.append(second(n))
        courier.step(now_s, NOW)
        for _, part in link.sent[told:]:
            courier.on_stored(Stored(refused=to_ranges(part)))
        told = len(link.sent)
    events = [seqs for kind, seqs in link.sent if kind == "event"]
    assert len(events) == 3
    assert outbox.depth() <= 1


def test_the_outbox_is_committed_at_its_interval_even_when_nothing_can_be_sent(outbox, tmp_path):
    link = FakeLink()
    link.room = 0
    courier = Courier(outbox, link, SystemClock(), commit_interval_s=5.0)
    courier._committed_at = 0.0
    outbox.append(second())
    courier.step(4.9, NOW)
    assert outbox._file.rows == 0
    courier.step(5.0, NOW)
    assert outbox._file.rows == 1


def test_damage_found_while_sending_replaces_the_outbox_and_sending_goes_on(outbox, monkeypatch):
    import sqlite3

    link = FakeLink()
    courier = _courier(outbox, link)
    courier.on_connected()
    outbox.append(second())
    outbox.commit(NOW)

    def damaged(*_):
        raise sqlite3.DatabaseError("database disk image is malformed")

    monkeypatch.setattr(outbox._file, "below", damaged)
    courier.step(0.0, NOW)
    courier.step(1.0, NOW)
    monkeypatch.undo()
    new = outbox.append(second(1))
    for now_s in (2.0, 3.0):
        courier.step(now_s, NOW)
    assert new in link.seqs()
    assert "event" in {kind for kind, _ in link.sent}


def test_run_is_woken_by_a_reading_does_not_spin_and_commits_at_its_end(outbox, monkeypatch):
    monkeypatch.setattr("edge.courier._TICK_S", 60.0)  # who waits for a turn is seen below
    link = FakeLink()
    courier = _courier(outbox, link)
    stop = threading.Event()
    steps = []
    step = courier.step
    courier.step = lambda *arguments: (steps.append(time.monotonic()), step(*arguments))[1]
    thread = threading.Thread(target=courier.run, args=(stop,))
    thread.start()
    for n in range(20):
        began = time.monotonic()
        seq = outbox.append(second(n))
        while seq not in link.seqs():
            assert time.monotonic() - began < 50, "waited for the turn"
            time.sleep(0.0005)
    link.connected = False
    outbox.append(second(99))
    began, before = time.monotonic(), len(steps)
    while time.monotonic() - began < 0.35:
        time.sleep(0.01)
    assert len(steps) - before <= 6, "no busy loop while the link is down"
    stop.set()
    thread.join(60)
    assert outbox._file.rows == 21


entries = st.lists(
    st.tuples(st.sampled_from(["noise", "spectrum", "water", "event"]), st.integers(10, 3_000)), max_size=700
).map(lambda rows: [OutboxEntry(n, kind, 0, b"x" * size) for n, (kind, size) in enumerate(rows)])


@settings(deadline=None, max_examples=50)
@given(entries)
def test_messages_hold_every_entry_once_are_of_one_kind_and_never_too_large(some):
    messages = in_messages(some)
    assert sorted(entry.seq for _, group in messages for entry in group) == [entry.seq for entry in some]
    for kind, group in messages:
        assert {entry.kind for entry in group} == {kind}
        assert len(group) <= MESSAGE_READINGS
        assert sum(len(entry.payload) + 1 for entry in group) + 1 <= MAX_PAYLOAD_BYTES


def test_what_is_sent_decodes(outbox):
    sent = []
    link = FakeLink()
    link.publish = lambda kind, payload: sent.append((kind, payload)) or True
    courier = _courier(outbox, link)
    for n in range(3):
        outbox.append(second(n))
    courier.step(0.0, NOW)
    ((kind, payload),) = sent
    assert [one.t for one in decode_readings(kind, payload).readings] == [
        NOW + timedelta(seconds=n) for n in range(3)
    ]
