"""What the parts of this process count, as ``/metrics`` shows it; ``api.metric_table`` says what each number is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from analysis.service import Analysis
from api.metric_table import Labelled, Numbers
from app.backup_files import newest_backup
from app.broker import EmbeddedBroker
from contract.clock import Clock
from ingest.service import Ingest


def ingest_numbers(ingest: Ingest, clock: Clock) -> Numbers:
    """Return ingest's counts."""
    stats, source, health = ingest.stats, ingest.source_stats, ingest.health()
    numbers: dict[str, float | Labelled] = {
        "connected": health.connected,
        "messages_total": stats.messages, "readings_in_total": stats.readings_in,
        "readings_by_kind_total": {(kind,): count for kind, count in stats.by_kind.copy().items()},
        "readings_stored_total": stats.readings_stored, "readings_late_total": stats.readings_late,
        "quarantined_total": stats.quarantined,
        "quarantined_by_code_total": {(code,): count for code, count in stats.by_code.copy().items()},
        "statuses_total": stats.statuses, "batches_total": stats.batches,
        "batch_seconds_total": stats.batch_seconds, "batch_readings": stats.batch_readings,
        "waiting": health.waiting, "queue_bound": health.queue_bound, "unacknowledged": health.unacknowledged,
        "paused_total": source.paused, "repeated_total": source.repeated, "connects_total": source.connects,
        "answers_lost_total": source.answers_lost, "store_away_seconds": health.store_away_s,
        "store_retries_total": stats.store_retries, "errors_total": stats.errors,
    }  # fmt: skip
    if stats.newest_stored is not None:
        numbers["newest_stored_timestamp_seconds"] = stats.newest_stored.timestamp()
        numbers["lag_seconds"] = (clock.now() - stats.newest_stored).total_seconds()
    return numbers


def analysis_numbers(analysis: Analysis) -> Numbers:
    """Return analysis' counts."""
    stats, shard = analysis.stats, analysis.shard
    leases: Numbers = {
        "sites_held": shard.sites_held, "leases_gained_total": shard.stats.gained,
        "leases_given_up_total": shard.stats.given_up, "leases_lost_total": shard.stats.lost,
        "lease_errors_total": shard.stats.errors, "lease_age_seconds": shard.keeper.age_s,
        "writes_refused_total": stats.refused,
    } if shard else {}  # fmt: skip
    return {
        **leases,
        "rule_round_seconds": stats.last_round_s, "rules": stats.rules, "bad_rules": stats.bad_rules,
        "rounds_total": stats.rounds, "round_age_seconds": analysis.round_age_s,
        "transitions_total": stats.transitions, "rule_errors_total": stats.round_errors,
        "store_waits_total": stats.store_waits, "hours_rolled_up_total": stats.hours_rolled_up,
        "rollup_errors_total": stats.rollup_errors, "rollup_age_seconds": analysis.rollup_age_s,
        "messages_sent_total": stats.delivery.sent, "messages_failed_total": stats.delivery.failed_tries,
        "messages_given_up_total": stats.delivery.given_up, "delivery_errors_total": stats.delivery.errors,
    }  # fmt: skip


@runtime_checkable
class Counting(Protocol):
    """A part that counts."""

    def numbers(self) -> Mapping[str, float]:
        """Return its counts."""
        ...


def uplink_numbers(uplinks: Iterable[tuple[str, Counting]]) -> Numbers:
    """Return the uplinks' counts, each under the uplink's name."""
    numbers: dict[str, dict[tuple[str, ...], float]] = {}
    for uplink, part in uplinks:
        for name, value in part.numbers().items():
            numbers.setdefault(name, {})[uplink,] = value
    return numbers


def broker_numbers(broker: EmbeddedBroker) -> Numbers:
    """Return how the embedded broker is."""
    numbers = {"running": float(broker.pid is not None), "restarts_total": float(broker.restarts)}
    memory = _resident_bytes(broker.pid)
    return numbers if memory is None else {**numbers, "resident_memory_bytes": memory}


def backup_numbers(data: Path) -> Numbers:
    """Return when the newest backup of a data folder was made, if any."""
    made_at = newest_backup(data)
    return {} if made_at is None else {"newest_timestamp_seconds": made_at.timestamp()}


def _resident_bytes(pid: int | None) -> float | None:
    """Return a process' memory, where the kernel tells it."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    told = next((line.split()[1] for line in lines if line.startswith("VmRSS:")), None)
    return None if told is None else float(told) * 1024
