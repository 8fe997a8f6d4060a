"""What a message says, before it is put into words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy.orm import Session

from analysis.indicative import indicative
from analysis.leaks.began import began
from analysis.leaks.texts import whole_site
from analysis.limits import site_clock
from store.registry.models import Alert, Device, Meter, Site

Event = Literal["firing", "escalated", "resolved"]
Language = Literal["zh", "en"]


@dataclass(frozen=True, slots=True)
class Facts:
    """One alert's event as a person is told it. Times are the site's local ones."""

    alert_id: int
    event: Event
    kind: str
    severity: str
    site_zh: str
    site_en: str
    source_zh: str
    source_en: str
    since: datetime
    until: datetime | None
    value: float | None
    limit: float | None
    worst: float | None
    detail: Mapping[str, Any]
    acknowledged_by: str | None
    indicative: bool
    """Measured, and not by a type-approved instrument."""


def gather(session: Session, alert: Alert, event: Event) -> Facts:
    """Collect the facts of an alert from the registry."""
    site = session.get_one(Site, alert.site)
    clock = site_clock(site)
    device, meter = _instrument(session, alert)
    named = meter or device
    source_zh, source_en = (named.label_zh, named.label_en) if named else whole_site(alert.source)
    return Facts(
        alert_id=alert.id, event=event, kind=alert.rule_kind, severity=alert.severity,
        site_zh=site.label_zh, site_en=site.label_en,
        source_zh=source_zh, source_en=source_en,
        since=clock.local(began(alert.detail, alert.pending_since)),
        until=clock.local(alert.resolved_at) if alert.resolved_at else None,
        value=alert.value, limit=alert.limit, worst=alert.peak_value, detail=dict(alert.detail),
        acknowledged_by=alert.acknowledged_by,
        indicative=indicative(alert.rule_kind, alert.site, alert.source, site.devices, site.meters),
    )  # fmt: skip


def _instrument(session: Session, alert: Alert) -> tuple[Device | None, Meter | None]:
    meter = session.get(Meter, (alert.site, alert.source))
    device = session.get(Device, (alert.site, meter.device if meter else alert.source))
    return device, meter
