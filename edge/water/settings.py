"""The ``[water]`` table of the agent's configuration: buses, meters and replays.

Every cross-check raises ``ValueError`` that names the key, which msgspec turns into a ``ValidationError`` with
the place in the file (``... - at `$.water.meters[2]` ``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from contract.messages import Slug
from edge.water.settings_meters import (
    BusMeter,
    BusSettings,
    MeterSettings,
    NetworkSettings,
    PulseMeter,
    ReceiverSettings,
)

_MONDAY: Final = datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=8))).astimezone(UTC)
"""A Monday's midnight in China: where recordings are anchored unless the settings say otherwise."""


class WaterConfigError(ValueError):
    """The ``[water]`` table cannot be used; the text names the key, the cause and the cure."""


class ReplaySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A recorded series of registers (CSV or CSV.gz) that is played as if its meters were read now.

    The data's time ``data_anchor`` is the clock's ``anchor``, and the data repeats every ``cycle_weeks``, so that a
    weekday stays a weekday. The register goes on from one cycle into the next and never falls at the seam.
    """

    name: Slug
    """Names the replay in its state file and in the log."""
    file: str
    """Path of the CSV or CSV.gz file; it has a header line."""
    layout: Literal["long", "wide"] = "long"
    """``long``: one reading a line, with a column for the meter. ``wide``: one time a line, a column a meter."""
    time_column: str = "t"
    """ISO 8601, or seconds since 1970. Times without a zone are taken as they stand."""
    meter_column: str = "meter"
    volume_column: str = "reading_l"
    """The cumulative register (layout ``long``)."""
    meters: dict[str, Slug] = {}
    """Names in the data and the meters they play; empty: every meter of the file, in lower case."""
    unit_ml: Annotated[int, Meta(ge=1, le=10_000_000)] = 1000
    """Millilitres in one unit of the register in the file; 1000 is a litre."""
    step_ml: Annotated[int, Meta(ge=1, le=10_000_000)] = 1000
    """The step that the played meter has, millilitres."""
    anchor: Annotated[datetime, Meta(tz=True)] = _MONDAY
    """The moment at which the data's ``data_anchor`` is played."""
    data_anchor: datetime | None = None
    """A time in the data; unless given, the first Monday 00:00 in it."""
    cycle_weeks: Annotated[int, Meta(ge=1, le=1000)] | None = None
    """Length of a cycle; unless given, the whole weeks between ``data_anchor`` and the data's end."""
    repeat: bool = True
    """Start again after each cycle, for ever; else all of the data is played once."""
    history_h: Annotated[float, Meta(ge=0, le=24 * 366 * 5)] = 0.0
    """Hours before the first start that are played at once, with their own times."""
    clean: bool = False
    """Mend the data's defects: gaps, duplicates and steps back; else they are played as recorded."""

    def __post_init__(self) -> None:
        names = list(self.meters.values())
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"meters: two names in the data play the one meter {doubled[0]!r}")


class WaterSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the device reads of water."""

    buses: tuple[BusSettings, ...] = ()
    receivers: tuple[ReceiverSettings, ...] = ()
    networks: tuple[NetworkSettings, ...] = ()
    meters: tuple[MeterSettings, ...] = ()
    replays: tuple[ReplaySettings, ...] = ()

    def __post_init__(self) -> None:
        if not self.meters and not self.replays:
            raise ValueError("nothing to read; add [[water.meters]] or [[water.replays]]")
        for key in ("buses", "receivers", "networks", "meters", "replays"):
            _demand_unique(key, "name", [one.name for one in getattr(self, key)])
        _demand_unique("buses", "port or gateway", [str(one.port or one.tcp) for one in self.buses])
        _demand_known("bus", self.meters, self.buses)
        _demand_known("receiver", self.meters, self.receivers)
        _demand_known("network", self.meters, self.networks)
        self._demand_one_protocol_a_bus()
        pins = [str(one.pin) for one in self.meters if isinstance(one, PulseMeter)]
        _demand_unique("meters", "pin", pins)

    def resolved(self, base: Path) -> WaterSettings:
        """Return the settings with relative paths taken from ``base``."""
        replays = tuple(msgspec.structs.replace(one, file=str(base / one.file)) for one in self.replays)
        return msgspec.structs.replace(self, replays=replays)

    def on_bus(self, bus: str) -> list[BusMeter]:
        """Return the meters on a bus."""
        return [one for one in self.meters if isinstance(one, BusMeter) and one.bus == bus]

    def _demand_one_protocol_a_bus(self) -> None:
        for bus in self.buses:
            kinds = sorted({driver_of(one) for one in self.on_bus(bus.name)})
            if len(kinds) > 1:
                raise ValueError(
                    f"buses: {bus.name!r} has meters of {' and '.join(kinds)}; a bus has one protocol"
                )


def driver_of(meter: MeterSettings) -> str:
    """Return the name of a meter's driver."""
    return str(meter.__struct_config__.tag)


def _demand_unique(key: str, what: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{key}: the {what} {name!r} is given twice")


def _demand_known(
    key: str,
    meters: tuple[MeterSettings, ...],
    known: Sequence[BusSettings | ReceiverSettings | NetworkSettings],
) -> None:
    names = [one.name for one in known]
    for meter in meters:
        name = getattr(meter, key, None)
        if name is not None and name not in names:
            there = ", ".join(names) or "none"
            raise ValueError(f"meters: {meter.name!r} names the {key} {name!r}, but there is {there}")
