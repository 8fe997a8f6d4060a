"""Certificates of devices: renewed by the device itself, for a key that it has made and keeps."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Body, Request
from pydantic import BaseModel, Field

from api.audit import record
from api.guard import Context
from api.problems import ApiProblem, documented
from api.routes.session import demand_patience, throttle_of
from api.schemas import Out
from store.registry.authority import Authority
from store.registry.certificates import MayNotRenew, demand_may_renew, sign
from store.registry.provisioning import broker_username, device_of_login

router = APIRouter(tags=["devices"])


class CertificateIn(BaseModel):
    """The request to certify a new key."""

    csr: str = Field(min_length=1, max_length=8192, description="PEM. The key must be on P-256 or P-384.")


class CertificateOut(Out):
    """A certificate. The one before goes on to count until it is over."""

    certificate: str = Field(description="PEM.")
    serial: str = Field(examples=["6f0e22c4"])
    expires_at: datetime


@router.post(
    "/device/certificate", status_code=201, summary="Renew a device's certificate",
    responses=documented(401, 403, 409, 422, 429),
)  # fmt: skip
def renew_certificate(
    request: Request, context: Context, given: Annotated[CertificateIn, Body()]
) -> CertificateOut:
    """Certify a device's new key. It shows its name and password at the broker by HTTP Basic; nobody logs in for it."""
    username, password = _login(request)
    address = request.client.host if request.client else "?"
    demand_patience(request, f"device {username}", address)
    folder = context.config.authority
    authority = None if folder is None else Authority.open(folder)
    now = context.wall.now()
    with context.registry.session() as session:
        row = device_of_login(session, username, password)
        if row is None:
            raise ApiProblem(401, "wrong_login", "the device's name or password is wrong")
        throttle_of(request).succeeded(f"device {username}", address)
        if authority is None:
            raise ApiProblem(409, "not_possible", "this server has no authority that signs certificates")
        try:
            demand_may_renew(session, row, now)
            name = f"{row.site}/{row.name}"
            signed = sign(session, authority, row, given.csr, who=name, now=now)
        except MayNotRenew as error:
            raise ApiProblem(403, "may_not_renew", str(error)) from None
        except ValueError as error:
            raise ApiProblem(422, "invalid_input", f"csr: {error}") from None
        detail = {"serial": signed.serial, "expires_at": signed.expires_at.isoformat(), "address": address}
        record(session, name, "certificate.renew", broker_username(row.site, row.name), now, detail)
    return CertificateOut(
        certificate=signed.certificate.decode(), serial=signed.serial, expires_at=signed.expires_at
    )


def _login(request: Request) -> tuple[str, str]:
    kind, _, text = request.headers.get("authorization", "").partition(" ")
    try:
        username, colon, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        username, colon, password = "", "", ""
    if kind.lower() != "basic" or not colon or len(username) > 65 or len(password) > 200:
        raise ApiProblem(
            401, "login_required", "show the device's name and password at the broker by HTTP Basic",
            headers={"WWW-Authenticate": "Basic"},
        )  # fmt: skip
    return username, password
