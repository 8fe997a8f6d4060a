"""The gate in front of every operation: the session's cookie, the table of access, and the CSRF header."""

from __future__ import annotations

import hmac
import math
import time
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from api.access import OPERATIONS, Identity, decide, refuse
from api.context import ApiContext
from api.problems import ApiProblem
from api.ratelimit import RateLimit
from store.registry import second_factor
from store.registry.models import LoginSession, User
from store.registry.tokens import find_token, note_use, wants_note
from store.registry.users import find_session, renew_session, role_of, visible_sites, wants_renewal

CSRF_HEADER: Final = "X-CSRF-Token"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OFFICIALS: Final = frozenset({"admin", "bureau"})


async def context_of(request: Request) -> ApiContext:  # async: it needs no thread
    """Return what the application was made with."""
    context = request.app.state.context
    assert isinstance(context, ApiContext)
    return context


Context = Annotated[ApiContext, Depends(context_of)]


def guard(request: Request, context: Context) -> Identity | None:
    """Let a request through or raise the problem that answers it; return who asks."""
    operation = getattr(request.scope.get("endpoint"), "__name__", "")
    access = OPERATIONS.get(operation)
    if request.method not in _SAFE:
        _demand_same_origin(request, context)
    who = _who_asks(request, context)
    _demand_rate(request, who, context)
    for site in _sites_named(request):
        refusal = decide(access, who, site)
        if refusal:
            raise refuse(refusal, site=site, role=who.role if who else "")
    changes = request.method not in _SAFE and access is not None and not access.public
    if who and who.scopes is None and changes:
        _demand_csrf(request, who)
    return who


Visitor = Annotated[Identity | None, Depends(guard)]
"""Parameter of a public endpoint: who asks, if they are logged in."""


def _who_asks(request: Request, context: ApiContext) -> Identity | None:
    """Return the user of a program's token where there is one, else that of the session's cookie."""
    kind, _, text = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return identify_program(text.strip(), context)
    return identify(request.cookies.get(context.config.cookie_name), context)


def _demand_rate(request: Request, who: Identity | None, context: ApiContext) -> None:
    limit = request.app.state.rates
    assert isinstance(limit, RateLimit)
    address = request.client.host if request.client else "?"
    key = ("user", str(who.user_id)) if who else ("address", address)
    rate = context.config.user_rate if who else context.config.address_rate
    wait_s = limit.take(key, rate, time.monotonic())
    if wait_s > 0.0:
        raise ApiProblem(
            429, "too_many_requests", "too many requests; slow down",
            headers={"Retry-After": str(math.ceil(wait_s))},
        )  # fmt: skip


def _sites_named(request: Request) -> list[str | None]:
    """Return every site that the path and the query name; ``[None]`` where they name none."""
    named = [*request.query_params.getlist("site"), request.path_params.get("site")]
    return [site for site in named if site is not None] or [None]


async def _known(who: Annotated[Identity | None, Depends(guard)]) -> Identity:
    if who is None:
        raise refuse("login_required")
    return who


Who = Annotated[Identity, Depends(_known)]
"""Parameter of an endpoint: who asks."""


def identify(token: str | None, context: ApiContext) -> Identity | None:
    """Return who a session's token belongs to, and prolong a session that is in use."""
    if not token or len(token) > 200:
        return None
    now = context.wall.now()
    with context.registry.reader() as session:
        row = find_session(session, token, now)
        if row is None:
            return None
        who, renew = _identity(session, row, token, context), wants_renewal(row, now)
    if renew:
        with context.registry.session() as session:
            renew_session(session, token, now)
    return who


def identify_program(text: str, context: ApiContext) -> Identity | None:
    """Return the user as whom a program's token acts, with its scopes."""
    now = context.wall.now()
    with context.registry.reader() as session:
        row = find_token(session, text, now)
        if row is None:
            return None
        user, number, note = row.user, row.id, wants_note(row, now)
        who = Identity(
            user.id,
            user.name,
            role_of(user),
            user.language,
            visible_sites(user),
            "",
            text,
            frozenset(row.scopes),
            lacks_factor(session, user, context),
        )
    if note:
        with context.registry.session() as session:
            note_use(session, number, now)
    return who


def identify_again(who: Identity, context: ApiContext) -> Identity | None:
    """Return who a stream's holder is now, by the same proof as at its beginning."""
    return identify(who.token, context) if who.scopes is None else identify_program(who.token, context)


def lacks_factor(session: Session, user: User, context: ApiContext) -> bool:
    """Whether a second factor is demanded of a user who has none."""
    demanded = context.config.officials_need_factor and user.role in _OFFICIALS
    return demanded and second_factor.in_force(session, user.id) is None


def _identity(session: Session, row: LoginSession, token: str, context: ApiContext) -> Identity:
    user = row.user
    return Identity(
        user.id, user.name, role_of(user), user.language, visible_sites(user), row.csrf_token, token,
        lacks_factor=lacks_factor(session, user, context),
    )  # fmt: skip


def _demand_same_origin(request: Request, context: ApiContext) -> None:
    """Refuse what another site's page makes the browser send (the login included, which has no CSRF header yet)."""
    fetch_site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    hosts = {request.headers.get("host", "").lower(), context.config.host}
    strange = origin is not None and urlsplit(origin).netloc.lower() not in hosts - {""}
    if strange or fetch_site not in ("same-origin", "none"):
        raise ApiProblem(
            403, "cross_site", "this request comes from another site's page; open ours and try again"
        )


def _demand_csrf(request: Request, who: Identity) -> None:
    given = request.headers.get(CSRF_HEADER, "")
    if not hmac.compare_digest(given.encode(), who.csrf_token.encode()):
        raise ApiProblem(
            403, "csrf", f"changes need the header {CSRF_HEADER} with the token that /api/v1/me returns"
        )
