from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.messages import WaterReading
from edge.water.plausibility import judge

T0 = datetime(2026, 5, 1, tzinfo=UTC)


def reading(minutes=0.0, steps=1000, **more):
    more.setdefault("step_ml", 1000)
    return WaterReading(seq=0, t=T0 + timedelta(minutes=minutes), meter="m", volume_steps=steps, **more)


def after(first, second, q4=None, synced=True):
    return judge(judge(None, first, q4, synced).seen, second, q4, synced)


def test_the_first_reading_is_taken_as_it_is():
    judged = judge(None, reading(flags=("leak",)), 3.125, True)
    assert judged.reading.flags == ("leak",)
    assert not judged.replaced


def test_backwards_is_flagged_and_not_altered():
    judged = after(reading(), reading(1, 999))
    assert judged.reading.flags == ("went_backwards",)
    assert judged.reading.volume_steps == 999


@pytest.mark.parametrize(
    ("gain_l", "minutes", "flags"),
    [
        (52, 1, ()),
        (53, 1, ()),
        (54, 1, ("too_fast",)),
        (1, 0, ()),
        (2, 0, ("too_fast",)),
        (3125, 60, ()),
        (3127, 60, ("too_fast",)),
    ],
)
def test_faster_than_q4(gain_l, minutes, flags):
    """3.125 m3/h are 52.08 L a minute; the register's step may add one more litre."""
    assert after(reading(), reading(minutes, 1000 + gain_l), q4=3.125).reading.flags == flags


def test_without_q4_nothing_is_too_fast():
    assert after(reading(), reading(1, 10**9)).reading.flags == ()


def test_another_serial_number_is_another_meter():
    judged = after(reading(serial="1"), reading(1, 3, serial="2"), q4=1.0)
    assert judged.reading.flags == ("meter_replaced",)
    assert judged.replaced


def test_a_missing_serial_number_is_no_change_and_the_known_one_is_kept():
    first = judge(None, reading(serial="1"), None, True)
    second = judge(first.seen, reading(1), None, True)
    assert second.reading.flags == ()
    assert judge(second.seen, reading(2, serial="2"), None, True).replaced


def test_a_reader_that_knows_of_the_change_says_so():
    judged = after(reading(), reading(1, 3, flags=("meter_replaced",)), q4=1.0)
    assert judged.reading.flags == ("meter_replaced",)
    assert judged.replaced


def test_a_clock_that_stands_still():
    seen = judge(None, reading(0, meter_time="2026-05-01T08:00:00"), None, True).seen
    for minutes, flags in ((5, ()), (9, ()), (10, ("clock_frozen",)), (30, ("clock_frozen",))):
        judged = judge(seen, reading(minutes, meter_time="2026-05-01T08:00:00"), None, True)
        assert judged.reading.flags == flags
        seen = judged.seen
    judged = judge(seen, reading(31, meter_time="2026-05-01T08:31:00"), None, True)
    assert judged.reading.flags == ()


@pytest.mark.parametrize(("synced", "flags"), [(True, ()), (None, ()), (False, ("clock_unsynced",))])
def test_our_own_clock(synced, flags):
    assert judge(None, reading(), None, synced).reading.flags == flags


def test_tampering_begins_once():
    first = judge(None, reading(flags=("tamper",)), None, True)
    assert first.tamper_begins
    assert not judge(first.seen, reading(1, flags=("tamper",)), None, True).tamper_begins
    gone = judge(first.seen, reading(2), None, True)
    assert judge(gone.seen, reading(3, flags=("tamper",)), None, True).tamper_begins


@given(
    steps=st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=20),
    gaps=st.lists(st.floats(0, 1e5), min_size=20, max_size=20),
    q4=st.one_of(st.none(), st.floats(0.1, 100)),
)
def test_no_volume_time_or_serial_is_ever_altered(steps, gaps, q4):
    seen, minutes = None, 0.0
    for value, gap in zip(steps, gaps, strict=False):
        minutes += gap
        given_one = reading(minutes, value, serial=str(value % 3))
        judged = judge(seen, given_one, q4, True)
        assert (judged.reading.volume_steps, judged.reading.t, judged.reading.serial) == (
            given_one.volume_steps, given_one.t, given_one.serial,
        )  # fmt: skip
        seen = judged.seen
