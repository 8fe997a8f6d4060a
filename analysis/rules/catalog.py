"""All kinds of rules, and the rules that a new site begins with."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from analysis.rules.device_offline import DeviceOfflineRule
from analysis.rules.kinds import RuleKind
from analysis.rules.noise_night_max import NoiseNightMaxRule
from analysis.rules.noise_window import NoiseWindowRule
from analysis.rules.water_continuous import WaterContinuousRule
from analysis.rules.water_leak import WaterLeakRule, WaterMeterFaultRule, WaterQuarterLossRule
from analysis.rules.water_plan import WaterPlanRule
from store.registry.models import Rule, RuleVersion

DEFAULT_RULES: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    (NoiseWindowRule.key, {}),
    (NoiseNightMaxRule.key, {}),
    (WaterContinuousRule.key, {}),
    (WaterLeakRule.key, {}),
    (WaterMeterFaultRule.key, {}),
    (WaterQuarterLossRule.key, {}),
    (WaterPlanRule.key, {}),
    (DeviceOfflineRule.key, {}),
)
"""Kind and parameters of a new site's rules; what is not named takes the kind's default."""


def new_kinds() -> dict[str, RuleKind]:
    """Return a fresh instance of every kind, by key."""
    kinds: tuple[RuleKind, ...] = (
        NoiseWindowRule(), NoiseNightMaxRule(), WaterContinuousRule(), WaterLeakRule(), WaterMeterFaultRule(),
        WaterQuarterLossRule(), WaterPlanRule(), DeviceOfflineRule(),
    )  # fmt: skip
    return {kind.key: kind for kind in kinds}


def ensure_default_rules(session: Session, site: str, now: datetime) -> int:
    """Give a site a rule of each default kind that it has none of yet; return how many were made.

    A rule that was switched off stays as it is, so calling this again changes nothing.
    """
    present = set(session.scalars(select(Rule.kind).where(Rule.site == site)))
    made = [
        Rule(site=site, kind=kind, params=dict(params), enabled=True, version=1, updated_at=now)
        for kind, params in DEFAULT_RULES
        if kind not in present
    ]
    session.add_all(made)
    session.flush()
    session.add_all(
        RuleVersion(
            rule_id=one.id, version=1, enabled=True, params=dict(one.params), at=now, who="default", note=""
        )
        for one in made
    )
    return len(made)
