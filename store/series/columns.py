"""From entries to columns, family by family; what cannot be stored is named by its index and left out.

The columns are numpy arrays of one length in the order of the batch. Optional values are masked arrays. Times are
integers since 1970 UTC: whole seconds for noise (``t_s``), microseconds for water and events (``t_us``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final

import msgspec
import numpy as np

from contract.messages import LEVEL_FLOOR_DB, EdgeEvent, NoiseMinute, NoiseSecond, WaterReading
from store.series.admit import LATEST, fault, is_slug, noise_flag_bits, water_flag_bits
from store.series.interface import Entry

LEVELS: Final = ("laeq_db", "lafmax_db", "lafmin_db", "laf_db")
OPTIONAL_LEVELS: Final = ("lceq_db", "lzeq_db", "lasmax_db", "lasmin_db", "lcpeak_db", "lae_db")
_HIGHEST_LEVEL_DB: Final = 200.0
_LATEST_S: Final = int(LATEST.timestamp())

_second_fields: Final = attrgetter(*LEVELS, *OPTIONAL_LEVELS, "measured_ms", "flags", "seq", "t")


@dataclass(slots=True)
class Family:
    """The entries of one kind: ``index`` into the batch, the names of their series, and their columns."""

    index: np.ndarray
    names: list[tuple[str, str]]
    """(site, source) of each row."""
    columns: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(slots=True)
class Batch:
    """A batch by kind. ``rejected`` will never be stored."""

    families: dict[str, Family] = field(default_factory=dict)
    rejected: list[tuple[int, str]] = field(default_factory=list)


def split(entries: Sequence[Entry]) -> Batch:
    """Sort a batch into families of columns. Never raises for a bad entry."""
    groups: dict[str, list[int]] = {}
    batch = Batch()
    for index, entry in enumerate(entries):
        kind = _KIND.get(type(entry.reading))
        if kind is None:
            batch.rejected.append((index, f"{type(entry.reading).__name__} is no reading"))
        else:
            groups.setdefault(kind, []).append(index)
    for kind, indexes in groups.items():
        family = _family(kind, entries, indexes, batch.rejected)
        if len(family):
            batch.families[kind] = family
    return batch


def _family(
    kind: str, entries: Sequence[Entry], indexes: list[int], rejected: list[tuple[int, str]]
) -> Family:
    make, strict = _MAKERS[kind]
    if not strict:
        try:
            chosen = [entries[i] for i in indexes]
            columns = make(chosen)
            if _seconds_are_sound(columns) and _origins_are_sound(chosen):
                return _with_names(chosen, indexes, columns)
        except (TypeError, ValueError, OverflowError, AttributeError):
            pass  # some entry is not what its type says: the slow way below names it
    sound: list[int] = []
    for i in indexes:
        reason = fault(entries[i])
        if reason is None:
            sound.append(i)
        else:
            rejected.append((i, reason))
    chosen = [entries[i] for i in sound]
    return _with_names(chosen, sound, make(chosen))


def _with_names(chosen: list[Entry], indexes: list[int], columns: dict[str, np.ndarray]) -> Family:
    names = [(e.site, e.reading.meter if isinstance(e.reading, WaterReading) else e.device) for e in chosen]
    columns["received_us"] = _microseconds([e.received_at for e in chosen])
    return Family(np.array(indexes, dtype=np.int64), names, columns)


def _seconds(entries: list[Entry]) -> dict[str, np.ndarray]:
    if not entries:
        return {}
    values: list[tuple[Any, ...]] = list(zip(*[_second_fields(e.reading) for e in entries], strict=True))
    columns: dict[str, np.ndarray] = {}
    for key, value in zip(LEVELS, values, strict=False):
        columns[key] = np.array(value, dtype=np.float32)
    for key, value in zip(OPTIONAL_LEVELS, values[len(LEVELS) :], strict=False):
        columns[key] = _optional(value, np.float32)
    measured, flags, seq, t = values[-4:]
    columns["measured_ms"] = np.array(measured, dtype=np.int16)
    columns["flags"] = np.array([noise_flag_bits(tuple(one)) for one in flags], dtype=np.int16)
    columns["seq"] = np.array(seq, dtype=np.int64)
    columns["t_s"] = np.array([one.timestamp() for one in t], dtype=np.int64)
    return columns


def _seconds_are_sound(columns: dict[str, np.ndarray]) -> bool:
    for key in (*LEVELS, *OPTIONAL_LEVELS):
        column = columns[key]
        # A comparison with NaN is false; masked elements do not take part.
        within = (column >= LEVEL_FLOOR_DB) & (column <= _HIGHEST_LEVEL_DB)
        if not np.ma.filled(within, True).all():
            return False
    measured, t, seq = columns["measured_ms"], columns["t_s"], columns["seq"]
    return bool(
        (measured >= 1).all() and (measured <= 1000).all()
        and (t >= 0).all() and (t < _LATEST_S).all()
        and (seq >= 0).all() and (seq < 2**53).all()
    )  # fmt: skip


def _origins_are_sound(entries: list[Entry]) -> bool:
    origins = {(e.site, e.device) for e in entries}
    return all(is_slug(site) and is_slug(device) for site, device in origins) and all(
        e.received_at.tzinfo is not None for e in entries
    )


def _minutes(entries: list[Entry]) -> dict[str, np.ndarray]:
    readings: list[NoiseMinute] = [e.reading for e in entries]  # type: ignore[misc]
    return {
        "t_s": np.array([r.t.timestamp() for r in readings], dtype=np.int64),
        "measured_ms": np.array([r.measured_ms for r in readings], dtype=np.int32),
        "flags": np.array([noise_flag_bits(tuple(r.flags)) for r in readings], dtype=np.int16),
        "first_band": _optional([r.first_band for r in readings], np.int16),
        "bands_db": _ragged([r.bands_db for r in readings], np.float32),
        "laf_bins": _ragged([r.laf_bins for r in readings], np.int16),
        "laf_counts": _ragged([r.laf_counts for r in readings], np.int32),
        "seq": np.array([r.seq for r in readings], dtype=np.int64),
    }


def _water(entries: list[Entry]) -> dict[str, np.ndarray]:
    readings: list[WaterReading] = [e.reading for e in entries]  # type: ignore[misc]
    return {
        "t_us": _microseconds([r.t for r in readings]),
        "device": _texts([e.device for e in entries]),
        "volume_steps": np.array([r.volume_steps for r in readings], dtype=np.int64),
        "step_ml": np.array([r.step_ml for r in readings], dtype=np.int32),
        "flow_m3h": _optional([r.flow_m3h for r in readings], np.float64),
        "reverse_steps": _optional([r.reverse_steps for r in readings], np.int64),
        "meter_time": _texts([r.meter_time for r in readings]),
        "serial": _texts([r.serial for r in readings]),
        "flags": np.array([water_flag_bits(tuple(r.flags)) for r in readings], dtype=np.int32),
        "seq": np.array([r.seq for r in readings], dtype=np.int64),
    }


def _events(entries: list[Entry]) -> dict[str, np.ndarray]:
    readings: list[EdgeEvent] = [e.reading for e in entries]  # type: ignore[misc]
    return {
        "t_us": _microseconds([r.t for r in readings]),
        "kind": _texts([r.kind for r in readings]),
        "meter": _texts([r.meter for r in readings]),
        "detail": _texts([msgspec.json.encode(r.detail).decode() for r in readings]),
        "seq": np.array([r.seq for r in readings], dtype=np.int64),
    }


def _optional(values: Sequence[Any], dtype: type[np.generic]) -> np.ndarray:
    missing = [value is None for value in values]
    if not any(missing):
        return np.array(values, dtype=dtype)
    stand_in = math.nan if issubclass(dtype, np.floating) else -1  # seen by nobody but memory.Newest
    filled = np.array([stand_in if value is None else value for value in values], dtype=dtype)
    return np.ma.masked_array(filled, mask=missing)


def _ragged(values: Sequence[Sequence[Any]], dtype: type[np.generic]) -> np.ndarray:
    column = np.empty(len(values), dtype=object)
    for i, one in enumerate(values):
        column[i] = np.array(one, dtype=dtype)
    return column


def _texts(values: Sequence[str | None]) -> np.ndarray:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def _microseconds(times: Sequence[Any]) -> np.ndarray:
    return np.rint(np.array([t.timestamp() for t in times], dtype=np.float64) * 1e6).astype(np.int64)


_KIND: Final[dict[type, str]] = {
    NoiseSecond: "noise",
    NoiseMinute: "spectrum",
    WaterReading: "water",
    EdgeEvent: "event",
}
_Maker = Callable[[list[Entry]], dict[str, np.ndarray]]
# Seconds are the load: they are judged as arrays. The others come a sixtieth as often and are judged one by one.
_MAKERS: Final[dict[str, tuple[_Maker, bool]]] = {
    "noise": (_seconds, False),
    "spectrum": (_minutes, True),
    "water": (_water, True),
    "event": (_events, True),
}
