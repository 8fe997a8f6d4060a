from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, StatementError

from store.registry.database import Registry
from store.registry.models import Alert, Base, Rule, Site, User

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _site(name: str = "quiet-garden") -> Site:
    return Site(name=name, label_zh="静园", label_en="Quiet Garden", created_at=NOW)


def test_migrations_make_exactly_the_models(tmp_path: Path) -> None:
    registry = Registry.in_folder(tmp_path)
    with registry.session() as session:
        context = MigrationContext.configure(session.connection())
        assert compare_metadata(context, Base.metadata) == []
    registry.close()


def test_opening_twice_keeps_what_is_there(tmp_path: Path) -> None:
    first = Registry.in_folder(tmp_path)
    with first.session() as session:
        session.add(_site())
    first.close()
    second = Registry.in_folder(tmp_path)
    with second.reader() as session:
        assert session.scalars(select(Site.label_zh)).all() == ["静园"]


def test_times_come_back_in_utc_and_naive_ones_are_refused(tmp_path: Path) -> None:
    registry = Registry.in_folder(tmp_path)
    shanghai = NOW.astimezone(timezone(timedelta(hours=8)))
    with registry.session() as session:
        site = _site()
        site.created_at = shanghai
        session.add(site)
    with registry.reader() as session:
        read = session.scalars(select(Site)).one().created_at
        assert read == NOW
        assert read.utcoffset() == timedelta(0)
    with pytest.raises(StatementError, match="with a zone only"), registry.session() as session:
        site = _site("other")
        site.created_at = NOW.replace(tzinfo=None)
        session.add(site)


def test_a_reader_never_waits_for_a_writer_and_changes_nothing(tmp_path: Path) -> None:
    registry = Registry.in_folder(tmp_path)
    with registry.session() as writer:
        writer.add(_site())
        writer.flush()
        with registry.reader() as reader:
            assert reader.scalars(select(Site)).all() == []
    with registry.reader() as reader:
        reader.scalars(select(Site)).one().label_en = "changed"
    with registry.reader() as reader:
        assert reader.scalars(select(Site)).one().label_en == "Quiet Garden"


def test_the_database_refuses_a_second_open_alert_of_one_rule_and_source(tmp_path: Path) -> None:
    registry = Registry.in_folder(tmp_path)
    with registry.session() as session:
        session.add(_site())
        session.flush()
        rule = Rule(site="quiet-garden", kind="noise_window", updated_at=NOW)
        session.add(rule)
        session.flush()
        rule_id = rule.id

    def alert() -> Alert:
        return Alert(
            rule_id=rule_id, rule_kind="noise_window", site="quiet-garden", source="gate", state="firing",
            open_key=f"{rule_id}/quiet-garden/gate", pending_since=NOW, updated_at=NOW,
        )  # fmt: skip

    with registry.session() as session:
        session.add(alert())
    with pytest.raises(IntegrityError), registry.session() as session:
        session.add(alert())


def test_a_statement_that_fails_does_not_tell_its_values(tmp_path: Path) -> None:
    registry = Registry.in_folder(tmp_path)

    def add() -> None:
        with registry.session() as session:
            session.add(User(name="li", password_hash="scrypt$of-a-person", role="viewer", created_at=NOW))

    add()
    with pytest.raises(IntegrityError) as told:
        add()
    assert "users" in str(told.value) and "of-a-person" not in str(told.value)
    registry.close()
