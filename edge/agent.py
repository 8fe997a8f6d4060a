"""The agent: one device's sources, outbox, courier and link, each in a thread that cannot die unseen."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from contract.clock import Clock
from contract.messages import DeviceConfig, DeviceStatus, EdgeEvent, Stored
from edge.config import AgentConfig
from edge.courier import Courier
from edge.health import boot_id, package_version, status
from edge.link import Link
from edge.outbox import Outbox
from edge.sound.station import Station
from edge.water.poller import Poller

log = structlog.get_logger(__name__)

_STATUS_INTERVAL_S: Final = 30.0
_RESTART_MOST_S: Final = 60.0
_DRAIN_S: Final = 0.5


class Agent:
    """One device. ``start`` returns at once; ``stop`` commits the outbox and says good-bye to the broker."""

    def __init__(self, config: AgentConfig, clock: Clock) -> None:
        """Open the outbox and prepare the sources. Raises ``ValueError`` or ``OSError`` before anything runs."""
        self._config = config
        self._clock = clock
        self._folder = Path(config.data)
        self._stop = threading.Event()
        self._stop_courier = threading.Event()
        self._threads: list[threading.Thread] = []
        self._config_version: int | None = None
        name = f"{config.site}.{config.device}"
        self._name = name
        broker = config.broker()
        self._outbox = Outbox(
            self._folder / f"{name}.outbox.sqlite", now=clock.now(), max_bytes=config.outbox.max_mb << 20
        )
        self._link = Link(
            broker, config.site, config.device,
            on_stored=self._on_stored, on_config=self._on_config, on_connected=self._on_connected,
        )  # fmt: skip
        self._courier = Courier(
            self._outbox, self._link, clock, commit_interval_s=config.outbox.commit_interval_s
        )
        self._status_due = threading.Event()
        append = self._outbox.append
        self._sources: dict[str, Station | Poller] = {}
        if config.noise is not None:
            self._sources["source-noise"] = Station(config.noise, clock, append, self._folder)
        if config.water is not None:
            self._sources["source-water"] = Poller(config.water, clock, append, self._folder)

    @property
    def outbox(self) -> Outbox:
        """The device's outbox."""
        return self._outbox

    @property
    def measuring(self) -> bool:
        """Whether a source still runs; a recording that is not looped comes to its end."""
        return any(thread.is_alive() for thread in self._threads if thread.name.startswith("source-"))

    @property
    def healthy(self) -> bool:
        """Whether every part runs and the outbox answers; a source that has come to its end is no fault."""
        parts = [thread for thread in self._threads if not thread.name.startswith("source-")]
        return all(thread.is_alive() for thread in parts) and self._outbox.depth() >= 0

    def start(self) -> None:
        """Start to measure and to send."""
        self._outbox.append(
            EdgeEvent(
                seq=0, t=self._clock.now(), kind="restart",
                detail={"version": package_version(), "boot_id": boot_id()},
            )
        )  # fmt: skip
        self._link.start()
        self._supervise("courier", lambda _stop: self._courier.run(self._stop_courier), self._stop_courier)
        self._supervise("status", self._tell_status, self._stop)
        for name, source in self._sources.items():
            self._supervise(name, source.run, self._stop)

    def drained(self) -> bool:
        """Say whether the server has confirmed every reading."""
        return self._outbox.depth() == 0

    def stop(self) -> None:
        """Stop measuring, send what can be sent in half a second, commit the rest, say good-bye."""
        self._stop.set()
        self._status_due.set()
        self._join("source-")
        deadline = time.monotonic() + _DRAIN_S
        while self._link.connected and not self.drained() and time.monotonic() < deadline:
            time.sleep(0.05)
        self._stop_courier.set()
        self._join("")
        self._link.stop(
            last_status=DeviceStatus(state="offline", t=self._clock.now(), version=package_version())
        )
        self._outbox.close()

    # -- inside ------------------------------------------------------------------------------------------------

    def _join(self, prefix: str) -> None:
        for thread in self._threads:
            if thread.name.startswith(prefix):
                thread.join(timeout=5.0)

    def _supervise(self, name: str, work: Callable[[threading.Event], object], stop: threading.Event) -> None:
        def run() -> None:
            wait_s = 1.0
            while not stop.is_set():
                try:
                    work(stop)
                except Exception:  # a part that fails is started again; the agent goes on
                    log.exception(
                        "part failed and is started again", device=self._name, part=name, after_s=wait_s
                    )
                    stop.wait(wait_s)
                    wait_s = min(_RESTART_MOST_S, wait_s * 2)
                else:
                    return

        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _tell_status(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self._status_due.wait(_STATUS_INTERVAL_S)
            self._status_due.clear()
            if not stop.is_set():
                now = self._clock.now()
                self._link.publish_status(status(self._outbox, self._folder, now, self._config_version))

    def _on_stored(self, answer: Stored) -> None:
        self._courier.on_stored(answer)

    def _on_connected(self) -> None:
        self._courier.on_connected()
        self._status_due.set()

    def _on_config(self, config: DeviceConfig) -> None:
        if config.version != self._config_version:
            log.info("configuration received", device=self._name, version=config.version)
            self._config_version = config.version
            self._status_due.set()
