"""The table of verdicts says what the days say one by one."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from analysis.days import noise_days
from analysis.exclusions import Span
from analysis.limits import site_clock
from analysis.verdict_table import verdict_table
from store.registry.models import Site
from store.series.duckdb_store import DuckDbStore
from store.series.interface import NoiseHour

FIRST, LAST = date(2026, 2, 20), date(2026, 3, 20)
NOW = datetime(2026, 3, 20, 18, tzinfo=UTC)
HOUR = timedelta(hours=1)
SITES = [
    Site(name="garden", zone_class="1", timezone="Asia/Shanghai", day_starts_h=6, night_starts_h=22, settings={}),
    Site(name="lake", zone_class="2", timezone="Asia/Shanghai", day_starts_h=6, night_starts_h=22,
         settings={"noise": {"hour_share": 0.5}}),
    Site(name="river", zone_class="4a", timezone="Europe/Berlin", day_starts_h=7, night_starts_h=23, settings={}),
]  # fmt: skip


def _row(site: str, source: str, t: datetime, level: float, share: float) -> NoiseHour:
    return NoiseHour(
        site, source, t, level if share else None, *[None] * 5, level + 20, level - 10, 2.0, 3600 * share, share,
        3600.0, 3600,
    )  # fmt: skip


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> DuckDbStore:
    """Levels around the limits, some exactly at them, hours that do not count, days that are missing."""
    store = DuckDbStore(Path(tmp_path_factory.mktemp("table")) / "series.duckdb", memory_mb=256, threads=1)
    rows: list[NoiseHour] = []
    for k, (site, source) in enumerate(
        [("garden", "gate"), ("garden", "roof"), ("lake", "gate"), ("river", "a"), ("river", "b")]
    ):
        start = datetime(2026, 2, 18, tzinfo=UTC)
        for n in range(31 * 24):
            day, hour = divmod(n, 24)
            if (day + k) % 7 == 3:
                continue
            limit = {"garden": 55.0, "lake": 60.0, "river": 70.0}[site] - (10.0 if hour >= 14 else 0.0)
            level = limit + (-0.05, 0.0, 0.05, 0.04999, 2.0, -3.0)[(day + k) % 6]
            share = (1.0, 0.6, 0.0, 1.0)[(n * 7 + k) % 4] if day % 5 == 2 else 1.0
            rows.append(_row(site, source, start + n * HOUR, level, share))
    store.write_rollups(rows, [])
    yield store  # type: ignore[misc]
    store.close()


@pytest.mark.parametrize("spans", [{}, {"garden": [Span(NOW - 90 * HOUR, NOW - 70 * HOUR, "rain", "gate")]}])
def test_it_equals_the_days(series: DuckDbStore, spans: dict[str, list[Span]]) -> None:
    table = verdict_table(series, SITES, FIRST, LAST, now=NOW, exclusions=spans)
    assert [(one.site, one.source) for one in table] == [
        ("garden", "gate"), ("garden", "roof"), ("lake", "gate"), ("river", "a"), ("river", "b"),
    ]  # fmt: skip
    seen: set[str] = set()
    for one in table:
        site = next(site for site in SITES if site.name == one.site)
        days = noise_days(
            series,
            site_clock(site),
            site,
            one.source,
            FIRST,
            LAST,
            now=NOW,
            exclusions=spans.get(one.site, ()),
        )
        assert list(one.day) == [day.day.verdict for day in days]
        assert list(one.night) == [day.night.verdict for day in days]
        seen.update(one.day, one.night)
    assert seen == {"pass", "fail", "incomplete"}


def test_sites_that_are_not_asked_for_are_not_told(series: DuckDbStore) -> None:
    table = verdict_table(series, SITES[:1], FIRST, LAST, now=NOW)
    assert {one.site for one in table} == {"garden"}
    assert verdict_table(series, [], FIRST, LAST, now=NOW) == []
