"""Times and ranges as the API takes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final

from fastapi import Query
from pydantic import AfterValidator, AwareDatetime

from api.problems import invalid

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)


def _sane(t: datetime) -> datetime:
    if not EARLIEST <= t <= LATEST:
        raise ValueError("must lie between 2000 and 2100")
    return t.astimezone(UTC)


def _sane_date(day: date) -> date:
    if not EARLIEST.date() < day < LATEST.date():
        raise ValueError("must lie between 2000 and 2100")
    return day


Instant = Annotated[AwareDatetime, AfterValidator(_sane)]
Day = Annotated[date, AfterValidator(_sane_date)]
SiteName = Annotated[str, Query(max_length=32, description="Quarter.", examples=["quiet-garden"])]
Start = Annotated[
    Instant | None,
    Query(description="Start, ISO 8601 with zone; without it a day (or less) before the end.",
          examples=["2026-03-01T00:00:00Z"]),
]  # fmt: skip
End = Annotated[
    Instant | None,
    Query(
        description="End (excluded), ISO 8601 with zone; without it now.", examples=["2026-03-02T00:00:00Z"]
    ),
]
FirstDay = Annotated[
    Day | None,
    Query(
        description="First date (the site's); without it 29 days before the last.", examples=["2026-02-01"]
    ),
]
LastDay = Annotated[
    Day | None, Query(description="Last date, included; without it today.", examples=["2026-02-28"])
]


@dataclass(frozen=True, slots=True)
class Range:
    """A half-open range of time, UTC."""

    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end - self.start).total_seconds()


def range_of(
    start: datetime | None, end: datetime | None, now: datetime, *, usual: timedelta, longest: timedelta
) -> Range:
    """Complete a range: it ends now and is ``usual`` long unless said otherwise.

    Raises the problem ``invalid_input`` for one that is turned round or longer than ``longest``.
    """
    until = end or (start + usual if start else now)
    since = start or until - usual
    if since > until:
        raise invalid("query.start", "start must not be after end")
    if until - since > longest:
        raise invalid("query.start", f"the range is longer than {_words(longest)}; ask for it in parts")
    return Range(since, until)


def dates_of(
    first: date | None, last: date | None, today: date, *, usual_days: int, longest_days: int
) -> tuple[date, date]:
    """Complete a range of dates, both included. Raises the problem ``invalid_input``."""
    until = last or today
    since = first or until - timedelta(days=usual_days - 1)
    if since > until:
        raise invalid("query.first", "first must not be after last")
    if (until - since).days >= longest_days:
        raise invalid("query.first", f"the range is longer than {longest_days} days; ask for it in parts")
    return since, until


def _words(span: timedelta) -> str:
    return f"{span.days} days" if span.days else f"{span.total_seconds() / 3600:.0f} hours"
