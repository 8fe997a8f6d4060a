"""How a quarter is judged: borders of day and night, quiet periods, own limits, validity, water, escalation."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Body, Path, Request
from pydantic import BaseModel, Field

from analysis.site_settings import BadSettings, SiteSettings, parse_settings, settings_of
from api import registry_reads as reads
from api.audit import record
from api.cache import caches_of
from api.etags import demand_unchanged
from api.guard import Context, Who
from api.problems import ApiProblem, documented, invalid
from api.schemas import Out
from contract.sitetime import SiteClock
from store.registry.models import Site

router = APIRouter(tags=["sites"], prefix="/sites")

SitePath = Annotated[str, Path(max_length=32)]
_NOISE_PARTS = {"day_starts_h", "night_starts_h", "country", "noise", "escalation"}
_WATER_PARTS = {"water"}


class JudgingOut(Out):
    """How a quarter is judged, defaults included.

    A night belongs to the date on which it begins. Borders and limits hold for every date, also in the past: a change
    is in the audit log with what was before.
    """

    site: str
    timezone: str
    day_starts_h: int = Field(examples=[6])
    night_starts_h: int = Field(examples=[22])
    country: str = Field(description="Whose public holidays and working days count.", examples=["CN"])
    noise: dict[str, Any] = Field(
        description="Own limits of the bureau, quiet periods, shares of valid time, further presets to judge by."
    )
    water: dict[str, Any] = Field(
        description="Province or own quota, people, tariff, plan by year, surcharge."
    )
    escalation: dict[str, Any] = Field(description="How long a manager has to answer an alert, seconds.")
    settings_schema: dict[str, Any] = Field(description="JSON Schema of the parts.")


class JudgingIn(BaseModel):
    """What is to be different. A part that is given replaces that part; what is left out stays."""

    day_starts_h: int | None = Field(default=None, ge=0, le=23)
    night_starts_h: int | None = Field(default=None, ge=0, le=23)
    country: str | None = Field(default=None, pattern="^[A-Z]{2}$")
    noise: dict[str, Any] | None = Field(
        default=None,
        examples=[{"quiet_periods": [{"name_zh": "午休", "name_en": "Midday rest", "starts": "12:00", "ends": "14:00",
                                      "limit_db": 50.0}]}],
    )  # fmt: skip
    water: dict[str, Any] | None = Field(
        default=None, examples=[{"province": "湖北", "plan_m3": {"2026": 60000}}]
    )
    escalation: dict[str, Any] | None = Field(default=None, examples=[{"after_s": 1800}])


@router.get("/{site}/judging", summary="How a quarter is judged", responses=documented(401, 404))
def get_judging(context: Context, site: SitePath) -> JudgingOut:
    """Return borders, quiet periods, limits and water settings of a quarter."""
    with context.registry.reader() as session:
        return _judging_out(reads.one_site(session, site))


@router.patch(
    "/{site}/judging", summary="Change how a quarter is judged", responses=documented(401, 403, 404, 412, 422)
)
def change_judging(
    request: Request, context: Context, who: Who, site: SitePath, given: Annotated[JudgingIn, Body()]
) -> JudgingOut:
    """Change how a quarter is judged: noise by the bureau, water by the water office.

    With `If-Match` and the `ETag` of what was read, a change that somebody else made meanwhile is not lost.
    """
    changed = given.model_dump(exclude_none=True)
    _demand_own_part(who.role, set(changed))
    with context.registry.session() as session:
        row = reads.one_site(session, site)
        demand_unchanged(request, _judging_out(row))
        before = {key: getattr(row, key) for key in ("day_starts_h", "night_starts_h")} | dict(row.settings)
        _apply(row, changed)
        detail = {"before": {key: before.get(key) for key in changed}, "after": changed}
        record(session, who.name, "site.judging", site, context.wall.now(), detail)
        session.flush()
        answer = _judging_out(row)
    caches_of(request).forget_judged()
    return answer


def _demand_own_part(role: str, parts: set[str]) -> None:
    not_theirs = {"bureau": _WATER_PARTS, "water_office": _NOISE_PARTS}.get(role, set()) & parts
    if not_theirs:
        raise ApiProblem(
            403, "not_allowed", f"the role {role!r} may not change {', '.join(sorted(not_theirs))}"
        )


def _apply(row: Site, changed: dict[str, Any]) -> None:
    day, night = (
        changed.get("day_starts_h", row.day_starts_h),
        changed.get("night_starts_h", row.night_starts_h),
    )
    try:
        SiteClock(row.timezone, day, night)
    except ValueError as error:
        raise invalid("body.night_starts_h", str(error)) from None
    row.day_starts_h, row.night_starts_h = day, night
    parts = {key: value for key, value in changed.items() if key in SiteSettings.__struct_fields__}
    settings = {**row.settings, **parts}
    try:
        parse_settings(settings)
    except BadSettings as error:
        raise invalid("body", str(error)) from None
    row.settings = settings


def _judging_out(row: Site) -> JudgingOut:
    settings = msgspec.to_builtins(settings_of(row))
    return JudgingOut(
        site=row.name, timezone=row.timezone, day_starts_h=row.day_starts_h, night_starts_h=row.night_starts_h,
        settings_schema=msgspec.json.schema(SiteSettings), **settings,
    )  # fmt: skip
