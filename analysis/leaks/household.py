"""Leaks and meter faults behind one household meter, hour by hour."""

from __future__ import annotations

import msgspec

from analysis.leaks.alarm import Alarm
from analysis.leaks.flowwatch import FlowWatch
from analysis.leaks.registerwatch import RegisterWatch
from analysis.leaks.rows import HourRow
from analysis.leaks.stream import StreamDetector, StreamState


class HouseholdConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a meter: the register's finest step, and the most that it can pass (Q4, ISO 4064).

    The default is a DN 15 or DN 20 household meter (Q3 = 2.5 to 4 m³/h, Q4 = 1.25 Q3) with a step of one litre.
    """

    step_l: float = 1.0
    max_flow_lph: float = 5000.0


class _State(StreamState):
    flow: FlowWatch
    register: RegisterWatch


class HouseholdDetector(StreamDetector[HouseholdConfig, _State, HourRow]):
    """Detects continuous flow, bursts, intermittent toilets, backflow and a register not to be believed.

    See :class:`analysis.leaks.alarm.Detector` for the interface.
    """

    _decoder = msgspec.json.Decoder(_State)

    def __init__(self, config: HouseholdConfig | None = None) -> None:
        config = config or HouseholdConfig()
        step, most = config.step_l, config.max_flow_lph
        if not (step > 0.0 and most > 0.0):
            raise ValueError(f"step_l and max_flow_lph must be positive, not {step} and {most}")
        super().__init__(config, _State(FlowWatch(step), RegisterWatch(step, most)))

    def _take(self, row: HourRow) -> list[Alarm]:
        state = self._state
        volume, alarms = state.register.update(row, state.last_end)
        if volume is not None:
            alarms = alarms + state.flow.update(row, volume)
        return alarms

    def active(self) -> list[Alarm]:
        """Return the conditions that hold now, flow and evidence brought up to date."""
        return self._state.flow.active() + [
            condition.alarm for condition in self._state.register.open.values()
        ]
