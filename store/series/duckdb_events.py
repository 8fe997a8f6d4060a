"""Edge events out of DuckDB."""

# ruff: noqa: S608  SQL is put together from this package's own names and from integers; values are bound

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from store.series.duckdb_file import Connection
from store.series.duckdb_water import utc
from store.series.interface import EventRow
from store.series.memory import Sources


def events(
    connection: Connection, sources: Sources, start_us: int, end_us: int, numbers: Sequence[int] | None,
    kind: str | None, limit: int,
) -> list[EventRow]:  # fmt: skip
    """Return events of a range, newest first."""
    if numbers is not None and not numbers:
        return []
    chosen = "" if numbers is None else f"AND source IN ({', '.join(map(str, numbers))})"
    rows = connection.rows(
        "SELECT source, t_us, kind, meter, detail FROM event WHERE t_us >= $start AND t_us < $end "
        f"AND ($kind IS NULL OR kind = $kind) {chosen} ORDER BY t_us DESC, seq DESC LIMIT $limit",
        {"start": start_us, "end": end_us, "kind": kind, "limit": limit},
    )
    return [
        EventRow(site, device, utc(t_us), its_kind, meter, msgspec.json.decode(detail))
        for (site, device), (_, t_us, its_kind, meter, detail) in (
            (sources.names[row[0]], row) for row in rows
        )
    ]
