"""The messages between edge and server, as models that validate on decoding.

A payload on a readings topic is one JSON array of 1 to 600 of one model. Time is UTC. ``seq`` counts per
device without end, so that a gap in what was stored is visible (see :class:`Stored`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

MAX_READINGS = 600
"""Readings in one payload at most."""
MAX_PAYLOAD_BYTES = 1 << 20
"""A payload above this is refused unread."""
MAX_CONFIG_BYTES = 64 << 10
"""The same for a configuration."""
LEVEL_FLOOR_DB = -50.0
"""Levels are clamped here: digital zero has no level (it is flagged ``stuck``)."""

SLUG_PATTERN = r"^[a-z0-9][a-z0-9-]{0,31}(?!\n)$"
"""``$`` alone would let a line break at the end pass."""

Slug = Annotated[str, Meta(pattern=SLUG_PATTERN, description="Name of a site, device or meter in topics.")]
Level = Annotated[float, Meta(ge=LEVEL_FLOOR_DB, le=200.0, description="Level, dB re 20 µPa.")]
UtcTime = Annotated[datetime, Meta(tz=True, description="RFC 3339 time; the start of the interval, UTC.")]
Seq = Annotated[int, Meta(ge=0, le=2**53 - 1, description="Counts per device without end.")]
NoiseFlagName = Literal[
    "overload", "under_range", "settling", "gap", "stuck", "calibrating", "calibration_overdue",
    "clock_unsynced", "wind", "rain", "manual", "late",
]  # fmt: skip
WaterFlagName = Literal[
    "leak", "burst", "backflow", "dry", "tamper", "low_battery", "valve_closed", "valve_fault",
    "meter_fault", "went_backwards", "too_fast", "clock_frozen", "meter_replaced", "clock_unsynced", "late",
]  # fmt: skip

_ZERO = timedelta(0)


def _demand_utc(t: datetime) -> None:
    if t.utcoffset() != _ZERO:
        raise ValueError("t must be UTC (end in Z or +00:00)")


def _demand_aligned(t: datetime, seconds: int) -> None:
    _demand_utc(t)
    if t.microsecond or (seconds == 60 and t.second):
        raise ValueError(f"t must be the start of a whole {'minute' if seconds == 60 else 'second'}")


class NoiseSecond(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """Levels of one second at one microphone, dB re 20 µPa (IEC 61672-1).

    ``t`` is the second's start. Levels hold for the ``measured_ms`` of it that were measured.
    """

    seq: Seq
    t: UtcTime
    laeq_db: Level
    """A-weighted energetic average."""
    lafmax_db: Level
    """Highest A-weighted, F time-weighted level."""
    lafmin_db: Level
    laf_db: Level
    """A-weighted, F time-weighted level at the second's end: the sample for LN when no histogram is sent."""
    lceq_db: Level | None = None
    lzeq_db: Level | None = None
    lasmax_db: Level | None = None
    lasmin_db: Level | None = None
    lcpeak_db: Level | None = None
    lae_db: Level | None = None
    """Sound exposure level re 1 s of the measured time."""
    measured_ms: Annotated[int, Meta(ge=1, le=1000)] = 1000
    flags: tuple[NoiseFlagName, ...] = ()

    def __post_init__(self) -> None:
        _demand_aligned(self.t, 1)


