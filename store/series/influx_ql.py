"""InfluxQL statements and their answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from store.series.influx_http import InfluxHttp, Row

S: Final = 1_000_000_000
US: Final = 1000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STATEMENTS_AT_A_TIME: Final = 200


def where(
    *, site: str | None = None, source: str | None = None, start_ns: int | None = None,
    end_ns: int | None = None, more: str = "",
) -> str:  # fmt: skip
    """Return a WHERE clause; the range is half open. Names are checked to be such before they get here."""
    parts = []
    if site is not None:
        parts.append(f"site = {quoted(site)}")
    if source is not None:
        parts.append(f"source = {quoted(source)}")
    if start_ns is not None:
        parts.append(f"time >= {start_ns}")
    if end_ns is not None:
        parts.append(f"time < {end_ns}")
    if more:
        parts.append(more)
    return " WHERE " + " AND ".join(parts) if parts else ""


def quoted(text: str) -> str:
    """Return a text as an InfluxQL literal."""
    # InfluxQL has no escape for other control characters and fails at some of them. No name has one, so what is asked
    # for with one may be any other name that is not there.
    known = "".join(one if one >= " " or one == "\n" else "\ufffd" for one in text)
    escaped = known.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def ask(http: InfluxHttp, database: str, statements: Sequence[str]) -> list[list[Row]]:
    """Run any number of statements, some hundred in a request."""
    answers: list[list[Row]] = []
    for begin in range(0, len(statements), _STATEMENTS_AT_A_TIME):
        answers += http.query(database, statements[begin : begin + _STATEMENTS_AT_A_TIME])
    return answers


def values(answer: Sequence[Row]) -> list[list[Any]]:
    """Return the rows of an answer that has one series or none."""
    return answer[0].values if answer else []


def by_source(answer: Sequence[Row]) -> Iterator[tuple[tuple[str, str], list[list[Any]]]]:
    """Return the rows of each (site, source) of an answer grouped by both."""
    for one in answer:
        yield (one.tags.get("site", ""), one.tags.get("source", "")), one.values


def ns(t: datetime) -> int:
    """Return a time in nanoseconds since 1970. Raises ``ValueError`` for one without zone."""
    if t.tzinfo is None:
        raise ValueError(f"{t.isoformat()} has no time zone")
    return (t - _EPOCH) // timedelta(microseconds=1) * US


def span(start: datetime, end: datetime) -> tuple[int, int]:
    """Return a range in nanoseconds. Raises ``ValueError`` when it ends before it starts."""
    if start.tzinfo is not None and end.tzinfo is not None and end < start:
        raise ValueError(f"the range ends ({end.isoformat()}) before it starts ({start.isoformat()})")
    return ns(start), ns(end)


def utc(t_ns: int) -> datetime:
    """Return nanoseconds since 1970 as a time, to the microsecond."""
    return _EPOCH + timedelta(microseconds=t_ns // US)


def as_int(value: Any) -> int:
    """Return an integer that a server may have sent as 12 or 12.0, or left out."""
    return int(value or 0)
