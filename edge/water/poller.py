"""Reads every meter of the settings: one thread a source, none of which can die unseen."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

import structlog

from contract.clock import Clock
from contract.messages import Reading
from edge import health
from edge.water.drivers import DRIVERS
from edge.water.heard import HeardSource
from edge.water.polled import MeterReader, PolledSource
from edge.water.profiles import ProfileError
from edge.water.replay import Replay
from edge.water.replay_data import ReplayDataError
from edge.water.settings import WaterConfigError, WaterSettings, driver_of
from edge.water.settings_meters import (
    BusSettings,
    LorawanMeter,
    MeterSettings,
    NetworkSettings,
    PulseMeter,
    ReceiverSettings,
    WmbusMeter,
)
from edge.water.watch import Watch

log = structlog.get_logger(__name__)

_RESTART_FIRST_S: Final = 1.0
_RESTART_MOST_S: Final = 60.0


class Source(Protocol):
    """Something that emits readings by itself: a bus with its meters, a replay, pulse inputs, a listener."""

    name: str

    def run(self, stop: threading.Event) -> None:
        """Emit until ``stop`` is set or nothing is left to do."""
        ...


class Poller:
    """The water part of a device. ``emit`` is called from several threads, with ``seq`` 0."""

    def __init__(
        self,
        settings: WaterSettings,
        clock: Clock,
        emit: Callable[[Reading], object],
        folder: Path,
        *,
        clock_synced: Callable[[], bool | None] = health.clock_synced,
    ) -> None:
        """Prepare every source; ``folder`` keeps their state. Raises :class:`WaterConfigError` that names the key.

        No port is opened and no network touched before ``run``.
        """
        self._settings = settings
        self._clock = clock
        self._emit = emit
        self._folder = folder
        self._clock_synced = clock_synced
        try:
            self._sources = self._make_sources()
        except ReplayDataError as error:
            raise WaterConfigError(f"water.replays: {error}") from error
        except ProfileError as error:
            raise WaterConfigError(f"water.meters: {error}") from error
        except WaterConfigError as error:
            raise WaterConfigError(f"water.{error}") from error

    def run(self, stop: threading.Event) -> None:
        """Read until ``stop`` is set or nothing is left to do."""
        threads = [
            threading.Thread(target=_supervised, args=(one, stop), name=f"water-{one.name}", daemon=True)
            for one in self._sources
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _make_sources(self) -> list[Source]:
        settings = self._settings
        sources: list[Source] = []
        sources += [self._bus(one) for one in settings.buses if settings.on_bus(one.name)]
        pulses = [one for one in settings.meters if isinstance(one, PulseMeter)]
        if pulses:
            sources.append(self._pulses(pulses))
        sources += [self._receiver(one) for one in settings.receivers]
        sources += [self._network(one) for one in settings.networks]
        sources += [Replay(one, self._clock, self._emit, self._folder) for one in settings.replays]
        return sources

    def _bus(self, bus: BusSettings) -> Source:
        settings = self._settings.on_bus(bus.name)
        driver = DRIVERS[driver_of(settings[0])]
        assert driver.connect is not None
        assert driver.reader is not None
        connection = driver.connect(bus)
        meters: dict[str, tuple[MeterSettings, MeterReader, float | None]] = {}
        for one in settings:
            reader = driver.reader(one, connection)
            meters[one.name] = (one, reader, one.q4_m3h or reader.profile.q4_m3h)
        watch = self._watch(f"bus-{bus.name}", settings)
        return PolledSource(bus.name, meters, connection, watch, self._clock, retries=bus.retries)

    def _pulses(self, settings: Sequence[PulseMeter]) -> Source:
        from edge.water.pulse import PulseCounter, PulsePins
        from edge.water.pulse_gpio import GpioInputs

        counters = [(one, PulseCounter(one, self._folder)) for one in settings]
        meters: dict[str, tuple[MeterSettings, MeterReader, float | None]] = {
            one.name: (one, counter, one.q4_m3h) for one, counter in counters
        }
        watch = self._watch("pulses", settings)
        return PolledSource("pulses", meters, PulsePins(counters, GpioInputs), watch, self._clock)

    def _receiver(self, settings: ReceiverSettings) -> Source:
        from edge.water.wmbus_receiver import Receiver, WmbusDesk

        own = [
            one
            for one in self._settings.meters
            if isinstance(one, WmbusMeter) and one.receiver == settings.name
        ]
        desk = WmbusDesk(own)
        meters = {one.name: (one, one.q4_m3h or desk.profiles[one.name].q4_m3h) for one in own}
        return HeardSource(
            settings.name, meters, self._watch(f"receiver-{settings.name}", own), self._clock,
            receive=Receiver(settings).receive, readings=desk.readings,
        )  # fmt: skip

    def _network(self, settings: NetworkSettings) -> Source:
        from edge.water.lorawan import UplinkDesk
        from edge.water.uplinks import Network

        own = [
            one
            for one in self._settings.meters
            if isinstance(one, LorawanMeter) and one.network == settings.name
        ]
        desk = UplinkDesk(own)
        meters = {one.name: (one, one.q4_m3h or desk.profiles[one.name].q4_m3h) for one in own}
        return HeardSource(
            settings.name, meters, self._watch(f"network-{settings.name}", own), self._clock,
            receive=Network(settings).receive, readings=desk.readings,
        )  # fmt: skip

    def _watch(self, name: str, meters: Sequence[MeterSettings]) -> Watch:
        return Watch(name, meters, self._emit, self._folder, self._clock_synced)


def _supervised(source: Source, stop: threading.Event) -> None:
    wait_s = _RESTART_FIRST_S
    while not stop.is_set():
        try:
            source.run(stop)
        except Exception:  # one source that fails is started again; the others go on
            log.exception("water source failed and is started again", source=source.name, after_s=wait_s)
            stop.wait(wait_s)
            wait_s = min(_RESTART_MOST_S, wait_s * 2)
        else:
            return
