"""What the values in DuckDB's columns are in Python."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np


def utc(t_s: float) -> datetime:
    """Return seconds since 1970 as a time."""
    return datetime.fromtimestamp(t_s, UTC)


def rounded(column: np.ndarray) -> list[Any]:
    """Return stored levels as numbers, NULL as ``None``; four decimals are what a level's 32 bits are good for."""
    return np.round(column.astype(np.float64), 4).tolist()


def known(level_db: Any) -> float | None:
    """Return a level, or ``None`` for NaN."""
    return None if np.isnan(level_db) else float(level_db)
