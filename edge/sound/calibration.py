"""The calibration file: the sensitivity of a device, where it comes from and how it has drifted."""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from edge.sound.settings import Level

FILE_NAME: Final = "calibration.json"


class CalibrationError(ValueError):
    """A calibration file cannot be used; the text names it, the cause and the cure."""


class Calibration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What ``quietwater edge calibrate`` found. Levels in dB re 20 µPa."""

    full_scale_db: Level
    """Level of an RMS of 1: with it the calibrator reads its own level."""
    calibrated_at: Annotated[datetime, Meta(tz=True)]
    calibrator_db: Level
    """Level of the calibrator."""
    frequency_hz: float
    """Frequency at which it was heard, Hz."""
    calibrator: str | None = None
    """Make and serial number of the calibrator."""
    level_assumed: bool = False
    """The level was not given and nothing told it: 94 dB was assumed."""
    stable_s: float = 5.0
    """For how long the level was stable (IEC 60942 asks for 5 s)."""
    spread_db: float = 0.0
    """Highest less lowest level in that time."""
    drift_db: float | None = None
    """Change of ``full_scale_db`` since the calibration before; ``None`` for the first."""
    previous_at: datetime | None = None
    rate_hz: int | None = None
    deinterleave: bool = False
    source: str | None = None
    forced: bool = False
    """It was accepted against a refusal."""


def load_calibration(path: Path) -> Calibration:
    """Read a calibration. Raises :class:`CalibrationError`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Calibration)
    except OSError as error:
        raise CalibrationError(f"calibration file {path} cannot be read: {error}") from error
    except msgspec.DecodeError as error:
        raise CalibrationError(
            f"calibration file {path} is damaged ({error}); calibrate again or restore it"
        ) from error


def save_calibration(path: Path, calibration: Calibration) -> None:
    """Write a calibration at once and wholly, and add it to the history beside it. Raises ``OSError``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = msgspec.json.encode(calibration)
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(msgspec.json.format(line, indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    with path.with_suffix(".history.jsonl").open("ab") as history:
        history.write(line + b"\n")


def find_calibration(configured: str | None, folder: Path) -> Calibration | None:
    """Return the configured calibration, or the one in the data folder, or ``None`` where there is none.

    Raises :class:`CalibrationError` for one that is configured and missing, or damaged.
    """
    if configured is not None:
        return load_calibration(Path(configured))
    path = folder / FILE_NAME
    with contextlib.suppress(OSError):
        if path.exists():
            return load_calibration(path)
    return None


def overdue(calibration: Calibration | None, now: datetime, interval_days: int) -> bool:
    """Say whether a calibration is too old; one that never was is overdue too."""
    return calibration is None or now.astimezone(UTC) - calibration.calibrated_at > timedelta(
        days=interval_days
    )
