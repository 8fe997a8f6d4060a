"""Working days and days of rest, with the days that China swaps; the one file that imports ``holidays``."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

import holidays


@lru_cache(maxsize=8)
def _calendar(country: str) -> holidays.HolidayBase:
    return holidays.country_holidays(country)


@lru_cache(maxsize=4096)
def is_workday(day: date, country: str = "CN") -> bool:
    """Say whether people work on ``day``: not on weekends and public holidays, but on swapped weekend days.

    Holidays of China are announced by the State Council a year ahead; a later year knows only the fixed ones.
    Raises ``NotImplementedError`` for a country that is not known.
    """
    return _calendar(country).is_working_day(day)


@lru_cache(maxsize=1024)
def holiday_name(day: date, country: str = "CN") -> str | None:
    """Return the name of the public holiday that ``day`` is, in English, or ``None``."""
    return _calendar(country).get(day)
