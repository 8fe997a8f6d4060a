"""Answers that are kept for a moment: computed once, never older than a change, and nothing left of a failure."""

from __future__ import annotations

import pytest

from api.cache import TimedCache


def test_a_value_is_computed_once_until_it_is_old() -> None:
    now = [0.0]
    cache: TimedCache[int] = TimedCache(10.0, monotonic=lambda: now[0])
    values = iter(range(9))
    assert [cache.get("a", lambda: next(values)) for _ in range(3)] == [0, 0, 0]
    now[0] = 10.5
    assert cache.get("a", lambda: next(values)) == 1
    cache.clear()
    assert cache.get("a", lambda: next(values)) == 2


def test_what_was_computed_from_before_a_change_is_not_kept() -> None:
    cache: TimedCache[str] = TimedCache(10.0)

    def while_it_changes() -> str:
        cache.clear()
        return "before"

    assert cache.get("a", while_it_changes) == "before"
    assert cache.get("a", lambda: "after") == "after"


def test_the_least_new_go_and_a_failure_leaves_nothing() -> None:
    cache: TimedCache[int] = TimedCache(10.0, most=2)

    def fail() -> int:
        raise LookupError("gone")

    for n in range(3):
        assert cache.get(n, lambda n=n: n) == n
        with pytest.raises(LookupError):
            cache.get(f"bad {n}", fail)
    assert cache.get(2, fail) == 2
    with pytest.raises(LookupError):
        cache.get(0, fail)
    assert not cache._busy
