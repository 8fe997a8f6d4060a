from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, event, text

from store.registry.database import MIGRATIONS


def _to(connection: Connection, revision: str, move: str = "upgrade") -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    getattr(command, move)(config, revision)


def test_a_registry_of_the_first_version_keeps_its_rows_both_ways(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'r.sqlite'}")
    event.listen(engine, "connect", lambda dbapi, _: dbapi.execute("PRAGMA foreign_keys=ON"))
    with engine.begin() as connection:
        _to(connection, "0001")
        connection.execute(
            text(
                "INSERT INTO sites (name, label_zh, label_en, district, zone_class, timezone, day_starts_h, "
                "night_starts_h, created_at) VALUES ('a', '甲', 'A', '', '1', 'Asia/Shanghai', 6, 22, '2026-01-01')"
            )
        )
        connection.execute(
            text("INSERT INTO rules (site, kind, enabled, version, params, updated_at) "
                 "VALUES ('a', 'noise_window', 1, 1, '{}', '2026-01-01')")
        )  # fmt: skip
    with engine.begin() as connection:
        _to(connection, "0002")
        assert connection.execute(text("SELECT name, settings FROM sites")).all() == [("a", "{}")]
    with engine.begin() as connection:
        _to(connection, "0001", "downgrade")
        assert connection.execute(text("SELECT count(*) FROM rules")).scalar() == 1
        columns = [row[1] for row in connection.execute(text("PRAGMA table_info(sites)"))]
        assert "settings" not in columns
