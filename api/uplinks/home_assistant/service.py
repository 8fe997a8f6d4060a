"""Home Assistant as a part of the server: a thread that looks at registry and store, and one that publishes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import func, select

from analysis.limits import present_limit
from api import registry_reads as reads
from api.mqtt_link import Broker
from api.uplinks.config import HomeAssistantConfig
from api.uplinks.home_assistant.link import HomeAssistantLink
from api.uplinks.home_assistant.outbox import Message, Outbox
from api.uplinks.home_assistant.payloads import (
    WATER_EXPIRE_S,
    Naming,
    Thing,
    discovery,
    noise_state,
    site_state,
    water_state,
)
from contract.clock import Clock
from contract.tls import TlsFiles
from store.registry.database import Registry
from store.registry.models import Alert, Device, Meter, Site
from store.series.interface import SeriesStore

log = structlog.get_logger(__name__)

_LAG_S: Final = 3.0
"""So long do seconds take from the microphone into the store, and longer."""
_WATER_FRESH: Final = timedelta(hours=26)
"""A meter that is read once a day and is a little late is still known."""
_WATER_AGAIN_S: Final = WATER_EXPIRE_S / 3
_LOOK_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Picture:
    """What the registry knows: things, each site's limit in dB and its count of open alerts."""

    things: tuple[Thing, ...]
    limits_db: dict[str, float]
    alerts: dict[str, int]


def read_picture(registry: Registry, sites: tuple[str, ...], now: datetime) -> Picture:
    """Return what is known of ``sites``, of all if empty."""
    with registry.reader() as session:
        rows = [one for one in session.scalars(select(Site)) if not sites or one.name in sites]
        names = {one.name for one in rows}
        devices = select(Device).where(Device.kind.in_(reads.NOISE_KINDS), Device.enabled.is_(True))
        counts = (
            select(Alert.site, func.count())
            .where(Alert.open_key.is_not(None), Alert.state != "pending")
            .group_by(Alert.site)
        )
        things = [Thing("site", one.name, "", one.label_zh, one.label_en) for one in rows]
        things += [
            Thing("noise", one.site, one.name, one.label_zh, one.label_en) for one in session.scalars(devices)
        ]
        things += [
            Thing("water", one.site, one.name, one.label_zh, one.label_en)
            for one in session.scalars(select(Meter))
        ]
        fired = {row[0]: row[1] for row in session.execute(counts)}
        limits_db = {one.name: present_limit(one, now).value_db for one in rows}
    return Picture(tuple(one for one in things if one.site in names), limits_db, fired)


class HomeAssistantUplink:
    """See the module. ``backoff_s`` is for tests."""

    def __init__(
        self, name: str, config: HomeAssistantConfig, series: SeriesStore, registry: Registry, clock: Clock, *,
        backoff_s: float = 1.0,
    ) -> None:  # fmt: skip
        self._name = name
        self._config = config
        self._series = series
        self._registry = registry
        self._clock = clock
        self._naming = Naming(config.discovery_prefix, config.base_topic, config.language, config.interval_s)
        self.outbox = Outbox()
        broker = Broker(
            config.host,
            config.broker_port,
            config.username,
            config.password,
            TlsFiles(config.ca_file) if config.tls else None,
        )
        self.link = HomeAssistantLink(name, broker, self._naming, self.outbox, backoff_s=backoff_s)
        self._told: dict[str, bytes] = {}
        self._water_told: dict[str, tuple[bytes, float]] = {}
        self._failing = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=f"home-assistant-feed-{name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self.link.start()
        self._thread.start()

    def stop(self) -> None:
        """End; Home Assistant shows the entities as unavailable."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(15.0)
        self.link.stop()

    def numbers(self) -> dict[str, float]:
        """Return counts for ``/metrics``."""
        return {
            "waiting": float(len(self.outbox)), "published_total": float(self.link.published),
            "dropped_total": float(self.outbox.dropped), "connected": float(self.link.connected),
        }  # fmt: skip

    # -- its thread --------------------------------------------------------------------------------------------

    def _loop(self) -> None:
        epoch, next_at_s = 0, float("-inf")
        while not self._stop.wait(_LOOK_S):
            now_s, newest = time.monotonic(), self.link.epoch
            if not self.link.connected or (newest == epoch and now_s < next_at_s):
                continue
            anew, epoch, next_at_s = newest != epoch, newest, now_s + self._config.interval_s
            try:
                self._tell(anew)
                self._failing = False
            except Exception as error:  # a store that is away now answers in the next round
                if not self._failing:
                    log.warning(
                        "states for Home Assistant cannot be made now", uplink=self._name, cause=str(error)
                    )
                self._failing = True

    def _tell(self, anew: bool) -> None:
        """Hand over configs that are new, gone or changed, then the states."""
        if anew:
            self._told.clear()
            self._water_told.clear()
        now = self._clock.now()
        picture = read_picture(self._registry, self._config.sites, now)
        wanted = discovery(self._naming, picture.things)
        for topic in (self.link.seen() | self._told.keys()) - wanted.keys():
            self.outbox.put(Message(topic, b"", True))
        for topic, payload in wanted.items():
            if self._told.get(topic) != payload:
                self.outbox.put(Message(topic, payload, True))
        self._told = wanted
        for thing, state in self._states(picture, now):
            self.outbox.put(Message(self._naming.state_topic(thing), state, self._config.retain))

    def _states(self, picture: Picture, now: datetime) -> Iterator[tuple[Thing, bytes]]:
        known = {(one.kind, one.site, one.name): one for one in picture.things}
        for site, limit in picture.limits_db.items():
            yield known["site", site, ""], site_state(picture.alerts.get(site, 0))
            speed = self._clock.speed
            end = now - timedelta(seconds=_LAG_S * speed)
            start = end - timedelta(seconds=self._config.interval_s * speed)
            for one in self._series.noise_windows(start, end, site=site):
                thing = known.get(("noise", site, one.source))
                if thing is not None:
                    yield thing, noise_state(one.laeq_db, one.lafmax_db, limit)
            for _, meter, point in self._series.water_latest(site=site):
                thing = known.get(("water", site, meter))
                if thing is not None and now - point.t <= _WATER_FRESH:
                    state = water_state(point.volume_ml, point.flow_m3h)
                    if self._is_news(thing.key, state):
                        yield thing, state

    def _is_news(self, key: str, state: bytes) -> bool:
        """Whether a meter's state is another than the last, or the last is old."""
        now_s = time.monotonic()
        last, told_at_s = self._water_told.get(key, (b"", 0.0))
        if state == last and now_s - told_at_s < _WATER_AGAIN_S:
            return False
        self._water_told[key] = (state, now_s)
        return True
