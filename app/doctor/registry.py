"""Check of the registry, a file or on a server: whether its schema is the one that this version works with."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from app.doctor.finding import Finding, error, ok, warning
from store.registry.address import PASSWORD_VARIABLE, PostgresAddress
from store.registry.database import MIGRATIONS, RegistryUnavailable


def newest() -> str:
    """Return the schema's revision that this version makes."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return ScriptDirectory.from_config(config).get_current_head() or ""


def registry(file: Path, head: str) -> list[Finding]:
    """Compare the revision in ``file`` with ``head``; nothing is changed, nothing said if there is no file."""
    if not file.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as db:
            (there,) = db.execute("SELECT version_num FROM alembic_version").fetchone()
    except (sqlite3.Error, TypeError) as problem:
        return [error("registry_unreadable", f"{file.name}: {problem}", "put it aside and restore a backup")]
    return [_compared(file.name, there, head)]


def registry_server(address: PostgresAddress, head: str) -> list[Finding]:
    """Compare the revision of a registry on a server with ``head``; nothing is changed."""
    try:
        there = address.revision()
    except RegistryUnavailable as problem:
        told = f"{address}: {problem}"
        if "FATAL" in told or "permission denied" in told:  # the server itself says no
            cure = f"correct user, database or password ({PASSWORD_VARIABLE}, _FILE or ~/.pgpass)"
            return [error("registry_refused", told, cure)]
        return [error("registry_unreachable", told, "check address, port and firewall, and that it runs")]
    if there is None:
        return [ok("registry", f"{address} answers; the server makes its tables at its first start")]
    return [_compared(str(address), there, head)]


def _compared(name: str, there: str, head: str) -> Finding:
    if there == head:
        return ok("registry", f"{name} is at revision {head}")
    if there > head:
        cure = "install the newer version of Quietwater that wrote it"
        return error("registry_newer", f"{name} is at revision {there}, this version knows {head}", cure)
    cure = "make a backup, then start the server: it brings the schema up to date"
    return warning("registry_older", f"{name} is at revision {there}, this version makes {head}", cure)
