"""Where a quarter and a household stand: quota, plan and surcharge, tier and bill, forecast, peers, losses."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Query, Request
from pydantic import BaseModel, Field

from analysis.limits import site_clock
from analysis.site_settings import settings_of
from analysis.standard_rows import NumberRow
from analysis.standards import standards
from analysis.water.account import (
    HouseholdAccount,
    Loss,
    QuarterAccount,
    household,
    loss_of,
    peers,
    quarter,
    surcharge_of,
    tariff_of,
)
from analysis.water.forecast import Forecast
from analysis.water.leakage import SupplierYear, leakage_rate
from analysis.water.peers import LEAST_GROUP, PeerComparison
from analysis.water.plan import OverPlan
from analysis.water.quota import PerHead
from analysis.water.tariff import warnings
from api import registry_reads as reads
from api.cache import caches_of
from api.guard import Context
from api.problems import documented, invalid
from api.schemas import INDICATIVE, Label, Out, RowOut, row_out
from api.times import FirstDay, LastDay, SiteName, dates_of

router = APIRouter(tags=["water"], prefix="/water")

Money = Annotated[float, Field(description="In the tariff's currency, rounded to cents.", examples=[900.0])]
MeterName = Annotated[str, Query(description="Household meter.", max_length=32, examples=["b1-0302"])]


class PerHeadOut(Out):
    """Litres a person and day over the last 30 whole days, against the quota.

    `below` the interval is not praise: flats may be empty. `unknown` without people or a quota.
    """

    litres_per_person_day: float | None
    verdict: Literal["below", "within", "above", "unknown"]
    lowest_lpd: float | None
    highest_lpd: float | None
    quota: RowOut | None = Field(
        description="The city's own quota, else that of the province, with its origin."
    )


class ForecastOut(Out):
    """The volume at the period's end, m³: the probable one, and the range that holds it four times of five."""

    low_m3: float
    likely_m3: float
    high_m3: float
    days_left: int


class StepOut(Out):
    """The volume above the plan within one step, the rate on it, and what it costs on top."""

    volume_m3: float
    rate: float
    amount: Money


class OverPlanOut(Out):
    """Use against the plan, and the progressive surcharge above it."""

    used_m3: float
    plan_m3: float
    over_m3: float
    share: float = Field(description="The excess over the plan, as a share of the plan.")
    surcharge: Money
    steps: list[StepOut]


class NightFlowOut(Out):
    """The smallest hour between 02:00 and 04:00 at the master meters, L/h. `date` is of the newest night known."""

    date: date
    newest_lph: float
    median_lph: float = Field(description="Of the nights of the last 30 days.")
    nights: int


class QuarterAccountOut(Out):
    """A quarter: use per person and household, and the year against its plan."""

    site: str
    date: date
    indicative: bool = Field(description=INDICATIVE)
    measured_by: Literal["master", "households"]
    per_head: PerHeadOut
    litres_per_household_day: float | None
    night_flow: NightFlowOut | None = Field(description="Null without a master meter or a known night.")
    year_first: date
    year_last: date
    used_m3: float
    known_share: float = Field(description="Share of the year's hours so far whose volume is known.")
    plan_m3: float | None
    over_plan: OverPlanOut | None = Field(description="So far.")
    forecast: ForecastOut | None = Field(description="Null with fewer than 14 known days.")
    passes_plan: float | None = Field(description="Probability that the year ends above the plan.")
    expected: OverPlanOut | None = Field(description="Of the probable year.")
    surcharge_row: RowOut
    currency: str


class TierOut(Out):
    """What of the volume lies in one tier of the tariff."""

    tier: int
    volume_m3: float
    price: float = Field(description="Per m³, all parts together.")
    amount: Money
    parts: dict[str, float] = Field(examples=[{"water": 372.6, "resource_tax": 282.6, "sewage": 244.8}])


class PeersOut(Out):
    """A household beside those of its kind. Of the others only quartiles are told, in steps of 10 L a day."""

    own_l_per_day: float
    lower_quartile_l: float
    median_l: float
    upper_quartile_l: float
    group_size: int
    quarter: int = Field(description="1 for the lowest quarter of the group, 4 for the highest.")


class HouseholdAccountOut(Out):
    """A household in its present tariff period."""

    site: str
    meter: str
    label: Label
    date: date
    indicative: bool = Field(description=INDICATIVE)
    period_first: date
    period_last: date
    used_m3: float
    known_share: float = Field(description="Below 1 the bill is too low.")
    total: Money
    currency: str
    tiers: list[TierOut]
    tier: int
    price: float = Field(description="Of the present tier, per m³.")
    left_m3: float | None = Field(description="Left in the present tier; null in the last one.")
    forecast: ForecastOut | None
    tier_likely: int | None = Field(description="Tier at the period's end, by the forecast.")
    passes_tier: float | None = Field(description="Probability that the period ends above the present tier.")
    per_head: PerHeadOut
    peers: PeersOut | None = Field(
        description=f"Null in a group of fewer than {LEAST_GROUP}: too few to hide its members."
    )
    tariff: RowOut
    tariff_warnings: list[str]


