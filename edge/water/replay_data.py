"""Reads recorded registers from CSV: times and volumes of several meters, defects and all."""

from __future__ import annotations

import csv
import gzip
import io
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from edge.water.settings import ReplaySettings

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)


class ReplayDataError(ValueError):
    """The file cannot be played; the text names the file, the line or key, and the cause."""


@dataclass(slots=True)
class Track:
    """One meter's recorded readings, ascending in time: microseconds since 1970 and register in steps."""

    meter: str
    times_us: array[int] = field(default_factory=lambda: array("q"))
    steps: array[int] = field(default_factory=lambda: array("q"))


def epoch_us(t: datetime) -> int:
    """Return a time as microseconds since 1970; one without a zone counts as UTC."""
    return ((t if t.tzinfo else t.replace(tzinfo=UTC)) - _EPOCH) // _US


def load_tracks(settings: ReplaySettings) -> list[Track]:
    """Read the file; meters in the order in which they appear. Raises :class:`ReplayDataError`."""
    path = Path(settings.file)
    try:
        with _opened(path) as file:
            rows = csv.reader(file)
            header = next(rows, [])
            cells = _long_cells if settings.layout == "long" else _wide_cells
            tracks = _collect(path, cells(settings, header, rows), settings)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise ReplayDataError(f"file {path} cannot be read: {error}") from error
    except ValueError as error:
        raise ReplayDataError(f"file {path}: {error}") from error
    missing = sorted(set(settings.meters.values()) - {track.meter for track in tracks})
    if missing:
        raise ReplayDataError(f"file {path}: meters: no reading for {', '.join(missing)}")
    if not tracks:
        raise ReplayDataError(f"file {path} holds no reading")
    return [_in_order(track) for track in tracks]


def _opened(path: Path) -> io.TextIOWrapper:
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(path), encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _column(header: list[str], name: str, key: str) -> int:
    try:
        return header.index(name)
    except ValueError:
        raise ValueError(
            f"{key}: no column {name!r}; the header has {', '.join(header) or 'nothing'}"
        ) from None


Cell = tuple[int, str, str, str]
"""Line number, meter in the data, time, volume."""


def _long_cells(settings: ReplaySettings, header: list[str], rows: Iterable[list[str]]) -> Iterator[Cell]:
    time = _column(header, settings.time_column, "time_column")
    meter = _column(header, settings.meter_column, "meter_column")
    volume = _column(header, settings.volume_column, "volume_column")
    width = max(time, meter, volume)
    for line, row in enumerate(rows, 2):
        if len(row) > width:
            yield line, row[meter], row[time], row[volume]
        elif row:
            raise ValueError(f"line {line} has {len(row)} columns, not {len(header)}")


def _wide_cells(settings: ReplaySettings, header: list[str], rows: Iterable[list[str]]) -> Iterator[Cell]:
    time = _column(header, settings.time_column, "time_column")
    wanted = settings.meters or {name: "" for name in header if name != settings.time_column}
    columns = [(name, _column(header, name, "meters")) for name in wanted]
    for line, row in enumerate(rows, 2):
        if row and len(row) != len(header):
            raise ValueError(f"line {line} has {len(row)} columns, not {len(header)}")
        for name, column in columns if row else ():
            yield line, name, row[time], row[column]


def _collect(path: Path, cells: Iterable[Cell], settings: ReplaySettings) -> list[Track]:
    tracks: dict[str, Track] = {}
    times: dict[str, int] = {}
    for line, name, time, volume in cells:
        meter = settings.meters.get(name) if settings.meters else name.lower()
        if meter is None or not volume.strip():
            continue
        try:
            t_us = times.get(time)
            if t_us is None:
                t_us = times[time] = epoch_us(_parse_time(time))
            steps = int(Decimal(volume) * settings.unit_ml // settings.step_ml)
        except (ValueError, InvalidOperation, OverflowError):
            raise ReplayDataError(
                f"file {path}, line {line}: {time!r} is no time or {volume!r} no number"
            ) from None
        track = tracks.setdefault(meter, Track(meter))
        track.times_us.append(t_us)
        track.steps.append(steps)
    return list(tracks.values())


def _parse_time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return _EPOCH + timedelta(seconds=float(text))


def _in_order(track: Track) -> Track:
    order = sorted(range(len(track.times_us)), key=track.times_us.__getitem__)
    return Track(
        track.meter,
        array("q", (track.times_us[i] for i in order)),
        array("q", (track.steps[i] for i in order)),
    )
