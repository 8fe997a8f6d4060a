import random
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.codec import encode, encode_array
from ingest.validate import EARLIEST, FUTURE_TOLERANCE, LATE_AFTER, judge
from store.registry.known import Known
from tests.contract import strategies as some
from tests.edge.made import event, second, water
from tests.ingest.mutate import mutated

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KNOWN = Known(frozenset({("s1", "d1")}), {("s1", "m1"): "d1", ("s1", "m2"): "d2"})


def _judge(kind, *readings, topic=None, known=KNOWN, now=NOW):
    payload = encode_array([encode(one) for one in readings])
    return judge(topic or f"qw/v1/s1/d1/{kind}", payload, len(payload), now, known)


def _at(reading, t):
    return msgspec.structs.replace(reading, t=t, seq=7)


@pytest.mark.parametrize(
    ("t", "code", "flags"),
    [
        (NOW, None, ()),
        (NOW + FUTURE_TOLERANCE, None, ()),
        (NOW + FUTURE_TOLERANCE + timedelta(seconds=1), "in_future", ()),
        (NOW - LATE_AFTER, None, ()),
        (NOW - LATE_AFTER - timedelta(seconds=1), None, ("late",)),
        (EARLIEST, None, ("late",)),
        (EARLIEST - timedelta(seconds=1), "too_old", ()),
        (datetime(1970, 1, 1, tzinfo=UTC), "too_old", ()),
        (datetime(2100, 1, 1, tzinfo=UTC), "in_future", ()),
    ],
)
def test_the_future_is_refused_and_the_far_past_is_flagged(t, code, flags):
    judged = _judge("noise", _at(second(), t))
    if code is None:
        assert [entry.reading.flags for entry in judged.entries] == [flags]
        assert judged.rejected == []
    else:
        assert judged.entries == []
        assert [one.code for one in judged.rejected] == [code]
        assert judged.refused == [7]


def test_a_late_event_is_stored_as_it_is():
    judged = _judge("event", _at(event(), EARLIEST))
    assert len(judged.entries) == 1


def test_a_meter_of_another_device_is_held_and_its_neighbours_are_stored():
    readings = [_at(water(meter=meter), NOW) for meter in ("m1", "m2", "m3")]
    judged = _judge("water", *readings)
    assert [entry.reading.meter for entry in judged.entries] == ["m1"]
    assert [one.code for one in judged.rejected] == ["unknown_meter"] * 2
    assert judged.refused == [], "the device keeps them"
    assert judged.has_unknown


def test_an_unknown_device_is_held_reading_by_reading_and_not_answered():
    judged = _judge(
        "noise", _at(second(), NOW), _at(second(1), NOW + timedelta(seconds=1)), topic="qw/v1/s1/d9/noise"
    )
    assert [one.code for one in judged.rejected] == ["unknown_device"] * 2
    assert judged.entries == judged.refused == []
    payload = b"[" + judged.rejected[0].payload + b"]"
    again = judge("qw/v1/s1/d9/noise", payload, len(payload), NOW, KNOWN)
    assert again.rejected[0].sha256 == judged.rejected[0].sha256, "a copy in another message is known as one"


def test_the_server_topics_are_no_readings():
    for kind in ("stored", "config", "status"):
        assert judge(f"qw/v1/s1/d1/{kind}", b"{}", 2, NOW, KNOWN).rejected[0].code == "bad_topic"


@settings(max_examples=300)
@given(st.text(max_size=80), st.binary(max_size=300), st.integers(0, 2**40))
def test_nothing_makes_it_raise(topic, payload, more):
    judged = judge(topic, payload, len(payload) + more, NOW, KNOWN)
    assert judged.rejected or judged.entries


@settings(max_examples=200)
@given(st.lists(some.readings, min_size=1, max_size=4))
def test_every_reading_is_stored_held_or_refused(tagged):
    kind = tagged[0][0]
    readings = [one for its_kind, one in tagged if its_kind == kind]
    judged = _judge(kind, *readings)
    assert len(judged.entries) + len(judged.rejected) == len(readings)
    held = sum(one.code.startswith("unknown") for one in judged.rejected)
    assert len(judged.refused) + held == len(judged.rejected)


def test_twenty_thousand_mutated_messages_are_judged_and_none_raises():
    chance = random.Random(20260301)
    outcomes = {"stored": 0, "rejected": 0}
    for topic, payload in mutated(chance, 20_000):
        judged = judge(topic, payload, len(payload), NOW, KNOWN)
        assert judged.entries or judged.rejected
        outcomes["stored" if judged.entries else "rejected"] += 1
        assert all(isinstance(one.reason, str) and one.reason for one in judged.rejected)
    assert min(outcomes.values()) > 1_000, outcomes


def test_big_numbers_in_an_event_of_the_future_can_be_told():
    payload = b'[{"seq":1,"t":"2099-01-01T00:00:00Z","kind":"a","detail":{"n":%s}}]' % (b"9" * 400)
    judged = judge("qw/v1/s1/d1/event", payload, len(payload), NOW, KNOWN)
    assert [one.code for one in judged.rejected] == ["in_future"]