class LossOut(Out):
    """The quarter's balance: master meter less the sub-meters. It is a loss share, not CJJ 92's R_BL."""

    site: str
    indicative: bool = Field(description=INDICATIVE)
    first: date
    last: date
    reason: Literal["", "no_master_meter", "master_unknown", "others_unknown"] = Field(
        description="Why there is no balance; empty where there is one."
    )
    dates: int = Field(description="Dates on which every master meter is known well enough.")
    master_l: float | None
    sub_l: float | None
    lost_l: float | None
    lost_share: float | None
    known_share: float | None = Field(
        description="Share of the sub-meters with a known volume; below 1 the loss is an upper bound."
    )
    unknown_meters: list[str] = Field(description="Sub-meters with too few known hours.")
    grade: Literal["ok", "info", "warn", "alarm"] | None = Field(description="Null unless all are known.")
    thresholds: list[RowOut]


class LeakageIn(BaseModel):
    """A supplier's year."""

    supplied_m3: float = Field(ge=1.0, le=1e12, examples=[100_000_000.0])
    registered_m3: float = Field(ge=0.0, le=1e12, examples=[82_000_000.0])
    household_share: float = Field(ge=0.0, le=1.0, description="Share of the water read at households.")
    pipe_km: float = Field(ge=0.0, le=1e7, examples=[800.0])
    outlet_pressure_mpa: float = Field(ge=0.0, le=5.0, examples=[0.4])
    frost_depth_m: float = Field(ge=0.0, le=10.0, examples=[0.0])


class LeakageOut(Out):
    """漏损率 of CJJ 92-2016: shares, 0.12 is 12 %."""

    gross: float = Field(description="R_WL.")
    r1_households: float
    r2_pipes: float
    r3_pressure: float
    r4_frost: float
    correction: float = Field(description="R_n, the sum of the four.")
    evaluated: float = Field(description="R_BL = R_WL − R_n.")
    grade: Literal["first", "second", "none"]
    rows: list[RowOut] = Field(description="The numbers of the standard, with how far they were checked.")


@router.get("/account", summary="Quota, plan and surcharge of a quarter", responses=documented(401, 404, 503))
def get_water_account(request: Request, context: Context, site: SiteName) -> QuarterAccountOut:
    """Return use per person and household against the quota, and the year against its plan with the forecast."""
    with context.registry.reader() as session:
        row = reads.one_site(session, site)
        meters = reads.meters_of(session, site)
        approved = reads.approved_meters(session, site)
    today = site_clock(row).local(context.clock.now()).date()
    cache = caches_of(request).water
    account: QuarterAccount = cache.get(
        ("account", site, today), lambda: quarter(context.series, row, meters, today)
    )
    settings = settings_of(row).water
    masters = [one.name for one in meters if one.role == "master"]
    counted = masters or [one.name for one in meters if one.role == "household"]
    return QuarterAccountOut(
        site=site, date=today, indicative=not set(counted) <= approved,
        measured_by="master" if masters else "households",
        per_head=_per_head(account.per_head), litres_per_household_day=account.litres_per_household_day,
        night_flow=account.night_flow and NightFlowOut.model_validate(account.night_flow, from_attributes=True),
        year_first=account.year.first, year_last=account.year.last, used_m3=account.used_m3,
        known_share=account.known_share, plan_m3=account.plan_m3, over_plan=_over_plan(account.over_plan),
        forecast=_forecast(account.forecast), passes_plan=account.passes_plan, expected=_over_plan(account.expected),
        surcharge_row=row_out(surcharge_of(settings)), currency=tariff_of(settings).currency,
    )  # fmt: skip


@router.get(
    "/household", summary="Tier, bill and peers of a household", responses=documented(401, 404, 422, 503)
)
def get_household_account(context: Context, site: SiteName, meter: MeterName) -> HouseholdAccountOut:
    """Return where a household stands in its tariff period, where it is heading, and how it compares."""
    with context.registry.reader() as session:
        row = reads.one_site(session, site)
        own = reads.one_meter(session, site, meter)
        meters = reads.meters_of(session, site)
        approved = reads.approved_meters(session, site)
    if own.role != "household":
        raise invalid("query.meter", f"{meter!r} is no household's meter")
    today = site_clock(row).local(context.clock.now()).date()
    account = household(context.series, row, own, today)
    compared = peers(context.series, row, meters, own, today)
    return _household_out(site, own.label_zh, own.label_en, today, account, compared, meter not in approved)


