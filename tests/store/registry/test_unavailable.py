import sqlite3
from datetime import UTC, datetime

import pytest

from store.registry.database import Registry, RegistryUnavailable
from store.registry.provisioning import add_site
from store.registry.replay import ReplayResult, ask, finish, pending, result_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_locked_file_is_told_as_such_and_nothing_is_committed(tmp_path, backend):
    if backend != "sqlite":
        pytest.skip("the lock of a file; that of a server is in test_postgresql.py")
    registry = Registry.in_folder(tmp_path)
    pooled = registry._engine.raw_connection()
    pooled.cursor().execute("PRAGMA busy_timeout = 50")
    pooled.close()
    other = sqlite3.connect(tmp_path / "registry.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(RegistryUnavailable, match="database is locked"), registry.session() as session:
        add_site(session, "s1", label_zh="静园", label_en="Quiet", now=NOW)
    other.execute("ROLLBACK")
    with registry.session() as session:
        add_site(session, "s1", label_zh="静园", label_en="Quiet", now=NOW)
    registry.close()


def test_a_zone_that_does_not_exist_is_refused(tmp_path):
    registry = Registry.in_folder(tmp_path)
    for zone in ("Asia/Shangai", "", "../etc/passwd", "/etc/localtime"):
        with pytest.raises(ValueError, match="there is no time zone"), registry.session() as session:
            add_site(session, "s1", label_zh="静园", label_en="Quiet", now=NOW, timezone=zone)
    registry.close()


def test_a_replay_is_asked_for_done_and_told(tmp_path):
    registry = Registry.in_folder(tmp_path)
    with registry.session() as session:
        assert pending(session) is None
        first = ask(session)
        second = ask(session)
        assert pending(session) == second
        assert result_of(session, first) is None
        finish(session, second, ReplayResult(stored=3, refused=1, still_held=2))
        assert pending(session) is None
        assert result_of(session, first) == result_of(session, second) == ReplayResult(3, 1, 2)
        assert result_of(session, second + 1) is None
        third = ask(session)
        finish(session, third, ReplayResult())
        assert result_of(session, third) == ReplayResult(0, 0, 0)
    registry.close()
