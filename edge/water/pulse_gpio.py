"""Pins of a Raspberry Pi. The one place that knows gpiozero, and that needs it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from edge.water.pulse import PulseCounter, no_pins
from edge.water.settings_meters import PulseMeter


class GpioInputs:
    """Inputs with pull resistors that tell their counters each edge."""

    def __init__(self, counters: Sequence[tuple[PulseMeter, PulseCounter]]) -> None:
        """Take the pins. Raises ``LineError`` with the cause."""
        try:
            from gpiozero import DigitalInputDevice, GPIOZeroError  # extra edge-gpio
        except ImportError as error:
            raise no_pins(str(error)) from error
        self._devices: list[Any] = []
        try:
            for settings, counter in counters:
                device = DigitalInputDevice(settings.pin, pull_up=settings.pull == "up")
                self._devices.append(device)
                _connect(device, counter)
        except (GPIOZeroError, OSError) as error:
            self.close()
            raise no_pins(str(error) or type(error).__name__) from error

    def close(self) -> None:
        """Let go of the pins."""
        for device in self._devices:
            device.close()
        self._devices.clear()


def _connect(device: Any, counter: PulseCounter) -> None:
    counter.edge(bool(device.is_active), time.monotonic())
    device.when_activated = lambda: counter.edge(True, time.monotonic())
    device.when_deactivated = lambda: counter.edge(False, time.monotonic())
