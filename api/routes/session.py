"""Logging in and out, and what a person may change about themselves."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Literal

import structlog
from fastapi import APIRouter, Body, Request, Response
from pydantic import BaseModel, Field

from api.access import Identity
from api.audit import record
from api.context import ApiContext
from api.guard import Context, Visitor, Who, lacks_factor
from api.problems import ApiProblem, documented, invalid
from api.schemas import Out
from api.throttle import LoginThrottle
from api.version import VERSION
from store.registry import second_factor
from store.registry.models import User
from store.registry.users import (
    PASSWORD_MOST,
    Role,
    WeakPassword,
    close_session,
    demand_password,
    hash_password,
    open_session,
    outdated_hash,
    password_fits,
    replace_hash,
    role_of,
    verify,
    visible_sites,
)

log = structlog.get_logger(__name__)
router = APIRouter(tags=["session"])

_COOKIE_AGE_S = 180 * 86_400
"""The browser keeps the cookie; the server decides when the session is over."""


class LoginIn(BaseModel):
    """Name and password."""

    name: str = Field(min_length=1, max_length=64, examples=["li.wei"])
    password: str = Field(min_length=1, max_length=PASSWORD_MOST)
    code: str | None = Field(
        default=None, max_length=20, examples=[None],
        description="One-time password, or a recovery code, of those who use them.",
    )  # fmt: skip


class ClockOut(Out):
    """The time of the data, and how many of its seconds pass in one of the wall (1 except in a demonstration)."""

    now: str = Field(examples=["2026-03-01T12:00:00.250000Z"])
    speed: float = Field(examples=[1.0])


class MeOut(Out):
    """Who is logged in. Changes need `csrf_token` in the header `X-CSRF-Token`."""

    name: str = Field(examples=["li.wei"])
    role: Role
    language: Literal["zh", "en"]
    sites: list[str] | None = Field(description="The sites that the user may see; null for every site.")
    csrf_token: str
    clock: ClockOut
    version: str = Field(examples=["0.1.0"])
    demo: bool = Field(description="Whether the data are a demonstration's.")
    lacks_factor: bool = Field(description="Whether a second factor has to be enrolled before anything else.")


class SessionOut(Out):
    """Who is logged in, if anybody."""

    me: MeOut | None


class PasswordIn(BaseModel):
    """The present password and the new one."""

    present: str = Field(min_length=1, max_length=PASSWORD_MOST)
    new: str = Field(min_length=1, max_length=PASSWORD_MOST)


class LanguageIn(BaseModel):
    """The language of the page and of messages."""

    language: Literal["zh", "en"]


@router.post("/login", summary="Log in", responses=documented(401, 403, 422, 429))
def login(request: Request, response: Response, context: Context, given: Annotated[LoginIn, Body()]) -> MeOut:
    """Open a session: the answer sets its cookie. Failed logins of one account make the next ones wait."""
    address = request.client.host if request.client else "?"
    demand_patience(request, given.name, address)
    with context.registry.reader() as session:
        user = verify(session, given.name, given.password)
        rehash = user is not None and outdated_hash(user)
    if user is None:
        log.info("login refused", user=given.name, address=address)
        raise ApiProblem(401, "wrong_password", "name or password is wrong")
    now = context.wall.now()
    _demand_code(context, user.id, given.code, now)
    throttle_of(request).succeeded(given.name, address)
    new_hash = hash_password(given.password) if rehash else None
    with context.registry.session() as session:
        row = session.get_one(User, user.id)
        if new_hash:
            row.password_hash = new_hash
        old = request.cookies.get(context.config.cookie_name)
        if old:
            close_session(session, old)
        opened = open_session(session, row, now)
        record(session, row.name, "user.login", row.name, now, {"address": address})
        who = Identity(
            row.id, row.name, role_of(row), row.language, visible_sites(row), opened.csrf_token, opened.token,
            lacks_factor=lacks_factor(session, row, context),
        )  # fmt: skip
    _set_cookie(response, context, opened.token)
    return me_out(who, context)


@router.post("/logout", status_code=204, summary="Log out", responses=documented(401, 403))
def logout(response: Response, context: Context, who: Who) -> None:
    """End this session."""
    with context.registry.session() as session:
        close_session(session, who.token)
        record(session, who.name, "user.logout", who.name, context.wall.now())
    response.delete_cookie(
        context.config.cookie_name,
        path="/",
        secure=context.config.cookie_secure,
        httponly=True,
        samesite="lax",
    )


@router.get("/session", summary="Whether anybody is logged in")
def get_session(context: Context, who: Visitor) -> SessionOut:
    """Return who is logged in, or null: what a page asks first."""
    return SessionOut(me=me_out(who, context) if who else None)


@router.get("/me", summary="Who is logged in", responses=documented(401))
def get_me(context: Context, who: Who) -> MeOut:
    """Return the user, the CSRF token and the clock of the data."""
    return me_out(who, context)


@router.put("/me/password", summary="Change my password", responses=documented(401, 403, 422, 429))
def change_password(
    request: Request, response: Response, context: Context, who: Who, given: Annotated[PasswordIn, Body()]
) -> MeOut:
    """Change the password. All sessions of the user end; the answer opens a new one for this browser."""
    address = request.client.host if request.client else "?"
    demand_patience(request, who.name, address)
    with context.registry.reader() as session:
        old_hash = session.get_one(User, who.user_id).password_hash
    if not password_fits(old_hash, given.present):
        raise invalid("body.present", "the present password is wrong")
    throttle_of(request).succeeded(who.name, address)
    try:
        demand_password(given.new, who.name)
    except WeakPassword as error:
        raise invalid("body.new", str(error)) from None
    new_hash, now = hash_password(given.new), context.wall.now()
    with context.registry.session() as session:
        user = session.get_one(User, who.user_id)
        replace_hash(session, user, new_hash)
        opened = open_session(session, user, now)
        record(session, who.name, "user.password", who.name, now)
    _set_cookie(response, context, opened.token)
    return me_out(replace(who, csrf_token=opened.csrf_token, token=opened.token), context)


@router.put(
    "/me/language", status_code=204, summary="Change my language", responses=documented(401, 403, 422)
)
def change_language(context: Context, who: Who, given: Annotated[LanguageIn, Body()]) -> None:
    """Remember the language for the page and for messages."""
    with context.registry.session() as session:
        session.get_one(User, who.user_id).language = given.language
        detail = {"language": given.language}
        record(session, who.name, "user.language", who.name, context.wall.now(), detail)


def me_out(who: Identity, context: ApiContext) -> MeOut:
    """Render who is logged in."""
    return MeOut.model_validate(
        {
            "name": who.name, "role": who.role, "language": who.language, "csrf_token": who.csrf_token,
            "sites": None if who.sites is None else sorted(who.sites),
            "clock": clock_out(context), "version": VERSION, "demo": context.config.demo,
            "lacks_factor": who.lacks_factor,
        }
    )  # fmt: skip


def clock_out(context: ApiContext) -> ClockOut:
    """Render the clock of the data."""
    now = context.clock.now().isoformat().replace("+00:00", "Z")
    return ClockOut(now=now, speed=context.clock.speed)


def _demand_code(context: ApiContext, user_id: int, code: str | None, now: datetime) -> None:
    """Refuse a login whose one-time password is missing or wrong; a wrong one counts as a failed try."""
    with context.registry.session() as session:
        judgement = second_factor.judge(session, user_id, code, now)
    if judgement == "missing":
        raise ApiProblem(401, "code_required", "this account needs a one-time password too: send it as code")
    if judgement == "wrong":
        raise ApiProblem(401, "wrong_code", "the one-time password is wrong, or was used already")


def throttle_of(request: Request) -> LoginThrottle:
    """Return the memory of failed tries."""
    throttle = request.app.state.throttle
    assert isinstance(throttle, LoginThrottle)
    return throttle


def demand_patience(request: Request, name: str, address: str) -> None:
    """Refuse a try with a password that comes too soon after failed ones, and count it as failed until it succeeds."""
    wait_s = throttle_of(request).begin(name, address, time.monotonic())
    if wait_s > 0:
        raise ApiProblem(
            429, "too_many_attempts", f"too many failed logins; try again in {wait_s:.0f} seconds",
            headers={"Retry-After": f"{wait_s:.0f}"},
        )  # fmt: skip


def _set_cookie(response: Response, context: ApiContext, token: str) -> None:
    response.set_cookie(
        context.config.cookie_name, token, max_age=_COOKIE_AGE_S, path="/", httponly=True, samesite="lax",
        secure=context.config.cookie_secure,
    )  # fmt: skip
