import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from store.registry.database import Registry
from store.registry.models import QuarantinedMessage
from store.registry.quarantine import MAX_JUNK_BYTES, Rejected, counts, held_after, hold, newest, release

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def registry(tmp_path):
    registry = Registry.in_folder(tmp_path)
    yield registry
    registry.close()


def _bad(text: str, code: str = "bad_reading") -> Rejected:
    return Rejected("qw/v1/s1/d1/noise", code, f"reason of {text}", text.encode(), len(text))


def test_identical_messages_count_up_within_and_across_batches(registry):
    for minute in range(3):
        with registry.session() as session:
            hold(session, [_bad("a"), _bad("b"), _bad("a")], NOW + timedelta(minutes=minute))
    with registry.reader() as session:
        rows = {row.payload: row for row in newest(session)}
        assert {payload: row.times for payload, row in rows.items()} == {b"a": 6, b"b": 3}
        assert rows[b"a"].first_at == NOW
        assert rows[b"a"].last_at == NOW + timedelta(minutes=2)


def test_the_same_payload_on_another_topic_or_for_another_reason_is_another_row(registry):
    one = _bad("a")
    others = [Rejected("qw/v1/s1/d2/noise", one.code, "r", one.payload, 1), _bad("a", "in_future")]
    longer = Rejected(one.topic, one.code, "cut off", one.payload, 10_000_000)
    with registry.session() as session:
        hold(session, [one, *others, longer], NOW)
    with registry.reader() as session:
        assert counts(session) == {"bad_reading": 3, "in_future": 1, "evicted": 0}


def test_the_oldest_rejected_rows_go_and_are_counted_and_held_ones_stay(registry):
    with registry.session() as session:
        hold(session, [_bad(f"held {n}", "unknown_device") for n in range(20)], NOW)
    for n in range(50):
        with registry.session() as session:
            hold(session, [_bad(f"{n:03}")], NOW, max_rows=10, max_held_rows=15, slack_rows=1)
    with registry.reader() as session:
        assert counts(session) == {"bad_reading": 10, "unknown_device": 15, "evicted": 40 + 5}
        assert [row.payload for row in newest(session, limit=10)] == [b"%03d" % n for n in range(49, 39, -1)]
        assert held_after(session, 0, 1)[0].payload == b"held 5"


def test_a_flood_stays_within_the_bound_and_is_fast(registry):
    began = datetime.now(UTC)
    for batch in range(30):
        with registry.session() as session:
            hold(session, [_bad(f"{batch}-{n}") for n in range(500)], NOW)
    with registry.reader() as session:
        rows = session.scalar(select(func.count()).select_from(QuarantinedMessage))
        assert rows <= 10_200
        assert counts(session)["evicted"] == 15_000 - rows
    assert (datetime.now(UTC) - began).total_seconds() < 10


def test_of_a_large_message_the_beginning_is_kept_and_its_size_noted(registry):
    with registry.session() as session:
        hold(session, [Rejected("t", "bad_payload", "r", b"x" * 100_000, 10_000_000)], NOW)
    with registry.reader() as session:
        (row,) = newest(session)
        assert (len(row.payload), row.size_bytes) == (MAX_JUNK_BYTES, 10_000_000)


@settings(max_examples=100, deadline=None)
@given(topic=st.text(max_size=300), reason=st.text(max_size=900), payload=st.binary(max_size=300))
def test_any_text_and_bytes_can_be_held(tmp_path_factory, topic, reason, payload):
    registry = _shared(tmp_path_factory)
    with registry.session() as session:
        hold(session, [Rejected(topic, "bad_topic", reason, payload, len(payload))], NOW)
        row = newest(session, limit=1)[0]
        assert len(row.topic) <= 200
        assert "\0" not in row.topic + row.reason


_SHARED: list[Registry] = []


def _shared(factory) -> Registry:
    if not _SHARED:
        _SHARED.append(Registry.in_folder(factory.mktemp("shared")))
    return _SHARED[0]


def test_lone_surrogates_can_be_held(registry):
    with registry.session() as session:
        hold(session, [Rejected("a\udcff", "bad_topic", "b\ud800", b"", 0)], NOW)
    with registry.reader() as session:
        assert newest(session)[0].topic == "a?"


def test_pages_and_release(registry):
    with registry.session() as session:
        hold(session, [_bad(str(n), "unknown_meter") for n in range(7)], NOW)
        hold(session, [_bad("other")], NOW)
    seen, after = [], 0
    with registry.session() as session:
        while rows := held_after(session, after, 3):
            seen += [row.payload for row in rows]
            after = rows[-1].id
        assert seen == [str(n).encode() for n in range(7)]
        release(session, [row.id for row in held_after(session, 0, 5)])
        assert counts(session) == {"unknown_meter": 2, "bad_reading": 1, "evicted": 0}
        first, second = newest(session, limit=2)
        assert newest(session, before_id=second.id)[0].id < second.id < first.id


def test_any_order_of_copies_gives_one_count(registry):
    chance = random.Random(3)
    sent = [f"m{chance.randrange(20)}" for _ in range(400)]
    at = 0
    while at < len(sent):
        step = chance.randint(1, 40)
        with registry.session() as session:
            hold(session, [_bad(text) for text in sent[at : at + step]], NOW)
        at += step
    with registry.reader() as session:
        assert {row.payload.decode(): row.times for row in newest(session)} == {
            text: sent.count(text) for text in set(sent)
        }
