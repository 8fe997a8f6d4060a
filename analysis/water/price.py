"""What the next m³ costs a household at its own tier."""

from __future__ import annotations

from datetime import date, datetime

from analysis.days import water_days
from analysis.limits import site_clock
from analysis.site_settings import settings_of
from analysis.water.account import tariff_of, tariff_span
from analysis.water.tariff import marginal_price
from store.registry.models import Meter, Site
from store.series.interface import SeriesStore


class MarginalPrices:
    """Prices by household, remembered for a day: a tier does not change from minute to minute."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[date, tuple[float, str]]] = {}

    def of(self, series: SeriesStore, site: Site, meter: Meter, now: datetime) -> tuple[float, str]:
        """Return the price of a household's next m³, and the currency."""
        clock = site_clock(site)
        today = clock.local(now).date()
        known = self._known.get((site.name, meter.name))
        if known is not None and known[0] == today:
            return known[1]
        tariff = tariff_of(settings_of(site).water)
        first = tariff_span(tariff.period, today).first
        days = water_days(series, clock, site.name, first, today, meter=meter.name)
        used_m3 = sum(day.volume_l or 0.0 for day in days) / 1000.0
        price = (float(marginal_price(tariff, round(used_m3, 3), persons=meter.persons)), tariff.currency)
        self._known[site.name, meter.name] = (today, price)
        return price

    def first_tier(self, site: Site) -> tuple[float, str]:
        """Return the price of the cheapest tier: what a quarter's lost water is worth at the least."""
        tariff = tariff_of(settings_of(site).water)
        return float(marginal_price(tariff, 0)), tariff.currency
