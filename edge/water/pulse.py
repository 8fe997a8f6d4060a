"""Driver ``pulse``: counts the pulses of a meter's reed contact or open collector."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

import msgspec
import structlog

from contract.messages import WaterReading
from edge.water.register import LineError
from edge.water.settings_meters import PulseMeter
from edge.water.state import StateFile

log = structlog.get_logger(__name__)

SAVE_S: Final = 5.0
"""What a power cut can take of pulses that were counted."""


class Debounce:
    """Counts pulses in edges that bounce. Pure: it is told when each edge came (monotonic seconds).

    A level counts once it has lasted ``least_s``; a pulse is counted when its level has, after a rest that has.
    """

    def __init__(self, least_s: float) -> None:
        self._least_s = least_s
        self._raw = False
        self._since_s: float | None = None
        self._steady = False

    def edge(self, active: bool, at_s: float) -> int:
        """Take in an edge; return how many pulses it completes, 0 or 1."""
        counted = self.settle(at_s)
        if active != self._raw or self._since_s is None:
            self._raw, self._since_s = active, at_s
        return counted

    def settle(self, at_s: float) -> int:
        """Judge the level that has lasted until now; return how many pulses that makes, 0 or 1."""
        if self._since_s is None or at_s - self._since_s < self._least_s or self._raw == self._steady:
            return 0
        self._steady = self._raw
        return int(self._steady)


class PulseState(msgspec.Struct, frozen=True):
    """The register, in pulses."""

    pulses: int


class RegisterSet(msgspec.Struct, frozen=True):
    """A register that was read off the meter by hand and waits to be taken in."""

    volume_ml: int


def request_register(folder: Path, meter: str, volume_ml: int) -> None:
    """Leave a register for the agent to take in at the meter's next reading."""
    _set_file(folder, meter, durable=True).save(RegisterSet(volume_ml))


def _set_file(folder: Path, meter: str, *, durable: bool = False) -> StateFile[RegisterSet]:
    return StateFile(folder / f"water-pulse-{meter}.set.json", RegisterSet, durable=durable)


class PulseCounter:
    """One meter's register, which survives a power cut but for the last seconds."""

    def __init__(self, settings: PulseMeter, folder: Path) -> None:
        self._settings = settings
        self._debounce = Debounce(settings.pulse_min_ms / 1000)
        self._lock = threading.Lock()
        self._file = StateFile(folder / f"water-pulse-{settings.name}.json", PulseState, durable=True)
        self._set_path = folder / f"water-pulse-{settings.name}.set.json"
        self._set = _set_file(folder, settings.name)
        stored = self._file.load()
        self._pulses = 0 if stored is None else stored.pulses
        self._saved = self._pulses if stored is not None else -1

    def edge(self, active: bool, at_s: float) -> None:
        """Take in an edge at the pin (monotonic seconds)."""
        with self._lock:
            self._pulses += self._debounce.edge(active, at_s)

    def save(self) -> None:
        """Write the register to the disk where it has changed."""
        with self._lock:
            pulses = self._pulses
        if pulses != self._saved:
            self._file.save(PulseState(pulses))
            self._saved = pulses

    def read(self, at: datetime) -> WaterReading:
        """Return the meter's reading."""
        was_set = self._take_set()
        with self._lock:
            # The wheel may stand still on the contact: such a pulse counts before its end has come.
            self._pulses += self._debounce.settle(time.monotonic())
            pulses = self._pulses
        return WaterReading(
            seq=0,
            t=at,
            meter=self._settings.name,
            volume_steps=pulses,
            step_ml=self._settings.pulse_ml,
            flags=("meter_replaced",) if was_set else (),
        )

    def _take_set(self) -> bool:
        """Take in a register set by hand; the reading says that a new register starts there."""
        wanted = self._set.load() if self._set_path.exists() else None
        if wanted is None:
            return False
        with self._lock:
            before, self._pulses = self._pulses, wanted.volume_ml // self._settings.pulse_ml
        self.save()
        self._set_path.unlink(missing_ok=True)
        log.info("register set by hand", meter=self._settings.name, before_pulses=before, pulses=self._pulses)
        return True


class Inputs(Protocol):
    """Pins that call back at each edge."""

    def close(self) -> None:
        """Let go of the pins."""
        ...


OpenInputs = Callable[[Sequence[tuple[PulseMeter, PulseCounter]]], Inputs]


class PulsePins:
    """The pins of all pulse meters, and the thread that saves their registers."""

    def __init__(self, counters: Sequence[tuple[PulseMeter, PulseCounter]], open_inputs: OpenInputs) -> None:
        self._counters = counters
        self._open_inputs = open_inputs
        self._inputs: Inputs | None = None
        self._ended = threading.Event()
        self._saver: threading.Thread | None = None

    def open(self) -> None:
        """Begin to count. Raises :class:`LineError` where the pins cannot be used."""
        if self._inputs is not None:
            return
        self._inputs = self._open_inputs(self._counters)
        self._ended.clear()
        self._saver = threading.Thread(target=self._keep_saving, name="pulse-saver", daemon=True)
        self._saver.start()

    def close(self) -> None:
        """Stop counting and save."""
        inputs, self._inputs = self._inputs, None
        if inputs is None:
            return
        inputs.close()
        self._ended.set()
        if self._saver is not None:
            self._saver.join(timeout=5.0)
        self._save()

    def _keep_saving(self) -> None:
        failing = False
        while not self._ended.wait(SAVE_S):
            try:
                self._save()
                failing = False
            except OSError as error:
                if not failing:
                    log.warning("registers cannot be saved; counting goes on in memory", cause=str(error))
                failing = True

    def _save(self) -> None:
        for _settings, counter in self._counters:
            counter.save()


def no_pins(reason: str) -> LineError:
    """Return the error for pins that cannot be used."""
    return LineError(f"GPIO cannot be used: {reason}; on a Raspberry Pi install quietwater[edge-gpio]")
