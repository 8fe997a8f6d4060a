"""Where a person wants alerts. An address holds secrets: it is taken, tried and used, and never shown whole."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Body, Path
from pydantic import BaseModel, Field
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from analysis.notify.sender import address_fault, send
from api.access import Identity
from api.audit import record
from api.guard import Context, Who
from api.problems import ApiProblem, documented, invalid, not_found
from api.schemas import Out
from store.registry.models import Contact

router = APIRouter(tags=["contacts"], prefix="/me/contacts")

ContactId = Annotated[int, Path(ge=1, le=2**53)]
_MOST = 20


class ContactOut(Out):
    """An address of the user."""

    id: int
    label: str = Field(examples=["企业微信群"])
    scheme: str = Field(description="The kind of address; the rest is kept secret.", examples=["wecombot"])
    created_at: datetime


class ContactsOut(Out):
    """All addresses of the user."""

    items: list[ContactOut]


class ContactIn(BaseModel):
    """A new address in the form of apprise."""

    label: str = Field(default="", max_length=80)
    url: str = Field(min_length=4, max_length=1000, examples=["wecombot://BOTKEY"])


class TriedOut(Out):
    """What came of a trial message."""

    sent: bool
    error: str | None


@router.get("", summary="Where I want alerts", responses=documented(401))
def list_contacts(context: Context, who: Who) -> ContactsOut:
    """Return the addresses, without their secrets."""
    with context.registry.reader() as session:
        rows = session.scalars(select(Contact).where(Contact.user_id == who.user_id).order_by(Contact.id))
        return ContactsOut(items=[_contact_out(row) for row in rows])


@router.post("", status_code=201, summary="Add an address", responses=documented(401, 403, 409, 422))
def add_contact(context: Context, who: Who, given: Annotated[ContactIn, Body()]) -> ContactOut:
    """Add an address at which alerts arrive."""
    fault = address_fault(given.url)
    if fault is not None:
        raise invalid("body.url", fault)
    scheme = _scheme(given.url)
    with context.registry.session() as session:
        present = session.scalars(select(Contact.id).where(Contact.user_id == who.user_id)).all()
        if len(present) >= _MOST:
            raise ApiProblem(409, "not_possible", f"nobody has more than {_MOST} addresses; remove one first")
        row = Contact(
            user_id=who.user_id, label=given.label or scheme, url=given.url, created_at=context.wall.now()
        )
        session.add(row)
        session.flush()
        record(session, who.name, "contact.add", who.name, context.wall.now(), {"scheme": scheme})
        return _contact_out(row)


@router.delete(
    "/{contact_id}", status_code=204, summary="Remove an address", responses=documented(401, 403, 404)
)
def remove_contact(context: Context, who: Who, contact_id: ContactId) -> None:
    """Remove an address; what waits for it is not sent any more."""
    with context.registry.session() as session:
        row = _own(session, who, contact_id)
        session.execute(delete(Contact).where(Contact.id == row.id))
        record(
            session, who.name, "contact.remove", who.name, context.wall.now(), {"scheme": _scheme(row.url)}
        )


@router.post("/{contact_id}/test", summary="Send a trial message", responses=documented(401, 403, 404))
def try_contact(context: Context, who: Who, contact_id: ContactId) -> TriedOut:
    """Send a message to an address now and say what came of it."""
    with context.registry.reader() as session:
        url = _own(session, who, contact_id).url
    title, body = (
        ("静水：测试消息", "收到此消息，说明告警可以送达这里。")
        if who.language == "zh"
        else ("Quietwater: trial message", "This message shows that alerts reach you here.")
    )
    result = send(url, title, body)
    return TriedOut(sent=result.ok, error=result.error or None)


def _own(session: Session, who: Identity, contact_id: int) -> Contact:
    row = session.get(Contact, contact_id)
    if row is None or row.user_id != who.user_id:
        raise not_found(f"contact {contact_id}")
    return row


def _contact_out(row: Contact) -> ContactOut:
    return ContactOut(id=row.id, label=row.label, scheme=_scheme(row.url), created_at=row.created_at)


def _scheme(url: str) -> str:
    return url.split("://", 1)[0][:20]
