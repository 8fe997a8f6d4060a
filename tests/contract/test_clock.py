from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.clock import CatchUpClock, SystemClock, catch_up

WALL = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Wall:
    def __init__(self):
        self.seconds = WALL.timestamp()

    def __call__(self):
        return self.seconds


def _clock(wall, behind, factor):
    return CatchUpClock(WALL - behind, WALL, factor, wall)


@given(
    st.floats(1, 100_000),
    st.timedeltas(timedelta(0), timedelta(days=60)),
    st.lists(st.floats(0, 1e5), max_size=20),
)
def test_the_clock_never_goes_back_and_never_leads_the_wall(factor, behind, steps):
    wall = Wall()
    clock = _clock(wall, behind, factor)
    assert abs(clock.now() - (WALL - behind)) <= timedelta(milliseconds=1)
    before = clock.now()
    for step in steps:
        wall.seconds += step
        now = clock.now()
        assert before <= now <= datetime.fromtimestamp(wall.seconds, UTC)
        before = now


def test_a_day_passes_in_24_minutes_at_speed_60_and_then_time_goes_on_as_on_the_wall():
    wall = Wall()
    clock = _clock(wall, timedelta(days=1), 60.0)
    assert clock.speed == 60.0
    wall.seconds += 60
    assert clock.now() == WALL - timedelta(days=1) + timedelta(hours=1)
    wall.seconds += 86_400 / 59
    assert clock.speed == 1.0
    assert clock.now() == datetime.fromtimestamp(wall.seconds, UTC)


def test_a_clock_that_could_not_catch_up_is_refused():
    with pytest.raises(ValueError, match=r"at least as fast as the wall, not 0\.5"):
        catch_up(WALL, timedelta(days=1), 0.5)
    with pytest.raises(ValueError, match="not nan"):
        catch_up(WALL, timedelta(days=1), float("nan"))


def test_the_system_clock_is_utc():
    before = datetime.now(UTC)
    assert before <= SystemClock().now() <= datetime.now(UTC)
    assert SystemClock().now().utcoffset() == timedelta(0)
