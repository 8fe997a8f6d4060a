"""Registries of tests on PostgreSQL: what asks for the registry of a folder gets a database of that folder's own."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Final

import pytest

from store.registry.address import PASSWORD_VARIABLE, VARIABLE, PostgresAddress
from store.registry.database import Registry
from tests.postgres import PASSWORD, PostgresServer

BACKEND_VARIABLE: Final = "QUIETWATER_TEST_REGISTRY"


def on_server() -> bool:
    """Whether the registries of this run are on PostgreSQL."""
    return os.environ.get(BACKEND_VARIABLE) == "postgresql"


class OnServer:
    """Databases by folder, until the end of a block; the same folder opened twice is the same database."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._names: dict[Path, str] = {}
        self._for_all: str | None = None

    def __enter__(self) -> OnServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in {*self._names.values(), *([self._for_all] if self._for_all else [])}:
            self._server.drop_database(name)

    def of(self, path: Path) -> PostgresAddress:
        """Return the database that stands for an SQLite file."""
        if self._for_all:
            return self._server.address(self._for_all)
        if path not in self._names:
            self._names[path] = self._server.make_database()
        return self._server.address(self._names[path])

    def take_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have this process open databases in place of files."""
        monkeypatch.setattr(Registry, "in_file", classmethod(lambda _cls, path: self.of(path).open()))

    def tell_commands(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have commands that are started from now on, and this process, use one database whatever their folder."""
        self._for_all = self._server.make_database()
        monkeypatch.setenv(VARIABLE, str(self._server.address(self._for_all)))
        monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
