"""Leaks and meter faults behind one household meter, hour by hour."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec

from analysis.leaks.alarm import Alarm
from analysis.leaks.flowwatch import FlowWatch
from analysis.leaks.registerwatch import RegisterWatch
from analysis.leaks.rows import HourRow

_TOLERANCE: Final = timedelta(minutes=5)
"""Two rows may overlap by this much, as readings that come a little early make them."""


class HouseholdConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a meter: the register's finest step, and the most that it can pass (Q4, ISO 4064).

    The default is a DN 15 or DN 20 household meter (Q3 = 2.5 to 4 m³/h, Q4 = 1.25 Q3) with a step of one litre.
    """

    step_l: float = 1.0
    max_flow_lph: float = 5000.0


class _State(msgspec.Struct):
    flow: FlowWatch
    register: RegisterWatch
    last_end: datetime | None = None
    ignored: int = 0


_DECODER: Final = msgspec.json.Decoder(_State)


class HouseholdDetector:
    """Detects continuous flow, bursts, intermittent toilets, backflow and a register not to be believed.

    See :class:`analysis.leaks.alarm.Detector` for the interface.
    """

    def __init__(self, config: HouseholdConfig | None = None) -> None:
        self._config = config or HouseholdConfig()
        step, most = self._config.step_l, self._config.max_flow_lph
        if not (step > 0.0 and most > 0.0):
            raise ValueError(f"step_l and max_flow_lph must be positive, not {step} and {most}")
        self._state = _State(FlowWatch(step), RegisterWatch(step, most))

    @classmethod
    def restore(cls, config: HouseholdConfig, data: bytes) -> HouseholdDetector:
        """Go on from a dumped state. Raises ``msgspec.ValidationError`` if ``data`` is not one."""
        detector = cls(config)
        detector._state = _DECODER.decode(data)
        return detector

    def dump(self) -> bytes:
        """Return the whole state as JSON."""
        return msgspec.json.encode(self._state)

    @property
    def ignored(self) -> int:
        """How many rows were left out because they did not start after the newest seen."""
        return self._state.ignored

    def update(self, row: HourRow) -> list[Alarm]:
        """Take the next row and return the alarms that begin with it."""
        state = self._state
        if row.duration_h <= 0.0:
            raise ValueError(
                f"duration_h must be positive, not {row.duration_h} (row of {row.t.isoformat()})"
            )
        if state.last_end is not None and row.t < state.last_end - _TOLERANCE:
            state.ignored += 1
            return []
        volume, alarms = state.register.update(row, state.last_end)
        state.last_end = row.end
        if volume is not None:
            alarms = alarms + state.flow.update(row, volume)
        return alarms

    def active(self) -> list[Alarm]:
        """Return the conditions that hold now, flow and evidence brought up to date."""
        return self._state.flow.active() + [
            condition.alarm for condition in self._state.register.open.values()
        ]
