"""Tiered prices: what a household's water of a tariff period costs, and where in the tiers it stands. Pure.

Money is exact (``Decimal``), rounded to the smallest unit at the end only.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from analysis.standard_rows import TariffRow, Tier
from analysis.standards import standards

CENT: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class TierShare:
    """What of a volume lies in one tier (1 is the cheapest). ``parts`` are the price parts' amounts."""

    tier: int
    volume_m3: Decimal
    price: Decimal
    amount: Decimal
    parts: dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class Bill:
    """The cost of one tariff period's volume; ``total`` is rounded to cents, ``tiers`` are not."""

    volume_m3: Decimal
    total: Decimal
    currency: str
    tiers: tuple[TierShare, ...]


@dataclass(frozen=True, slots=True)
class TierStanding:
    """In which tier a volume is, its price per m³, and how much is left in it (``None``: the last tier)."""

    tier: int
    price: Decimal
    left_m3: Decimal | None


def bill(tariff: TariffRow, volume_m3: float | Decimal, *, persons: int | None = None) -> Bill:
    """Return what a volume of one tariff period costs one household. Raises ``ValueError`` for a negative volume."""
    volume = _exact(volume_m3)
    if volume < 0:
        raise ValueError(f"a volume of {volume} m³ cannot be billed")
    shares: list[TierShare] = []
    below = Decimal(0)
    for number, (tier, bound) in enumerate(zip(tariff.tiers, bounds(tariff, persons), strict=True), start=1):
        within = max(Decimal(0), (volume if bound is None else min(volume, bound)) - below)
        parts = {name: _exact(price) * within for name, price in tier.parts.items()}
        shares.append(TierShare(number, within, price_of(tier), sum(parts.values(), Decimal(0)), parts))
        below = below if bound is None else bound
    total = sum((share.amount for share in shares), Decimal(0))
    return Bill(volume, total.quantize(CENT, ROUND_HALF_UP), tariff.currency, tuple(shares))


def standing(tariff: TariffRow, volume_m3: float | Decimal, *, persons: int | None = None) -> TierStanding:
    """Return the tier that the last litre of a volume falls into; exactly at a bound is still the cheaper tier."""
    volume = _exact(volume_m3)
    for number, (tier, bound) in enumerate(zip(tariff.tiers, bounds(tariff, persons), strict=True), start=1):
        if bound is None or volume <= bound:
            return TierStanding(number, price_of(tier), None if bound is None else bound - volume)
    raise AssertionError("the last tier has no bound")


def marginal_price(tariff: TariffRow, volume_m3: float | Decimal, *, persons: int | None = None) -> Decimal:
    """Return what the next m³ costs: at a bound that of the dearer tier."""
    volume = _exact(volume_m3)
    for tier, bound in zip(tariff.tiers, bounds(tariff, persons), strict=True):
        if bound is None or volume < bound:
            return price_of(tier)
    raise AssertionError("the last tier has no bound")


def bounds(tariff: TariffRow, persons: int | None) -> list[Decimal | None]:
    """Return the tiers' upper bounds, m³ a period, with the allowance for a large household."""
    extra = Decimal(0)
    if persons is not None and tariff.persons_included is not None:
        extra = _exact(tariff.extra_m3_per_person) * max(0, persons - tariff.persons_included)
    return [None if tier.up_to_m3 is None else _exact(tier.up_to_m3) + extra for tier in tariff.tiers]


def price_of(tier: Tier) -> Decimal:
    """Return a tier's price per m³, all parts together."""
    return sum((_exact(part) for part in tier.parts.values()), Decimal(0))


def warnings(tariff: TariffRow, part: str = "water") -> list[str]:
    """Say in English where a tariff falls short of 发改价格〔2013〕2676号: three tiers, water price 1 : 1.5 : 3.

    It is a warning, never a refusal: the ratio is of the water price, and prices are set locally.
    """
    found: list[str] = []
    if len(tariff.tiers) < 3:
        found.append(f"{len(tariff.tiers)} tiers; at least three are asked for")
    prices = [tier.parts.get(part, 0.0) for tier in tariff.tiers]
    if not prices or not prices[0]:
        return [*found, f"the tariff has no price part {part!r} to check the ratio of"]
    for number, name in ((2, "step2"), (3, "step3")):
        least = standards().number(f"tariff.check_2676.{name}")
        ratio = prices[number - 1] / prices[0] if number <= len(prices) else least
        if ratio < least:
            found.append(
                f"tier {number} costs {ratio:.2f} times tier 1; at least {least:g} times is asked for"
            )
    return found


def _exact(number: float | Decimal) -> Decimal:
    return number if isinstance(number, Decimal) else Decimal(str(number))
