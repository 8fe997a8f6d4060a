"""``water_plan``: the quarter's year is heading above its plan. For the water office; looked at once a day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Annotated, ClassVar, cast

from msgspec import Meta

from analysis.alerts.machine import Observation
from analysis.limits import site_clock
from analysis.notify.prefs import Severity
from analysis.rules.kinds import RuleParams, RuleView, Share, Sighting, World
from analysis.site_settings import settings_of
from analysis.water.account import QuarterAccount, quarter

PLAN = "plan"
"""Source of its alerts: the quarter as a whole."""


class WaterPlanParams(RuleParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Breach: the forecast passes the plan with at least ``probability``; it ends below ``probability`` − 0.2."""

    probability: Annotated[float, Meta(ge=0.2, le=1.0)] = 0.8
    least_known_share: Share = 0.9
    recover_s: Annotated[int, Meta(ge=0, le=31 * 86_400)] = 0
    severity: Severity = "info"
    escalate: bool = False


class WaterPlanRule:
    """Looks at every site that has a plan for the year."""

    key: ClassVar[str] = "water_plan"
    params: ClassVar[type[RuleParams]] = WaterPlanParams

    def __init__(self) -> None:
        self._known: dict[int, tuple[date, int, Observation]] = {}

    def observe(self, rules: Sequence[RuleView], world: World) -> Iterator[Sighting]:
        """Yield one sighting per rule whose site has a plan."""
        for rule in rules:
            site = world.sites[rule.site]
            today = site_clock(site).local(world.now).date()
            if str(today.year) not in settings_of(site).water.plan_m3:
                continue
            known = self._known.get(rule.id)
            if known is None or known[:2] != (today, rule.version):
                account = quarter(world.series, site, world.meters.get(rule.site, ()), today)
                known = self._known[rule.id] = (
                    today,
                    rule.version,
                    judge(account, cast(WaterPlanParams, rule.params)),
                )
            yield Sighting(rule, PLAN, known[2])


def judge(account: QuarterAccount, params: WaterPlanParams) -> Observation:
    """Judge a quarter's year; the value is the probable volume, the limit the plan, m³. Pure."""
    if (
        account.forecast is None
        or account.passes_plan is None
        or account.known_share < params.least_known_share
    ):
        return Observation("no_data")
    above = account.passes_plan >= params.probability
    verdict = "breach" if above else "clear" if account.passes_plan < params.probability - 0.2 else "between"
    detail = {
        "passes_plan": round(account.passes_plan, 3),
        "used_m3": round(account.used_m3, 1),
        "low_m3": round(account.forecast.low_m3, 1),
        "high_m3": round(account.forecast.high_m3, 1),
        "surcharge": str(account.expected.surcharge) if account.expected else "0.00",
    }
    return Observation(verdict, round(account.forecast.likely_m3, 1), account.plan_m3, detail)
