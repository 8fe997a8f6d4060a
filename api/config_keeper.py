"""Keeps each device's retained ``config`` topic as the registry wants it, and moves the rollouts on.

It listens to these topics itself, so it knows what the broker holds: what differs is published, and its own message
coming back is the proof. Several of these at one broker do no harm: they want the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from analysis.fleet.rounds import rollout_round
from api.mqtt_link import MqttLink, Pace, brokers_of
from contract.clock import Clock
from contract.tls import TlsFiles
from contract.topics import Topic, kind_filter, parse
from store.registry.configurations import wanted_payloads
from store.registry.database import Registry
from store.series.interface import SeriesStore

log = structlog.get_logger(__name__)

_PACE: Final = Pace(keepalive_s=20, backoff_s=0.5, backoff_most_s=30.0, steady_s=10.0, idle_s=0.5)
_ROUND_S: Final = 5.0
_SETTLE_S: Final = 2.0
"""After the subscription the broker tells what it holds; nothing is published before."""
_AGAIN_S: Final = 15.0
"""What has not come back by then is published again."""
_MOST_AT_ONCE: Final = 200

_Name = tuple[str, str]


class ConfigKeeper(MqttLink):
    """``url`` is the broker's address (of a cluster's nodes the first is used). ``round_s`` is the pause of rounds."""

    def __init__(
        self, url: str, series: SeriesStore, registry: Registry, clock: Clock, *,
        username: str | None = None, password: str | None = None, tls_files: TlsFiles | None = None,
        round_s: float = _ROUND_S, monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        broker = brokers_of(url, username, password, tls_files or TlsFiles())[0]
        super().__init__("api-config", broker, [(kind_filter("config"), 1)], _PACE)
        self._series = series
        self._registry = registry
        self._clock = clock
        self._round_s = round_s
        self._monotonic = monotonic
        self._wanted: Mapping[_Name, bytes] = {}
        self._held: dict[_Name, bytes] = {}
        self._sent: dict[_Name, tuple[bytes, float]] = {}
        self._due_s = 0.0
        self._failing: set[str] = set()

    def _begin(self) -> None:
        self._held, self._sent = {}, {}

    def _on_ready(self) -> None:
        self._due_s = self._monotonic() + min(_SETTLE_S, self._round_s)

    def _on_message(self, topic: str, payload: bytes) -> None:
        name = parse(topic)
        self._held[name.site, name.device] = payload

    def _work(self) -> bool:
        now_s = self._monotonic()
        if now_s < self._due_s:
            return False
        self._due_s = now_s + self._round_s
        self._tried("rollouts could not be moved on", self._move_rollouts)
        if self._tried("the devices' configurations could not be looked at", self._look_what_is_wanted):
            self._publish_what_differs(now_s)
        return False

    def _tried(self, words: str, work: Callable[[], None]) -> bool:
        """Do it, or tell once that it failed: a store that is away now answers in a later round; the link stays."""
        try:
            work()
        except Exception:
            if words not in self._failing:
                log.exception(words)
            self._failing.add(words)
            return False
        self._failing.discard(words)
        return True

    def _move_rollouts(self) -> None:
        for told in rollout_round(self._series, self._registry, self._clock.now()):
            log.info(told)

    def _look_what_is_wanted(self) -> None:
        with self._registry.reader() as session:
            self._wanted = wanted_payloads(session)

    def _publish_what_differs(self, now_s: float) -> None:
        due = to_publish(self._wanted, self._held, self._sent, now_s)
        for (site, device), payload in due.items():
            self._publish(str(Topic(site, device, "config")), payload, retain=True)
            self._sent[site, device] = (payload, now_s)
        if len(due) == _MOST_AT_ONCE:
            self._due_s = now_s + self._pace.idle_s


def to_publish(
    wanted: Mapping[_Name, bytes], held: Mapping[_Name, bytes], sent: Mapping[_Name, tuple[bytes, float]],
    now_s: float, *, most: int = _MOST_AT_ONCE,
) -> dict[_Name, bytes]:  # fmt: skip
    """Return what the broker holds otherwise than wanted, but for what is under way; ``most`` at once. Pure."""
    due: dict[_Name, bytes] = {}
    for name, payload in wanted.items():
        under_way = sent.get(name)
        waits = under_way is not None and under_way[0] == payload and now_s - under_way[1] < _AGAIN_S
        if held.get(name) != payload and not waits:
            due[name] = payload
            if len(due) == most:
                break
    return due
