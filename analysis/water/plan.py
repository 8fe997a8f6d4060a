"""Use against a plan: what is over it, and the progressive surcharge that this costs. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from analysis.standard_rows import SurchargeRow
from analysis.water.tariff import CENT


@dataclass(frozen=True, slots=True)
class SurchargeStepShare:
    """The volume above the plan that falls into one step, its rate, and what it costs on top."""

    volume_m3: Decimal
    rate: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class OverPlan:
    """Use against a plan. ``share`` is the excess over the plan (0 for none); ``surcharge`` is rounded to cents."""

    used_m3: Decimal
    plan_m3: Decimal
    over_m3: Decimal
    share: Decimal
    surcharge: Decimal
    steps: tuple[SurchargeStepShare, ...]


def over_plan(
    used_m3: float | Decimal, plan_m3: float | Decimal, row: SurchargeRow, price_of_part: float | Decimal
) -> OverPlan:
    """Return the surcharge on use above a plan: each step's rate times the price of ``row.on_part`` on its volume.

    Raises ``ValueError`` for a plan that is not above zero.
    """
    used, plan, price = (Decimal(str(number)) for number in (used_m3, plan_m3, price_of_part))
    if plan <= 0:
        raise ValueError(f"a plan must be above 0 m³, not {plan}")
    over = max(Decimal(0), used - plan)
    steps: list[SurchargeStepShare] = []
    below = Decimal(0)
    for step in row.steps:
        bound = over if step.up_to_share is None else min(over, plan * Decimal(str(step.up_to_share)))
        volume = max(Decimal(0), bound - below)
        rate = Decimal(str(step.rate))
        steps.append(SurchargeStepShare(volume, rate, volume * rate * price))
        below = max(below, bound)
    total = sum((step.amount for step in steps), Decimal(0)).quantize(CENT, ROUND_HALF_UP)
    return OverPlan(used, plan, over, over / plan, total, tuple(steps))
