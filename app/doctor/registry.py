"""Check of the registry in the data folder: whether its schema is the one that this version works with."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from app.doctor.finding import Finding, error, ok, warning
from store.registry.database import MIGRATIONS


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
    if there == head:
        return [ok("registry", f"{file.name} is at revision {head}")]
    if there > head:
        cure = "install the newer version of Quietwater that wrote it"
        return [
            error("registry_newer", f"{file.name} is at revision {there}, this version knows {head}", cure)
        ]
    cure = "make a backup, then start the server: it brings the schema up to date"
    return [warning("registry_older", f"{file.name} is at revision {there}, this version makes {head}", cure)]
