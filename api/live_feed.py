"""From messages of devices to what is live: decode, keep what is known and new, drop the rest and count it.

A device that comes back after an outage sends its backlog; its old seconds are stored by ingest and are not live.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

from api.live_hub import LiveHub, LiveLevel, LiveWater
from contract.clock import Clock
from contract.codec import decode_readings, decode_status
from contract.flags import NOISE_EXCLUDED, NoiseFlag, parse
from contract.messages import EdgeEvent, NoiseSecond, WaterReading
from contract.topics import Topic
from contract.topics import parse as parse_topic
from store.registry.database import Registry, RegistryUnavailable
from store.registry.known import KnownDevices

LIVE_FOR_S: Final = 10.0
"""A second older than this, by the clock of the data and times its speed, is not live."""
_AHEAD_S: Final = 2.0
_KNOWN_FOR_S: Final = 2.0

Drop = Literal["unknown", "old", "repeated", "future"]


def judge(t: datetime, last: datetime | None, now: datetime, speed: float) -> Drop | None:
    """Return why a reading of the instant ``t`` is not live, or ``None`` where it is. Pure."""
    if t - now > timedelta(seconds=_AHEAD_S * max(1.0, speed)):
        return "future"
    if now - t > timedelta(seconds=1.0 + LIVE_FOR_S * max(1.0, speed)):
        return "old"
    if last is not None and t <= last:
        return "repeated"
    return None


class LiveFeed:
    """Takes messages as they arrive and offers what is live to the hub. One thread calls it."""

    def __init__(self, hub: LiveHub, registry: Registry, clock: Clock) -> None:
        self._hub = hub
        self._known = KnownDevices(registry, max_age_s=_KNOWN_FOR_S)
        self._clock = clock
        self._last: dict[tuple[str, str], datetime] = {}
        self._last_water: dict[tuple[str, str], datetime] = {}
        self._state: dict[tuple[str, str], str] = {}
        self.dropped: Counter[str] = Counter()

    def accept(self, topic_name: str, payload: bytes) -> None:
        """Take one message. Whatever is wrong with it is counted: ingest tells and keeps it."""
        try:
            topic = parse_topic(topic_name)
        except ValueError:
            self.dropped["topic"] += 1
            return
        try:
            known = self._known.current()
        except (
            RegistryUnavailable
        ):  # it never answered yet; what is stored meanwhile is seen by loading the page
            self.dropped["unknown"] += 1
            return
        if (topic.site, topic.device) not in known.devices:
            self.dropped["unknown"] += 1
            return
        if topic.kind == "status":
            self._on_status(topic, payload)
        elif topic.kind in ("noise", "water", "event"):
            decoded = decode_readings(topic.kind, payload)
            self.dropped["undecodable"] += len(decoded.bad)
            self._on_noise(topic, [one for one in decoded.readings if isinstance(one, NoiseSecond)])
            self._on_water(
                topic, [one for one in decoded.readings if isinstance(one, WaterReading)], known.meters
            )
            self._on_events(topic, [one for one in decoded.readings if isinstance(one, EdgeEvent)])

    def _on_noise(self, topic: Topic, seconds: list[NoiseSecond]) -> None:
        if not seconds:
            return
        newest = max(seconds, key=lambda one: one.t)
        key = (topic.site, topic.device)
        if self._drop(newest.t, self._last.get(key)):
            return
        self._last[key] = newest.t
        self._hub.offer_levels([_level(topic, newest)])

    def _on_water(
        self, topic: Topic, readings: Iterable[WaterReading], meters: Mapping[tuple[str, str], str]
    ) -> None:
        newest: dict[str, WaterReading] = {}
        for one in readings:
            if one.meter not in newest or one.t > newest[one.meter].t:
                newest[one.meter] = one
        live: list[LiveWater] = []
        for one in newest.values():
            key = (topic.site, one.meter)
            if meters.get(key) != topic.device:
                self.dropped["unknown"] += 1
            elif not self._drop(one.t, self._last_water.get(key)):
                self._last_water[key] = one.t
                live.append(_water(topic, one))
        if live:
            self._hub.offer_water(live)

    def _on_events(self, topic: Topic, events: Iterable[EdgeEvent]) -> None:
        for one in events:
            if not self._drop(one.t, None):
                body = {"t": one.t, "kind": one.kind, "meter": one.meter, "detail": one.detail}
                self._hub.publish_event(topic.site, topic.device, body)

    def _on_status(self, topic: Topic, payload: bytes) -> None:
        try:
            status = decode_status(payload)
        except msgspec.DecodeError:
            self.dropped["undecodable"] += 1
            return
        key = (topic.site, topic.device)
        if self._state.get(key) == status.state:
            return
        known_before = key in self._state
        self._state[key] = status.state
        if known_before or status.state == "online":
            self._hub.publish_device(
                topic.site, topic.device, {"state": status.state, "t": self._clock.now()}
            )

    def _drop(self, t: datetime, last: datetime | None) -> Drop | None:
        why = judge(t, last, self._clock.now(), self._clock.speed)
        if why:
            self.dropped[why] += 1
        return why


def _level(topic: Topic, one: NoiseSecond) -> LiveLevel:
    return LiveLevel(
        topic.site, topic.device, _iso(one.t), round(one.laeq_db, 2), round(one.lafmax_db, 2),
        not parse(NoiseFlag, one.flags) & NOISE_EXCLUDED, one.flags,
    )  # fmt: skip


def _water(topic: Topic, one: WaterReading) -> LiveWater:
    return LiveWater(topic.site, one.meter, _iso(one.t), one.volume_ml, one.flow_m3h, one.flags)


def _iso(t: datetime) -> str:
    return t.isoformat().replace("+00:00", "Z")
