"""Which rows of the presets the figures of a report rest on, so that it can name each with its mark. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from analysis.report.facts import SourceFacts, WaterFacts
from analysis.site_settings import SiteSettings
from analysis.standard_rows import NumberRow, Row
from analysis.standards import standards
from analysis.water.account import surcharge_of


def presets_used(
    settings: SiteSettings, sources: Sequence[SourceFacts], water: WaterFacts | None
) -> tuple[Row, ...]:
    """Return each row once: limits of days and nights, further presets, shares of validity, quota, tariff, plan."""
    rows = [*_of_noise(sources), *standards().rows(NumberRow, "validity.")]
    if water is not None:
        rows += [
            *([water.per_head.quota] if water.per_head.quota else []),
            water.tariff,
            *([surcharge_of(settings.water)] if water.year.plan_m3 else []),
            *(standards().rows(NumberRow, "quarter.loss.") if water.loss.balance else []),
        ]
    return tuple(_once(rows))


def _of_noise(sources: Iterable[SourceFacts]) -> Iterator[Row]:
    for source in sources:
        for day in source.days:
            yield day.day.limit
            yield day.night.limit
        for finding in source.findings:
            yield finding.row


def _once(rows: Iterable[Row]) -> Iterator[Row]:
    seen: set[str] = set()
    for row in rows:
        if row.id not in seen:
            seen.add(row.id)
            yield row
