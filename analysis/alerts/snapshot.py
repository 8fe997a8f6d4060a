"""An alert as it is told to others: a copy without a session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from store.registry.models import Alert


@dataclass(frozen=True, slots=True)
class AlertSnapshot:
    """One alert after a change. Times are UTC; ``value`` and ``limit`` have the unit of the rule's kind."""

    id: int
    rule_id: int
    rule_kind: str
    site: str
    source: str
    state: str
    severity: str
    pending_since: datetime
    firing_since: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    recovering_since: datetime | None
    resolved_at: datetime | None
    no_data: bool
    value: float | None
    limit: float | None
    peak_value: float | None
    detail: Mapping[str, Any]
    updated_at: datetime

    @property
    def open(self) -> bool:
        """Whether the alert still wants something from people."""
        return self.state not in ("resolved", "cancelled")


def snapshot(alert: Alert) -> AlertSnapshot:
    """Copy an alert out of its session."""
    return AlertSnapshot(
        id=alert.id, rule_id=alert.rule_id, rule_kind=alert.rule_kind, site=alert.site, source=alert.source,
        state=alert.state, severity=alert.severity, pending_since=alert.pending_since,
        firing_since=alert.firing_since, acknowledged_at=alert.acknowledged_at,
        acknowledged_by=alert.acknowledged_by, recovering_since=alert.recovering_since,
        resolved_at=alert.resolved_at, no_data=alert.no_data, value=alert.value, limit=alert.limit,
        peak_value=alert.peak_value, detail=dict(alert.detail), updated_at=alert.updated_at,
    )  # fmt: skip
