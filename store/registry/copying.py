"""Copy a registry into another one, whichever databases they are on: for backups, and to move to a server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Table, func, insert, select, text
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.sql.sqltypes import Integer

from store.registry.database import Registry
from store.registry.models import Base

_CHUNK: Final = 500
"""Rows in one statement; the longest have 64 KiB."""


class CopyRefused(Exception):
    """Nothing was copied; the message says why and what helps."""


def copy_registry(source: Registry, target: Registry) -> dict[str, int]:
    """Copy every row in one transaction and return their numbers by table, counted on both sides.

    The source is read at one moment; the target must be empty. Raises :class:`CopyRefused` and
    ``RegistryUnavailable``; then the target is as it was.
    """
    rows: dict[str, int] = {}
    with source.reader() as reader, target.session() as writer:
        here, there = reader.connection(), writer.connection()
        _demand_empty(there)
        for table in Base.metadata.sorted_tables:
            for chunk in _chunks(here, table):
                _insert(there, table, chunk)
            rows[table.name] = _count(here, table)
            arrived = _count(there, table)
            if arrived != rows[table.name]:
                raise CopyRefused(f"of {rows[table.name]} rows in {table.name} {arrived} arrived; try again")
            if target.dialect == "postgresql":
                _go_on_counting(there, table)
    return rows


def _demand_empty(connection: Connection) -> None:
    found = [table.name for table in Base.metadata.sorted_tables if _count(connection, table)]
    if found:
        raise CopyRefused(
            f"the registry to copy into is not empty: it has rows in {', '.join(found)}; make a new database"
        )


def _chunks(connection: Connection, table: Table) -> Iterator[Sequence[dict[str, Any]]]:
    ordered = select(table).order_by(*table.primary_key)
    result = connection.execution_options(yield_per=_CHUNK).execute(ordered)
    for chunk in result.mappings().partitions(_CHUNK):
        yield [dict(row) for row in chunk]


def _insert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows; where the database takes not all of them, find the one that it does not take and name it."""
    try:
        with connection.begin_nested():
            connection.execute(insert(table), rows)
        return
    except (DataError, IntegrityError) as error:
        refused = error
    for row in rows:
        try:
            with connection.begin_nested():
                connection.execute(insert(table), row)
        except (DataError, IntegrityError) as error:
            key = ", ".join(f"{column.name}={row[column.name]!r}" for column in table.primary_key)
            cause = " ".join(str(error.orig).split())
            raise CopyRefused(
                f"the row {key} of {table.name} is not taken: {cause}; correct it where it is, then copy again"
            ) from error
    raise CopyRefused(f"rows of {table.name} are not taken: {refused.orig}")


def _go_on_counting(connection: Connection, table: Table) -> None:
    """Let the next id be the one after the last: copied ids pass a sequence by."""
    key = list(table.primary_key)
    if len(key) == 1 and isinstance(key[0].type, Integer) and not key[0].foreign_keys:
        name, column = table.name, key[0].name
        connection.execute(
            text(
                f"SELECT setval(pg_get_serial_sequence('{name}', '{column}'), max({column})) FROM {name} "  # noqa: S608
                f"HAVING max({column}) IS NOT NULL"
            )
        )


def _count(connection: Connection, table: Table) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0
