"""One-time passwords: enrolled by a person with a phone, ended by the person or by an administrator."""

from __future__ import annotations

from typing import Annotated

import segno
from fastapi import APIRouter, Body, Path, Request
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from api.audit import record
from api.context import ApiContext
from api.guard import Context, Who
from api.problems import ApiProblem, documented, invalid, not_found
from api.refusals import refusals
from api.routes.session import demand_patience, throttle_of
from api.schemas import Out
from store.registry import second_factor
from store.registry.models import User
from store.registry.users import PASSWORD_MOST, find_user, password_fits

router = APIRouter(tags=["session"])

Password = Annotated[str, Field(min_length=1, max_length=PASSWORD_MOST)]
Code = Annotated[str, Field(min_length=6, max_length=20, examples=["123456"])]


class SecondFactorOut(Out):
    """Whether one-time passwords are in use."""

    enabled: bool
    recovery_left: int = Field(description="Recovery codes that are left.", examples=[10])


class EnrolmentOut(Out):
    """What goes into the phone. It counts once a code from the phone confirms it."""

    secret: str = Field(examples=["JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"])
    uri: str = Field(examples=["otpauth://totp/Quietwater:li.wei?secret=JBSWY3DPEHPK3PXP&issuer=Quietwater"])
    qr_svg: str = Field(
        description="The address as a QR code, a data URI of an SVG.", examples=["data:image/svg+xml,…"]
    )


class RecoveryOut(Out):
    """Codes that each let the person in once without the phone. They are kept nowhere: write them down now."""

    recovery_codes: list[str] = Field(examples=[["a1b2c3-d4e5f6"]])


class ProofIn(BaseModel):
    """The password of the person who asks."""

    password: Password


class CodeIn(BaseModel):
    """A code from the phone."""

    code: Code


@router.get("/me/second-factor", summary="Whether I use one-time passwords", responses=documented(401, 403))
def get_second_factor(context: Context, who: Who) -> SecondFactorOut:
    """Return whether logging in needs a code, and how many recovery codes are left."""
    with context.registry.reader() as session:
        row = second_factor.in_force(session, who.user_id)
        return SecondFactorOut(enabled=row is not None, recovery_left=len(row.recovery) if row else 0)


@router.post(
    "/me/second-factor", status_code=201, summary="Begin with one-time passwords",
    responses=documented(401, 403, 409, 422, 429),
)  # fmt: skip
def begin_second_factor(
    request: Request, context: Context, who: Who, given: Annotated[ProofIn, Body()]
) -> EnrolmentOut:
    """Make a secret for the phone; nothing changes until a code confirms it."""
    _demand_password(request, context, who.user_id, who.name, given.password)
    with context.registry.session() as session:
        try:
            made = second_factor.enrol(session, session.get_one(User, who.user_id))
        except ValueError as error:
            raise ApiProblem(409, "not_possible", str(error)) from None
    return EnrolmentOut(secret=made.secret, uri=made.uri, qr_svg=_qr(made.uri))


@router.post(
    "/me/second-factor/confirm", summary="Confirm one-time passwords", responses=documented(401, 403, 422)
)
def confirm_second_factor(context: Context, who: Who, given: Annotated[CodeIn, Body()]) -> RecoveryOut:
    """Put the secret in force; from now on logging in needs a code. The answer holds the recovery codes, once."""
    now = context.wall.now()
    with context.registry.session() as session, refusals("body.code"):
        codes = second_factor.confirm(session, session.get_one(User, who.user_id), given.code, now)
        record(session, who.name, "second_factor.add", who.name, now)
    return RecoveryOut(recovery_codes=codes)


@router.post(
    "/me/second-factor/end", status_code=204, summary="End one-time passwords",
    responses=documented(401, 403, 422, 429),
)  # fmt: skip
def end_second_factor(
    request: Request, context: Context, who: Who, given: Annotated[ProofIn, Body()]
) -> None:
    """Log in without codes again."""
    _demand_password(request, context, who.user_id, who.name, given.password)
    with context.registry.session() as session:
        _remove(session, context, who.name, who.user_id, who.name)


@router.delete(
    "/users/{name}/second-factor", status_code=204, summary="End somebody's one-time passwords",
    responses=documented(401, 403, 404),
)  # fmt: skip
def reset_second_factor(
    context: Context, who: Who, name: Annotated[str, Path(max_length=64, examples=["li.wei"])]
) -> None:
    """Help somebody who lost phone and recovery codes."""
    with context.registry.session() as session:
        row = find_user(session, name)
        if row is None:
            raise not_found(f"user {name!r}")
        _remove(session, context, who.name, row.id, row.name)


def _remove(session: Session, context: ApiContext, who: str, user_id: int, name: str) -> None:
    if second_factor.remove(session, user_id):
        record(session, who, "second_factor.remove", name, context.wall.now())


def _demand_password(request: Request, context: ApiContext, user_id: int, name: str, password: str) -> None:
    """A session that was left open must not be enough; guesses wait as they do at the login."""
    address = request.client.host if request.client else "?"
    demand_patience(request, name, address)
    with context.registry.reader() as session:
        kept = session.get_one(User, user_id).password_hash
    if not password_fits(kept, password):
        raise invalid("body.password", "the password is wrong")
    throttle_of(request).succeeded(name, address)


def _qr(uri: str) -> str:
    return segno.make(uri, error="m").svg_data_uri(scale=5, border=2)
