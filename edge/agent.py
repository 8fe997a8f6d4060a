"""The agent: one device's sources, outbox, courier and link, each in a thread that cannot die unseen."""

from __future__ import annotations

import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Final

from contract.clock import Clock
from contract.messages import DeviceStatus, EdgeEvent, Stored
from edge.certificate import lifetime, pairs
from edge.config import AgentConfig
from edge.courier import Courier
from edge.health import boot_id, package_version, status
from edge.link import Link
from edge.outbox import Outbox
from edge.parts import Part
from edge.remote import TRIAL_S, RemoteConfig
from edge.renewal import Renewal
from edge.sources import Sources

_DRAIN_S: Final = 0.5
_END_S: Final = 5.0


class Agent:
    """One device. ``start`` returns at once; ``stop`` commits the outbox and says good-bye to the broker."""

    def __init__(self, config: AgentConfig, clock: Clock, *, trial_s: float = TRIAL_S) -> None:
        """Open the outbox and prepare the sources. Raises ``ValueError`` or ``OSError`` before anything runs.

        For ``trial_s`` a new configuration must work before it is kept.
        """
        self._clock = clock
        self._folder = Path(config.data)
        self._parts: list[Part] = []
        self._name = f"{config.site}.{config.device}"
        broker = config.broker()
        self._outbox = Outbox(
            self._folder / f"{self._name}.outbox.sqlite",
            now=clock.now(),
            max_bytes=config.outbox.max_mb << 20,
        )
        self._status_due = threading.Event()
        self._status_interval_s = config.status_interval_s
        self._sources = Sources(self._name, clock, self._outbox.append, self._folder)
        self._remote = RemoteConfig(
            self._folder / f"{self._name}.config.json", config, package_version(), trial_s=trial_s
        )
        self._link = Link(
            broker, config.site, config.device,
            on_stored=self._on_stored, on_config=self._remote.offer, on_bad_config=self._remote.offer,
            on_connected=self._on_connected,
        )  # fmt: skip
        self._courier = Courier(
            self._outbox, self._link, clock, commit_interval_s=config.outbox.commit_interval_s,
            send_interval_s=config.outbox.send_interval_s,
        )  # fmt: skip
        self._broker = broker
        self._upstream = config.server
        self._remote.begin(self._use)

    @property
    def outbox(self) -> Outbox:
        """The device's outbox."""
        return self._outbox

    @property
    def measuring(self) -> bool:
        """Whether a source still runs; a recording that is not looped comes to its end."""
        return self._sources.measuring

    @property
    def healthy(self) -> bool:
        """Whether every part runs and the outbox answers; a source that has come to its end is no fault.

        One that could not be made is: only a new process makes it again.
        """
        sources = self._sources
        return (
            all(part.alive for part in self._parts)
            and not (sources.stuck or sources.lost)
            and self._outbox.depth() >= 0
        )

    def start(self) -> None:
        """Start to measure and to send."""
        self._outbox.append(
            EdgeEvent(
                seq=0, t=self._clock.now(), kind="restart",
                detail={"version": package_version(), "boot_id": boot_id()},
            )
        )  # fmt: skip
        self._link.start()
        self._parts = [
            Part(self._name, "courier", self._courier.run),
            Part(self._name, "status", self._tell_status),
            Part(self._name, "configuration", self._follow_config),
        ]
        if self._upstream is not None and self._broker.tls:
            renewal = Renewal(self._broker, self._upstream, self._clock, self._link.drop)
            self._parts.append(Part(self._name, "renewal", renewal.run))
        for part in self._parts:
            part.start()
        self._sources.start()

    def drained(self) -> bool:
        """Say whether the server has confirmed every reading."""
        return self._outbox.depth() == 0

    def stop(self) -> None:
        """Stop measuring, send what can be sent in half a second, commit the rest, say good-bye."""
        courier, others = self._parts[:1], self._parts[1:]
        for part in others:
            part.tell_to_stop()
        self._status_due.set()
        for part in others:
            part.join(_END_S)
        self._sources.stop(_END_S)
        deadline = time.monotonic() + _DRAIN_S
        while self._link.connected and not self.drained() and time.monotonic() < deadline:
            time.sleep(0.05)
        for part in courier:
            part.tell_to_stop()
            part.join(_END_S)
        self._link.stop(
            last_status=DeviceStatus(state="offline", t=self._clock.now(), version=package_version())
        )
        self._outbox.close()

    # -- inside ------------------------------------------------------------------------------------------------

    def _use(self, config: AgentConfig) -> None:
        self._status_interval_s = config.status_interval_s
        self._sources.use(config)

    def _follow_config(self, stop: threading.Event) -> None:
        self._remote.run(self._use, self._sources.trouble, self._status_due.set, stop)

    def _tell_status(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self._status_due.wait(self._status_interval_s)
            self._status_due.clear()
            if not stop.is_set():
                now = self._clock.now()
                told = status(
                    self._outbox, self._folder, now, self._remote.report, self._certificate_ends(),
                    self._status_interval_s,
                )  # fmt: skip
                self._link.publish_status(told)

    def _certificate_ends(self) -> datetime | None:
        if not self._broker.tls:
            return None
        shown = pairs(self._broker.cert_file, self._broker.key_file, self._broker.renewed_file)
        life = lifetime(shown[0][0]) if shown else None
        return None if life is None else life.ends_at

    def _on_stored(self, answer: Stored) -> None:
        self._courier.on_stored(answer)

    def _on_connected(self) -> None:
        self._courier.on_connected()
        self._status_due.set()
