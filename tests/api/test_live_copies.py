"""Live push from the nodes of a cluster: each message once, whichever node brings it first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from api.live_mqtt import Copies


class Time:
    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def test_a_copy_is_known_for_a_while_and_no_longer() -> None:
    time = Time()
    copies = Copies(2.0, time)
    assert not copies.has("a", b"1") and copies.has("a", b"1")
    assert not copies.has("b", b"1") and not copies.has("a", b"2")
    time.s = 1.9
    assert copies.has("a", b"1")
    time.s = 10.0
    assert not copies.has("a", b"1"), "an offline that comes again is news"


@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.sampled_from("ab")), max_size=60))
def test_what_came_within_the_time_is_always_known(steps: list[tuple[float, str]]) -> None:
    time, last = Time(), {}
    copies = Copies(2.0, time)
    for step, topic in steps:
        time.s += step
        known = copies.has(topic, b"x")
        if topic in last and time.s - last[topic] <= 2.0:
            assert known
        elif topic not in last or time.s - last[topic] > 6.0:
            assert not known
        last[topic] = time.s if not known else last[topic]
