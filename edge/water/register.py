"""What a meter told: a register with its step, exactly; and why there is none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from contract.flags import WaterFlag, names
from contract.messages import WaterReading

NO_FLAGS: Final = WaterFlag(0)
_ML_PER_M3: Final = 1_000_000
_STEPS_MOST: Final = 2**53
_STEP_MOST_ML: Final = 10_000_000
_FLOW_MOST_M3H: Final = 10_000


class MeterError(Exception):
    """A meter gave no reading; the text says why in one line. Trying again later is safe."""


class FrameRefused(MeterError):
    """Bytes came that are no reading: broken, a request, an acknowledgement, or something unknown."""


class NoAnswer(MeterError):
    """Nothing came from the meter within the time allowed."""


class LineError(MeterError):
    """The way to the meters is broken: port, gateway, receiver or broker."""


@dataclass(frozen=True, slots=True)
class Register:
    """A meter's register: ``volume_steps`` × ``step_ml`` millilitres, with what the meter said beside it.

    ``reverse_steps`` is its reverse volume in the same step, rounded down. ``meter_time`` is its own clock, ISO 8601
    without zone. ``history`` holds earlier registers that it sent along: (UTC, steps), ascending.
    """

    volume_steps: int
    step_ml: int
    serial: str | None = None
    flow_m3h: Decimal | None = None
    reverse_steps: int | None = None
    meter_time: str | None = None
    flags: WaterFlag = NO_FLAGS
    history: tuple[tuple[datetime, int], ...] = ()

    @property
    def resolution_m3(self) -> Decimal:
        """The step, m3."""
        return cubic_metres(1, self.step_ml)

    @property
    def volume_m3(self) -> Decimal:
        """The register, m3, with as many decimals as its step has."""
        return cubic_metres(self.volume_steps, self.step_ml)

    @property
    def reverse_m3(self) -> Decimal | None:
        """The reverse register, m3."""
        return None if self.reverse_steps is None else cubic_metres(self.reverse_steps, self.step_ml)

    def with_flags(self, flags: WaterFlag) -> Register:
        """Return the register with more flags."""
        return replace(self, flags=self.flags | flags)

    def reading(self, meter: str, at: datetime) -> WaterReading:
        """Return the reading of a meter at a time (UTC), with ``seq`` 0.

        Raises :class:`FrameRefused` where a value is beyond what the contract carries.
        """
        if abs(self.volume_steps) > _STEPS_MOST or not 1 <= self.step_ml <= _STEP_MOST_ML:
            raise FrameRefused(f"a register of {self.volume_steps} x {self.step_ml} mL is beyond all meters")
        flow = self.flow_m3h if self.flow_m3h is not None and abs(self.flow_m3h) <= _FLOW_MOST_M3H else None
        reverse = self.reverse_steps
        return WaterReading(
            seq=0,
            t=at,
            meter=meter,
            volume_steps=self.volume_steps,
            step_ml=self.step_ml,
            flow_m3h=None if flow is None else float(flow),
            reverse_steps=reverse if reverse is not None and 0 <= reverse <= _STEPS_MOST else None,
            meter_time=self.meter_time,
            serial=self.serial,
            flags=tuple(names(self.flags)),  # type: ignore[arg-type]  # names of WaterFlag are WaterFlagName
        )


def cubic_metres(steps: int, step_ml: int) -> Decimal:
    """Return ``steps`` × ``step_ml`` mL in m3, exactly, with the decimals of the step."""
    step = (Decimal(step_ml) / _ML_PER_M3).normalize()
    decimals = max(0, -int(step.as_tuple().exponent))
    return (Decimal(steps * step_ml) / _ML_PER_M3).quantize(Decimal(1).scaleb(-decimals))


def rescaled(steps: int, from_ml: int, to_ml: int) -> int:
    """Return a volume in another step, rounded down."""
    return steps * from_ml // to_ml