class NoiseMinute(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """One minute's LAF histogram and 1/3-octave spectrum (IEC 61260-1).

    The histogram is sparse: ``laf_bins`` holds bin indices in ascending order, ``laf_counts`` how many LAF
    samples fell into each; bin *i* is the level *i*/10 dB, rounded down ([i/10, i/10 + 0.1)). It holds samples of
    valid time only. ``bands_db`` are Leq per band, unweighted (Z), base-10 1/3-octave bands from
    ``first_band`` on (IEC band number n, exact mid-band frequency 1000·10^((n − 30)/10) Hz, so n = 30 is 1 kHz).
    """

    seq: Seq
    t: UtcTime
    laf_bins: Annotated[tuple[Annotated[int, Meta(ge=-500, le=2000)], ...], Meta(max_length=2501)]
    laf_counts: Annotated[tuple[Annotated[int, Meta(ge=1, le=10_000_000)], ...], Meta(max_length=2501)]
    measured_ms: Annotated[int, Meta(ge=1, le=60_000)] = 60_000
    first_band: Annotated[int, Meta(ge=0, le=50)] | None = None
    bands_db: Annotated[tuple[Level, ...], Meta(max_length=51)] = ()
    flags: tuple[NoiseFlagName, ...] = ()

    def __post_init__(self) -> None:
        _demand_aligned(self.t, 60)
        if len(self.laf_bins) != len(self.laf_counts):
            raise ValueError("laf_bins and laf_counts must be of one length")
        if any(a >= b for a, b in zip(self.laf_bins, self.laf_bins[1:], strict=False)):
            raise ValueError("laf_bins must ascend")
        if self.bands_db and self.first_band is None:
            raise ValueError("bands_db needs first_band")


class WaterReading(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """One reading of one meter's register.

    The register is ``volume_steps`` × ``step_ml`` millilitres, exactly; it is never a float. ``t`` is when
    the register was read.
    """

    seq: Seq
    t: UtcTime
    meter: Slug
    volume_steps: Annotated[int, Meta(ge=-(2**53), le=2**53)]
    """Register in the meter's finest step."""
    step_ml: Annotated[int, Meta(ge=1, le=10_000_000)]
    """The meter's finest step (resolution), millilitres."""
    flow_m3h: Annotated[float, Meta(ge=-10_000.0, le=10_000.0)] | None = None
    """Flow as the meter gives it."""
    reverse_steps: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    """Reverse volume register, same step."""
    meter_time: Annotated[str, Meta(max_length=40)] | None = None
    """The meter's own clock as it gives it, ISO 8601 without zone."""
    serial: Annotated[str, Meta(max_length=64)] | None = None
    """The meter's own number or address."""
    flags: tuple[WaterFlagName, ...] = ()

    def __post_init__(self) -> None:
        _demand_utc(self.t)

    @property
    def volume_ml(self) -> int:
        """Register, millilitres."""
        return self.volume_steps * self.step_ml


class EdgeEvent(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """Something that happened at the edge: see ``contract.events`` for the kinds."""

    seq: Seq
    t: UtcTime
    kind: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,39}(?!\n)$")]
    meter: Slug | None = None
    detail: dict[str, str | int | float | bool | list[float | None] | None] = {}

    def __post_init__(self) -> None:
        _demand_utc(self.t)


class DeviceStatus(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Health of a device, retained; the last will is ``{"state": "offline"}`` alone."""

    state: Literal["online", "offline"]
    t: UtcTime | None = None
    version: str | None = None
    boot_id: str | None = None
    clock_offset_ms: float | None = None
    clock_synced: bool | None = None
    outbox_depth: int | None = None
    outbox_oldest_t: UtcTime | None = None
    dropped: int | None = None
    refused: int | None = None
    temperature_c: float | None = None
    disk_free_mb: int | None = None
    uptime_s: int | None = None
    config_version: int | None = None
    """Of the server's configurations the one that runs; 0 is what the device has of itself alone."""
    config_on_trial: bool | None = None
    """It has just been taken over, and the one before comes back unless it works."""
    config_error: Annotated[str, Meta(max_length=1000)] | None = None
    """Why the newest configuration was refused or taken back."""
    certificate_ends: UtcTime | None = None
    """When the certificate is over with which the device comes to the broker."""
    status_interval_s: float | None = None
    """How often the device tells its status."""


class Stored(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What the series store has committed, as inclusive ranges of ``seq``.

    ``refused`` names readings that will never be stored because they do not validate; they are kept in
    the server's quarantine, so the device may let them go. What is in neither is not stored yet: the device
    keeps it and sends it again.
    """

    stored: tuple[tuple[Seq, Seq], ...] = ()
    refused: tuple[tuple[Seq, Seq], ...] = ()


class DeviceConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Retained configuration from the server; the device answers in its status which version it runs.

    ``settings`` by dotted key, as ``contract.remote_settings`` has them.
    """

    version: Annotated[int, Meta(ge=0)]
    settings: dict[str, str | int | float | bool | None] = {}


Reading = NoiseSecond | NoiseMinute | WaterReading | EdgeEvent
"""What a device sends through its outbox."""
