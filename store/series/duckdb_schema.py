"""The tables of the DuckDB store, and the check that a file is one of ours.

Series are named once, in ``source``; rows carry its number. ``t_s`` are seconds and ``t_us`` microseconds since 1970
UTC: narrow integers compress to a few bits in DuckDB's columns. There is no primary key on the readings: an index over
them would take more room than the readings. :mod:`store.series.duckdb_write` keeps their identity unique.
"""

from __future__ import annotations

from typing import Final

from store.series.duckdb_file import Connection, DuckDbFile, UnusableStoreFile

SCHEMA_VERSION: Final = 1

_HOUR_COLUMNS: Final = """
    source INTEGER NOT NULL, t_s BIGINT NOT NULL, revision INTEGER NOT NULL,
    laeq_db FLOAT, l5_db FLOAT, l10_db FLOAT, l50_db FLOAT, l90_db FLOAT, l95_db FLOAT,
    lafmax_db FLOAT, lafmin_db FLOAT, sd_db FLOAT,
    valid_s DOUBLE NOT NULL, valid_share DOUBLE NOT NULL, measured_s DOUBLE NOT NULL, seconds INTEGER NOT NULL,
    ln_from VARCHAR NOT NULL, laf BLOB, excluded_s VARCHAR"""
_WATER_HOUR_COLUMNS: Final = """
    source INTEGER NOT NULL, t_s BIGINT NOT NULL, revision INTEGER NOT NULL,
    volume_l DOUBLE, readings INTEGER NOT NULL, flags INTEGER NOT NULL"""

_TABLES: Final = (
    "CREATE TABLE quietwater_store (version INTEGER NOT NULL)",
    "CREATE TABLE source (id INTEGER NOT NULL, site VARCHAR NOT NULL, name VARCHAR NOT NULL)",
    """CREATE TABLE noise_second (
        source INTEGER NOT NULL, t_s BIGINT NOT NULL,
        laeq_db FLOAT NOT NULL, lafmax_db FLOAT NOT NULL, lafmin_db FLOAT NOT NULL, laf_db FLOAT NOT NULL,
        lceq_db FLOAT, lzeq_db FLOAT, lasmax_db FLOAT, lasmin_db FLOAT, lcpeak_db FLOAT, lae_db FLOAT,
        measured_ms SMALLINT NOT NULL, flags SMALLINT NOT NULL, seq BIGINT NOT NULL, received_us BIGINT NOT NULL)""",
    """CREATE TABLE noise_minute (
        source INTEGER NOT NULL, t_s BIGINT NOT NULL, measured_ms INTEGER NOT NULL, flags SMALLINT NOT NULL,
        first_band SMALLINT, bands_db FLOAT[], laf_bins SMALLINT[], laf_counts INTEGER[],
        seq BIGINT NOT NULL, received_us BIGINT NOT NULL)""",
    """CREATE TABLE water_reading (
        source INTEGER NOT NULL, t_us BIGINT NOT NULL, device VARCHAR NOT NULL,
        volume_steps BIGINT NOT NULL, step_ml INTEGER NOT NULL, flow_m3h DOUBLE, reverse_steps BIGINT,
        meter_time VARCHAR, serial VARCHAR, flags INTEGER NOT NULL,
        seq BIGINT NOT NULL, received_us BIGINT NOT NULL)""",
    """CREATE TABLE event (
        source INTEGER NOT NULL, t_us BIGINT NOT NULL, kind VARCHAR NOT NULL, meter VARCHAR,
        detail VARCHAR NOT NULL, seq BIGINT NOT NULL, received_us BIGINT NOT NULL)""",
    "CREATE TABLE dirty_hour (kind VARCHAR NOT NULL, source INTEGER NOT NULL, t_s BIGINT NOT NULL)",
    f"CREATE TABLE noise_hour ({_HOUR_COLUMNS})",
    f"CREATE TABLE noise_hour_superseded ({_HOUR_COLUMNS})",
    f"CREATE TABLE water_hour ({_WATER_HOUR_COLUMNS})",
    f"CREATE TABLE water_hour_superseded ({_WATER_HOUR_COLUMNS})",
    # For people who open the file with DuckDB itself.
    """CREATE VIEW noise AS SELECT site, name AS device, make_timestamp(t_s * 1000000) AS t,
        noise_second.* EXCLUDE (source, t_s) FROM noise_second JOIN source ON source.id = noise_second.source""",
    """CREATE VIEW water AS SELECT site, name AS meter, make_timestamp(t_us) AS t,
        volume_steps::HUGEINT * step_ml AS volume_ml, water_reading.* EXCLUDE (source, t_us)
        FROM water_reading JOIN source ON source.id = water_reading.source""",
)


# Made in files of an earlier version, too, which lack nothing else for it.
_ADDED: Final = ("CREATE TABLE IF NOT EXISTS tidied (name VARCHAR NOT NULL, upto BIGINT NOT NULL)",)

STATEMENTS: Final = (*_TABLES, *_ADDED)
"""What makes the tables of a new file."""


def prepare(file: DuckDbFile) -> None:
    """Make the tables in a new file, or check an old one. Raises :class:`UnusableStoreFile`."""
    with file.write() as connection:
        tables = {row[0] for row in connection.rows("SELECT table_name FROM duckdb_tables()")}
        if not tables:
            for statement in _TABLES:
                connection.execute(statement)
            connection.execute("INSERT INTO quietwater_store VALUES (?)", [SCHEMA_VERSION])
        else:
            _check(connection, file, tables)
        for statement in _ADDED:
            connection.execute(statement)


def _check(connection: Connection, file: DuckDbFile, tables: set[str]) -> None:
    if "quietwater_store" not in tables:
        raise UnusableStoreFile(
            f"{file.path} is a DuckDB database, but no store of Quietwater; "
            "choose another path, or move the file away"
        )
    versions = [row[0] for row in connection.rows("SELECT version FROM quietwater_store")]
    if versions != [SCHEMA_VERSION]:
        raise UnusableStoreFile(
            f"{file.path} was written by a newer Quietwater (store version {max(versions, default=0)}, this one reads "
            f"{SCHEMA_VERSION}); install that version again, or restore a backup made with this one"
        )