@router.get("/balance", summary="A quarter's loss", responses=documented(401, 404, 409, 422, 503))
def get_water_balance(
    context: Context, site: SiteName, first: FirstDay = None, last: LastDay = None
) -> LossOut:
    """Balance the master meter with the sub-meters over whole dates (without a range: the last 30)."""
    with context.registry.reader() as session:
        row = reads.one_site(session, site)
        meters = reads.meters_of(session, site)
        approved = reads.approved_meters(session, site)
    yesterday = site_clock(row).local(context.clock.now()).date() - timedelta(days=1)
    since, until = dates_of(first, last, yesterday, usual_days=30, longest_days=400)
    found: Loss = loss_of(context.series, row, meters, since, until)
    balance = found.balance
    return LossOut(
        site=site, indicative=not {one.name for one in meters} <= approved, first=since, last=until,
        reason=found.reason,
        master_l=balance.master_l if balance else None, sub_l=balance.sub_l if balance else None,
        lost_l=balance.lost_l if balance else None, lost_share=balance.lost_share if balance else None,
        known_share=balance.known_share if balance else None, unknown_meters=list(found.unknown), dates=found.dates,
        grade=balance.grade if balance else None,
        thresholds=[row_out(one) for one in standards().rows(NumberRow, "quarter.loss.")],
    )  # fmt: skip


@router.post("/leakage-rate", summary="漏损率 of a supplier by CJJ 92", responses=documented(401, 403, 422))
def compute_leakage_rate(given: Annotated[LeakageIn, Body()]) -> LeakageOut:
    """Compute a supplier's rate for a year with its corrections. Nothing is stored."""
    rate = leakage_rate(SupplierYear(**given.model_dump()))
    return LeakageOut(
        gross=rate.gross, r1_households=rate.r1_households, r2_pipes=rate.r2_pipes, r3_pressure=rate.r3_pressure,
        r4_frost=rate.r4_frost, correction=rate.correction, evaluated=rate.evaluated, grade=rate.grade,
        rows=[row_out(one) for one in standards().rows(NumberRow, "cjj92.")],
    )  # fmt: skip


def _household_out(
    site: str, zh: str, en: str, today: date, one: HouseholdAccount, compared: PeerComparison | None,
    indicative: bool,
) -> HouseholdAccountOut:  # fmt: skip
    left = one.standing.left_m3
    return HouseholdAccountOut(
        site=site, meter=one.meter, label=Label(zh=zh, en=en), date=today, indicative=indicative,
        period_first=one.span.first, period_last=one.span.last, used_m3=one.used_m3, known_share=one.known_share,
        total=float(one.bill.total), currency=one.bill.currency,
        tiers=[
            TierOut(
                tier=part.tier, volume_m3=float(part.volume_m3), price=float(part.price), amount=_cents(part.amount),
                parts={name: _cents(amount) for name, amount in part.parts.items()},
            )
            for part in one.bill.tiers
        ],
        tier=one.standing.tier, price=float(one.standing.price), left_m3=None if left is None else float(left),
        forecast=_forecast(one.outlook.forecast if one.outlook else None),
        tier_likely=one.outlook.tier_likely if one.outlook else None,
        passes_tier=one.outlook.passes_next_tier if one.outlook else None,
        per_head=_per_head(one.per_head), peers=_peers(compared),
        tariff=row_out(one.tariff), tariff_warnings=warnings(one.tariff),
    )  # fmt: skip


def _peers(one: PeerComparison | None) -> PeersOut | None:
    if one is None:
        return None
    return PeersOut(
        own_l_per_day=one.own_l, lower_quartile_l=one.lower_quartile_l, median_l=one.median_l,
        upper_quartile_l=one.upper_quartile_l, group_size=one.group_size, quarter=one.quarter,
    )  # fmt: skip


def _per_head(one: PerHead) -> PerHeadOut:
    return PerHeadOut(
        litres_per_person_day=one.litres_per_person_day, verdict=one.verdict,
        lowest_lpd=one.quota.lowest_lpd if one.quota else None,
        highest_lpd=one.quota.highest_lpd if one.quota else None, quota=row_out(one.quota) if one.quota else None,
    )  # fmt: skip


def _forecast(one: Forecast | None) -> ForecastOut | None:
    if one is None:
        return None
    return ForecastOut(
        low_m3=one.low_m3, likely_m3=one.likely_m3, high_m3=one.high_m3, days_left=one.days_left
    )


def _over_plan(one: OverPlan | None) -> OverPlanOut | None:
    if one is None:
        return None
    return OverPlanOut(
        used_m3=float(one.used_m3), plan_m3=float(one.plan_m3), over_m3=float(one.over_m3), share=float(one.share),
        surcharge=float(one.surcharge),
        steps=[
            StepOut(volume_m3=float(step.volume_m3), rate=float(step.rate), amount=_cents(step.amount))
            for step in one.steps
        ],
    )  # fmt: skip


def _cents(amount: Decimal) -> float:
    return float(round(amount, 2))
