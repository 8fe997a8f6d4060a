"""Enrolment: a code for an installer, and the identity that a device fetches with it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Body, Path, Request
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from api import registry_reads as reads
from api.agent_configuration import agent_configuration
from api.audit import record
from api.context import ApiContext
from api.guard import Context, Who
from api.problems import ApiProblem, documented
from api.routes.session import demand_patience, throttle_of
from api.schemas import Out
from store.registry.authority import Authority
from store.registry.certificates import sign
from store.registry.enrolment import LONGEST, USUAL, CodeRefused, Refusal, make_code, redeem
from store.registry.models import Device
from store.registry.provisioning import broker_username

router = APIRouter(tags=["devices"])

Name = Annotated[str, Path(max_length=32)]
_HOUR: Final = timedelta(hours=1)
_TRIES: Final = "enrolment code"
"""The account that failed tries are counted at, whatever was tried; no user's name has a space."""
_WORDS: Final[dict[Refusal, str]] = {
    "unknown": "no device has this code; look at its letters, or have a new one made",
    "used": "this code was used already; have a new one made",
    "over": "this code is over; have a new one made",
    "other": "this code is for another device; move the old configuration away if this machine is to be that one",
    "disabled": "this device is switched off; have it switched on first",
}


class EnrolmentIn(BaseModel):
    """How long the code is to be valid."""

    valid_h: int = Field(default=USUAL // _HOUR, ge=1, le=LONGEST // _HOUR, examples=[48])


class EnrolmentOut(Out):
    """A code. It is kept nowhere, works once, and ends the codes that were made for the device before."""

    site: str
    device: str
    code: str = Field(examples=["7K3M-9QXW-0TBD"])
    expires_at: datetime
    command: str = Field(
        description="What to type on the device.",
        examples=["sudo quietwater edge enrol 7K3M-9QXW-0TBD --server https://quietwater.example"],
    )


class RedeemIn(BaseModel):
    """A code as it was typed: spaces, dashes and case do not matter."""

    code: str = Field(min_length=1, max_length=64, examples=["7K3M-9QXW-0TBD"])
    device: str | None = Field(
        default=None, max_length=65, description="Which device asks, where it is one already: SITE/NAME."
    )
    csr: str | None = Field(
        default=None,
        max_length=8192,
        description="Request (PEM) to certify the device's own key. Its name does not matter.",
    )


class IdentityOut(Out):
    """What a device needs. The password is new; what the device had before is worth nothing from now on."""

    site: str
    device: str
    username: str = Field(examples=["quiet-garden.east-gate"])
    password: str
    broker_url: str = Field(examples=["mqtts://quietwater.example:8883"])
    broker_ca: str | None = Field(
        description="Certificate (PEM) of the authority that signed the broker's, where it is the server's own."
    )
    certificate: str | None = Field(
        description="Certificate (PEM) for the request's key, where devices come to the broker by TLS of our authority."
    )
    configuration: str = Field(description="The text of `edge.toml`, to be kept where there is none yet.")


@router.post(
    "/sites/{site}/devices/{device}/enrolment", status_code=201, summary="Make an enrolment code",
    responses=documented(401, 403, 404, 409, 422),
)  # fmt: skip
def make_enrolment(
    request: Request, context: Context, who: Who, site: Name, device: Name,
    given: Annotated[EnrolmentIn, Body()] = EnrolmentIn(),  # noqa: B008  a model that nobody changes
) -> EnrolmentOut:  # fmt: skip
    """Make a code with which the device fetches its password and configuration: `quietwater edge enrol CODE`."""
    now = context.wall.now()
    with context.registry.session() as session:
        row = reads.one_device(session, site, device)
        if not row.enabled:
            raise ApiProblem(409, "not_possible", _WORDS["disabled"])
        kept, code = make_code(session, row, who=who.name, now=now, valid_for=given.valid_h * _HOUR)
        detail = {"expires_at": kept.expires_at.isoformat()}
        record(session, who.name, "device.enrolment", f"{site}/{device}", now, detail)
        server = context.config.base_url.rstrip("/") or str(request.base_url).rstrip("/")
        return EnrolmentOut(
            site=site, device=device, code=code, expires_at=kept.expires_at,
            command=f"sudo quietwater edge enrol {code} --server {server}",
        )  # fmt: skip


@router.post(
    "/enrolments/redeem", summary="Fetch a device's identity", responses=documented(403, 404, 409, 422, 429)
)
def redeem_enrolment(request: Request, context: Context, given: Annotated[RedeemIn, Body()]) -> IdentityOut:
    """Use a code up. A device calls this; nobody logs in for it, and wrong codes make the next try wait."""
    address = request.client.host if request.client else "?"
    demand_patience(request, _TRIES, address)
    now = context.wall.now()
    with context.registry.session() as session:
        try:
            found = redeem(session, given.code, now, device=given.device)
        except CodeRefused as refused:
            status = 404 if refused.reason == "unknown" else 409
            raise ApiProblem(status, f"code_{refused.reason}", _WORDS[refused.reason]) from None
        row = found.device
        name = f"{row.site}/{row.name}"
        record(session, name, "device.enrolled", name, now, {"address": address})
        certificate = _certified(context, session, row, given.csr, now)
        identity = IdentityOut(
            site=row.site, device=row.name, username=broker_username(row.site, row.name), password=found.password,
            broker_url=context.config.broker_url, broker_ca=context.config.broker_ca,
            certificate=certificate,
            configuration=agent_configuration(
                row.site, row.name, row.kind, context.config.broker_url,
                own_ca=context.config.broker_ca is not None, certified=certificate is not None,
            ),
        )  # fmt: skip
    throttle_of(request).succeeded(_TRIES, address)
    return identity


def _certified(
    context: ApiContext, session: Session, row: Device, csr: str | None, now: datetime
) -> str | None:
    """Certify the key of a device that enrols, where the broker trusts our authority."""
    folder = context.config.authority
    authority = (
        Authority.open(folder)
        if folder is not None and csr is not None and context.config.broker_ca
        else None
    )
    if authority is None or csr is None:
        return None
    try:
        signed = sign(session, authority, row, csr, who=f"{row.site}/{row.name}", now=now)
    except ValueError as error:
        raise ApiProblem(422, "invalid_input", f"csr: {error}") from None
    return signed.certificate.decode()
