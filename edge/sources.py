"""What measures at a device: one part for sound and one for water, each changed over when its settings change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from contract.clock import Clock
from contract.messages import Reading
from edge.config import AgentConfig
from edge.parts import Part
from edge.sound.settings import NoiseSettings
from edge.sound.station import Station
from edge.water.poller import Poller
from edge.water.settings import WaterSettings

_END_S: Final = 15.0
_Settings = NoiseSettings | WaterSettings | None


class Sources:
    """The device's sources. :meth:`use` is for one thread at a time."""

    def __init__(self, device: str, clock: Clock, emit: Callable[[Reading], object], folder: Path) -> None:
        self._device = device
        self._clock = clock
        self._emit = emit
        self._folder = folder
        self._settings: dict[str, _Settings] = {}
        self._parts: dict[str, Part] = {}
        self._failing_before: set[str] = set()
        self._running = False
        self.stuck = False
        """A source did not end when it was told to: only a new process helps."""
        self.lost = False
        """The last :meth:`use` did not come to its end, so a source may be missing that nobody makes again."""

    def use(self, config: AgentConfig) -> None:
        """Measure as ``config`` says. Raises ``ValueError`` or ``OSError`` when a source cannot be made of it.

        What has not changed goes on undisturbed.
        """
        self.lost = True  # until all are made: an error on the way leaves the old one ended and no new one
        self._failing_before = {part.name for part in self._parts.values() if part.failure is not None}
        wanted: dict[str, _Settings] = {"source-noise": config.noise, "source-water": config.water}
        for name, settings in wanted.items():
            if settings == self._settings.get(name):
                continue
            if not self._end(name):
                self.stuck = True
                return  # the process is started again by its watchdog, with the new settings
            if settings is not None:
                part = Part(self._device, name, self._made(settings).run)
                self._parts[name] = part
                if self._running:
                    part.start()
            self._settings[name] = settings
        self.lost = False

    def start(self) -> None:
        """Begin to measure."""
        self._running = True
        for part in self._parts.values():
            part.start()

    def stop(self, timeout_s: float) -> None:
        """End all."""
        parts = list(self._parts.values())
        for part in parts:
            part.tell_to_stop()
        for part in parts:
            part.join(timeout_s)

    @property
    def measuring(self) -> bool:
        """Whether a source still runs."""
        return any(part.alive for part in list(self._parts.values()))

    def trouble(self) -> str | None:
        """Return what has failed since :meth:`use` that had not failed before it."""
        for part in self._parts.values():
            if part.failure is not None and part.name not in self._failing_before:
                return f"{part.name} failed: {part.failure}"
        return None

    def _end(self, name: str) -> bool:
        self._settings.pop(name, None)
        part = self._parts.pop(name, None)
        if part is None:
            return True
        part.tell_to_stop()
        return part.join(_END_S)

    def _made(self, settings: NoiseSettings | WaterSettings) -> Station | Poller:
        if isinstance(settings, NoiseSettings):
            return Station(settings, self._clock, self._emit, self._folder)
        return Poller(settings, self._clock, self._emit, self._folder)
