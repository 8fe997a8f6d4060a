"""What the parts of this process count, as ``/metrics`` shows it."""

from __future__ import annotations

from analysis.service import Analysis
from ingest.service import Ingest


def ingest_numbers(ingest: Ingest) -> dict[str, float]:
    """Return ingest's counts; ``api.metrics`` says what each is."""
    stats, health = ingest.stats, ingest.health()
    return {
        "messages_total": stats.messages, "readings_in_total": stats.readings_in,
        "readings_stored_total": stats.readings_stored, "readings_late_total": stats.readings_late,
        "quarantined_total": stats.quarantined, "store_retries_total": stats.store_retries,
        "errors_total": stats.errors, "waiting": health.waiting, "store_away_seconds": health.store_away_s,
    }  # fmt: skip


def analysis_numbers(analysis: Analysis) -> dict[str, float]:
    """Return analysis' counts; ``api.metrics`` says what each is."""
    stats = analysis.stats
    return {
        "rule_round_seconds": stats.last_round_s, "rules": stats.rules, "rounds_total": stats.rounds,
        "transitions_total": stats.transitions, "rule_errors_total": stats.round_errors,
        "hours_rolled_up_total": stats.hours_rolled_up, "messages_sent_total": stats.delivery.sent,
        "messages_given_up_total": stats.delivery.given_up,
    }  # fmt: skip
