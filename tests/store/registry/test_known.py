from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from contract.clock import SystemClock
from contract.codec import encode, encode_array
from contract.messages import NoiseSecond
from store.registry.database import Registry, RegistryUnavailable
from store.registry.known import KnownDevices
from store.registry.provisioning import add_device, add_site

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class _Registry(Registry):
    """A real registry that can be made to look locked."""

    away = False

    @contextmanager
    def reader(self) -> Iterator[object]:  # type: ignore[override]
        if self.away:
            raise RegistryUnavailable("database is locked")
        with super().reader() as session:
            yield session


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[_Registry]:
    registry = _Registry(f"sqlite:///{tmp_path / 'r.sqlite'}")
    with registry.session() as session:
        add_site(session, "s1", label_zh="一", label_en="One", now=NOW)
        add_device(session, "s1", "d1", kind="noise", label_zh="一", label_en="One", now=NOW)
    yield registry
    registry.close()


def test_what_was_known_outlives_a_registry_that_is_away(registry: _Registry) -> None:
    now = [0.0]
    known = KnownDevices(registry, max_age_s=2.0, monotonic=lambda: now[0])
    registry.away = True
    with pytest.raises(RegistryUnavailable):
        known.current()
    registry.away, now[0] = False, 3.0
    assert known.current().devices == {("s1", "d1")}
    registry.away, now[0] = True, 6.0
    assert known.current().devices == {("s1", "d1")}
    with registry.session() as session:
        add_device(session, "s1", "d2", kind="noise", label_zh="二", label_en="Two", now=NOW)
    registry.away, now[0] = False, 7.5
    assert ("s1", "d2") not in known.current().devices, "the copy is young enough"
    assert ("s1", "d2") in known.after_unknown().devices, "something unknown showed up: ask at once"


def test_live_push_goes_on_while_the_registry_is_away(registry: _Registry) -> None:
    from api.live_feed import LiveFeed
    from api.live_hub import LiveHub

    class Hub(LiveHub):
        levels = 0

        def offer_levels(self, levels: object) -> None:  # type: ignore[override]
            self.levels += 1

    def second() -> bytes:
        t = datetime.now(UTC).replace(microsecond=0)
        one = NoiseSecond(seq=1, t=t, laeq_db=50.0, lafmax_db=51.0, lafmin_db=49.0, laf_db=50.0)
        return encode_array([encode(one)])

    hub = Hub()
    feed = LiveFeed(hub, registry, SystemClock())
    registry.away = True
    feed.accept("qw/v1/s1/d1/noise", second())
    assert (hub.levels, feed.dropped["unknown"]) == (0, 1)
    registry.away = False
    feed._known._tried_at = float("-inf")
    feed.accept("qw/v1/s1/d1/noise", second())
    assert hub.levels == 1
    registry.away = True
    feed._known._tried_at = float("-inf")
    feed._last.clear()
    feed.accept("qw/v1/s1/d1/noise", second())
    assert hub.levels == 2
