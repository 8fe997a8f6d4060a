"""A registry goes from one database to another whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text

from store.registry.copying import CopyRefused, copy_registry
from store.registry.database import Registry
from store.registry.models import Alert, AuditEntry, Base, QuarantinedMessage, Rule, Site, User
from store.registry.provisioning import add_device, add_meter, add_site
from store.registry.quarantine import Rejected, hold
from store.registry.users import create_user
from tests.postgres import PostgresServer

pytestmark = pytest.mark.own_registry

NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)


@pytest.fixture(params=["sqlite to postgresql", "postgresql to sqlite"])
def backend(request: pytest.FixtureRequest) -> str:
    """Which way."""
    return request.param


@pytest.fixture
def ends(
    backend: str, postgres_server: PostgresServer, tmp_path: Path
) -> Iterator[tuple[Registry, Registry]]:
    """The registry to copy, furnished, and an empty one."""
    with postgres_server.database() as address:
        file, server = Registry.in_file(tmp_path / "r.sqlite"), address.open()
        source, target = (file, server) if backend.startswith("sqlite") else (server, file)
        _furnish(source)
        yield source, target
        file.close()
        server.close()


def _furnish(registry: Registry) -> None:
    with registry.session() as session:
        add_site(session, "s1", label_zh="静园 “一”", label_en="Quiet\tGarden 🌳", now=NOW, latitude=31.2)
        add_device(session, "s1", "d1", kind="both", label_zh="门", label_en="Gate", now=NOW)
        add_meter(session, "s1", "m1", device="d1", label_zh="表", label_en="Meter", now=NOW, persons=3)
        create_user(session, "wang", "correct horse battery", role="manager", now=NOW, sites=["s1"])
        rule = Rule(site="s1", kind="noise_window", params={"b": 1, "a": [1.5, None, "x"]}, updated_at=NOW)
        session.add(rule)
        session.flush()
        session.add(
            Alert(
                rule_id=rule.id, rule_kind="noise_window", site="s1", source="d1", state="firing", open_key="k",
                pending_since=NOW, firing_since=NOW + timedelta(seconds=1), value=61.25, no_data=False, updated_at=NOW,
            )
        )  # fmt: skip
        hold(
            session,
            [Rejected(f"t/{n}", "bad_payload", "why\0", bytes(range(256)), 256) for n in range(1200)],
            NOW,
        )


def _rows(registry: Registry) -> dict[str, list[tuple[object, ...]]]:
    with registry.reader() as session:
        return {
            table.name: [tuple(row) for row in session.execute(select(table).order_by(*table.primary_key))]
            for table in Base.metadata.sorted_tables
        }


def test_every_row_arrives_as_it_was_and_ids_go_on(ends: tuple[Registry, Registry]) -> None:
    source, target = ends
    told = copy_registry(source, target)
    assert _rows(target) == _rows(source)
    assert told["quarantine"] == 1200 and told["sites"] == told["users"] == 1 and told["login_sessions"] == 0
    with target.session() as session:
        last = max(session.scalars(select(User.id)))
        assert create_user(session, "li", "correct horse battery", role="bureau", now=NOW).id == last + 1
        session.add(AuditEntry(at=NOW, who="x", action="x", target="x"))
        hold(session, [Rejected("new", "bad_payload", "why", b"", 0)], NOW)
        assert max(session.scalars(select(QuarantinedMessage.id))) > 1200


def test_what_is_there_is_not_written_over(ends: tuple[Registry, Registry]) -> None:
    source, target = ends
    with target.session() as session:
        add_site(session, "other", label_zh="甲", label_en="A", now=NOW)
    before = _rows(target)
    with pytest.raises(CopyRefused, match="not empty: it has rows in sites"):
        copy_registry(source, target)
    assert _rows(target) == before


def test_a_row_that_is_not_taken_is_named_and_nothing_is_copied(
    ends: tuple[Registry, Registry], backend: str
) -> None:
    source, target = ends
    if backend != "sqlite to postgresql":
        pytest.skip("SQLite takes what PostgreSQL does")
    with source.session() as session:
        session.execute(text("UPDATE sites SET zone_class = 'much too long'"))
    with pytest.raises(CopyRefused, match=r"the row name='s1' of sites is not taken: value too long"):
        copy_registry(source, target)
    with target.reader() as session:
        assert session.scalars(select(Site)).all() == []
