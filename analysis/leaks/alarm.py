"""A leak alarm as data. Its sentence is made from it in ``analysis.leaks.texts``."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal, Protocol, TypeVar

import msgspec

AlarmKind = Literal[
    "continuous_flow", "intermittent_toilet", "burst",
    "backflow", "stuck", "silent", "jump",
    "quarter_loss", "district_inflow",
]  # fmt: skip

METER_KINDS: Final[frozenset[str]] = frozenset({"backflow", "stuck", "silent", "jump"})
"""What is wrong with the meter, its mounting or its radio: a job for a fitter, no water is known to be lost."""


class EvidencePoint(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One point of the curve that led to an alarm: ``value_lph`` was seen where ``usual_lph`` was expected.

    ``t`` is the start of the hour (or night) that the point stands for; flows are litres an hour.
    """

    t: datetime
    value_lph: float
    usual_lph: float


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """A leak or a meter fault that a detector reports, once, when it becomes sure of it.

    ``t`` is when: the end of the newest row that it had seen. ``since`` is when the condition began, as well as can be
    told. ``flow_lph`` is the estimated loss in litres an hour, averaged over the time since then: negative for
    backflow, 0 for the other meter faults. ``params`` are the numbers that the sentence of this kind names,
    ``evidence`` the points to be drawn.
    """

    t: datetime
    kind: AlarmKind
    since: datetime
    flow_lph: float
    params: dict[str, float]
    evidence: tuple[EvidencePoint, ...] = ()

    @property
    def is_leak(self) -> bool:
        """Whether water is being lost, as opposed to a meter that needs a look."""
        return self.kind not in METER_KINDS


class OpenCondition(msgspec.Struct):
    """What was alarmed and is not over: its alarm, and the flow at which the leak runs while it runs (L/h)."""

    alarm: Alarm
    level_lph: float


RowT_contra = TypeVar("RowT_contra", contravariant=True)


class Detector(Protocol[RowT_contra]):
    """A detector of one unit (a meter, a quarter, a district) as a stream.

    It knows nothing but the rows that it was given: fed the same rows again from the start, or from a state that was
    dumped in between, it gives the same alarms.
    """

    def update(self, row: RowT_contra) -> list[Alarm]:
        """Take the next row and return the alarms that begin with it.

        Rows ascend in time; one that does not start at or after the end of the newest seen is left out and counted
        in ``ignored``.
        """
        ...

    def active(self) -> list[Alarm]:
        """Return the conditions that hold now, with flow and evidence brought up to date.

        ``t`` stays that of the alarm. An alarm that is no longer here is over.
        """
        ...

    @property
    def ignored(self) -> int:
        """How many rows were left out because they came too late."""
        ...

    def dump(self) -> bytes:
        """Return the whole state (JSON); the class's ``restore(config, data)`` goes on from it."""
        ...
