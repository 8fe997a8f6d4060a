"""The months and years that reports are about."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date
from typing import Literal


@dataclass(frozen=True, slots=True)
class Period:
    """A calendar month or year in the site's own time, both dates included; its last night ends a morning later."""

    kind: Literal["month", "year"]
    first: date
    last: date

    @property
    def name(self) -> str:
        """``2026-10`` or ``2026``."""
        return self.first.strftime("%Y-%m" if self.kind == "month" else "%Y")

    @property
    def days(self) -> int:
        """How many dates it has."""
        return (self.last - self.first).days + 1


def parse(text: str) -> Period:
    """Read ``2026-10`` or ``2026``. Raises ``ValueError`` that names what is wanted."""
    found = re.fullmatch(r"(20\d\d)(?:-(0[1-9]|1[0-2]))?", text)
    if found is None:
        raise ValueError(f"{text!r} is no month and no year; write 2026-10 or 2026")
    year = int(found[1])
    if found[2] is None:
        return Period("year", date(year, 1, 1), date(year, 12, 31))
    month = int(found[2])
    return Period("month", date(year, month, 1), date(year, month, calendar.monthrange(year, month)[1]))
