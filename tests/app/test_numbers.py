"""What the parts around the stores tell `/metrics`, and that the table knows every number."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from api.metric_table import METRICS
from app.backup_files import make_backup, newest_backup
from app.numbers import backup_numbers, broker_numbers, uplink_numbers
from app.settings import ServerSettings
from store.registry.database import Registry
from store.series.duckdb_store import DuckDbStore


class Uplink(msgspec.Struct):
    told: dict[str, float]

    def numbers(self) -> Mapping[str, float]:
        return self.told


def test_uplinks_are_told_apart_by_a_label() -> None:
    ways = [
        ("hj212_city", Uplink({"waiting": 3.0, "resent_total": 1.0})),
        ("home_assistant_a", Uplink({"waiting": 0.0})),
    ]
    told = uplink_numbers(ways)
    assert told == {
        "waiting": {("hj212_city",): 3.0, ("home_assistant_a",): 0.0}, "resent_total": {("hj212_city",): 1.0},
    }  # fmt: skip
    assert all(METRICS[f"uplink_{name}"].labels == ("uplink",) for name in told)


@pytest.mark.parametrize("runs", [True, False])
def test_the_broker_tells_whether_it_runs_and_what_it_holds(runs: bool) -> None:
    pid = os.getpid() if runs else None
    told: dict[str, Any] = dict(broker_numbers(cast(Any, SimpleNamespace(pid=pid, restarts=2))))
    assert told.pop("restarts_total") == 2 and told.pop("running") == runs
    assert ("resident_memory_bytes" in told) == runs
    assert all(value > 1e6 for value in told.values())


def test_the_age_of_a_backup_is_that_of_the_newest_whole_one(tmp_path: Path) -> None:
    settings = ServerSettings(data=tmp_path / "data")
    settings.data.mkdir()
    Registry.in_folder(settings.data).close()
    DuckDbStore(settings.data / "series.duckdb").close()
    assert backup_numbers(settings.data) == {}
    made = make_backup(settings, tmp_path / "backup", lambda _share: None)
    assert backup_numbers(settings.data) == {"newest_timestamp_seconds": made.made_at.timestamp()}
    assert made.made_at <= datetime.now(UTC) and not list((tmp_path / "backup").glob(".*"))
    (settings.data / ".newest-backup").write_text("half a da")
    assert newest_backup(settings.data) is None
