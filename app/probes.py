"""Whether the parts of a process live, and whether they can do their work: a reason, or ``None``."""

from __future__ import annotations

from sqlalchemy import text

from analysis.service import Analysis
from ingest.service import Ingest
from store.registry.database import Registry
from store.series.interface import SeriesStore


def registry_answers(registry: Registry) -> str | None:
    """Ask the registry; what it raises is the reason."""
    with registry.reader() as session:
        session.scalar(text("SELECT 1"))
    return None


def series_answers(series: SeriesStore) -> str | None:
    """Ask the series store; what it raises is the reason."""
    series.newest()
    return None


def ingest_alive(ingest: Ingest) -> str | None:
    """Say whether ingest's loop goes round."""
    return None if ingest.health().working else "the loop does not go round any more; restart the process"


def ingest_ready(ingest: Ingest) -> str | None:
    """Say whether messages come in and are stored."""
    health = ingest.health()
    if not health.connected:
        return "not connected to the broker; its log lines say why"
    if health.store_away_s > 0:
        return f"a store has not taken what arrived for {health.store_away_s:.0f} s"
    return ingest_alive(ingest)


def analysis_alive(analysis: Analysis) -> str | None:
    """Say whether the rounds go on."""
    return None if analysis.alive else "the rounds do not go on any more; restart the process"


def analysis_ready(analysis: Analysis) -> str | None:
    """Say whether rules are judged."""
    trouble = analysis.shard.keeper.trouble if analysis.shard else None
    if trouble is not None:
        return trouble
    return None if analysis.healthy else f"no round of rules has succeeded for {analysis.round_age_s:.0f} s"
