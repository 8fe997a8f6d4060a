"""Where a person wants alerts. An address holds secrets: it is taken, tried and used, and never shown whole."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, Body, Path
from pydantic import BaseModel, Field
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from analysis.notify import webhook
from analysis.notify.prefs import BadPrefs, NotifyPrefs, parse_prefs
from analysis.notify.sender import address_fault, send
from analysis.notify.wording import Message
from api.access import Identity
from api.audit import record
from api.guard import Context, Who
from api.problems import ApiProblem, documented, invalid, not_found
from api.schemas import Out
from store.registry.models import Contact, User

router = APIRouter(tags=["contacts"], prefix="/me")

ContactId = Annotated[int, Path(ge=1, le=2**53)]
_MOST = 20
_WEBHOOKS = frozenset({"http", "https"})


class ContactOut(Out):
    """An address of the user."""

    id: int
    label: str = Field(examples=["企业微信群"])
    scheme: str = Field(description="The kind of address; the rest is kept secret.", examples=["wecombot"])
    created_at: datetime


class ContactAddedOut(ContactOut):
    """A new address; of a webhook also the secret that its messages are signed with, this once."""

    secret: str | None


class ContactsOut(Out):
    """All addresses of the user."""

    items: list[ContactOut]


class ContactIn(BaseModel):
    """A new address in the form of apprise; `http` and `https` are webhooks for programs, signed with a secret."""

    label: str = Field(default="", max_length=80)
    url: str = Field(min_length=4, max_length=1000, examples=["wecombot://BOTKEY"])


class NotifyPrefsIn(BaseModel):
    """Quiet hours (local time, may cross midnight), digests instead of single messages, and the least severity."""

    quiet_from: str | None = Field(default=None, max_length=5, examples=["22:30"])
    quiet_to: str | None = Field(default=None, max_length=5, examples=["07:00"])
    digest_at: list[str] = Field(default=[], max_length=12, examples=[["08:00", "18:00"]])
    least: Literal["info", "warning", "critical"] = "info"


class NotifyPrefsOut(Out):
    """When a person is told."""

    quiet_from: str | None
    quiet_to: str | None
    digest_at: list[str]
    least: Literal["info", "warning", "critical"]


class TriedOut(Out):
    """What came of a trial message."""

    sent: bool
    error: str | None


@router.get("/contacts", summary="Where I want alerts", responses=documented(401))
def list_contacts(context: Context, who: Who) -> ContactsOut:
    """Return the addresses, without their secrets."""
    with context.registry.reader() as session:
        rows = session.scalars(select(Contact).where(Contact.user_id == who.user_id).order_by(Contact.id))
        return ContactsOut(items=[_contact_out(row) for row in rows])


@router.post("/contacts", status_code=201, summary="Add an address", responses=documented(401, 403, 409, 422))
def add_contact(context: Context, who: Who, given: Annotated[ContactIn, Body()]) -> ContactAddedOut:
    """Add an address at which alerts arrive."""
    scheme = _scheme(given.url)
    secret = webhook.new_secret() if scheme in _WEBHOOKS else None
    fault = None if secret and urlsplit(given.url).hostname else address_fault(given.url)
    if fault is not None:
        raise invalid("body.url", fault)
    with context.registry.session() as session:
        present = session.scalars(select(Contact.id).where(Contact.user_id == who.user_id)).all()
        if len(present) >= _MOST:
            raise ApiProblem(409, "not_possible", f"nobody has more than {_MOST} addresses; remove one first")
        row = Contact(
            user_id=who.user_id, label=given.label or scheme, url=given.url, secret=secret,
            created_at=context.wall.now(),
        )  # fmt: skip
        session.add(row)
        session.flush()
        record(session, who.name, "contact.add", who.name, context.wall.now(), {"scheme": scheme})
        return ContactAddedOut(**_contact_out(row).model_dump(), secret=secret)


@router.delete(
    "/contacts/{contact_id}",
    status_code=204,
    summary="Remove an address",
    responses=documented(401, 403, 404),
)
def remove_contact(context: Context, who: Who, contact_id: ContactId) -> None:
    """Remove an address; what waits for it is not sent any more."""
    with context.registry.session() as session:
        row = _own(session, who, contact_id)
        session.execute(delete(Contact).where(Contact.id == row.id))
        record(
            session, who.name, "contact.remove", who.name, context.wall.now(), {"scheme": _scheme(row.url)}
        )


@router.post(
    "/contacts/{contact_id}/test", summary="Send a trial message", responses=documented(401, 403, 404)
)
def try_contact(context: Context, who: Who, contact_id: ContactId) -> TriedOut:
    """Send a message to an address now and say what came of it."""
    with context.registry.reader() as session:
        row = _own(session, who, contact_id)
        url, secret = row.url, row.secret
    title, body = (
        ("静水：测试消息", "收到此消息，说明告警可以送达这里。")
        if who.language == "zh"
        else ("Quietwater: trial message", "This message shows that alerts reach you here.")
    )
    at = int(context.wall.now().timestamp())
    result = (
        webhook.post(
            url, secret, webhook.body_of(Message(title, body), [], [], at), delivery="trial", at_unix_s=at
        )
        if secret
        else send(url, title, body)
    )
    return TriedOut(sent=result.ok, error=result.error or None)


@router.get("/notify", summary="When I want to be told", responses=documented(401, 403))
def get_notify_prefs(context: Context, who: Who) -> NotifyPrefsOut:
    """Return quiet hours, digests, and from which severity on."""
    with context.registry.reader() as session:
        return _prefs_out(parse_prefs(session.get_one(User, who.user_id).notify))


@router.put("/notify", summary="Say when I want to be told", responses=documented(401, 403, 422))
def change_notify_prefs(
    context: Context, who: Who, given: Annotated[NotifyPrefsIn, Body()]
) -> NotifyPrefsOut:
    """Replace quiet hours and digests. Critical alerts are told at once, whatever these say."""
    raw = given.model_dump(exclude_defaults=True)
    try:
        prefs = parse_prefs(raw)
    except BadPrefs as error:
        raise invalid("body", str(error)) from None
    with context.registry.session() as session:
        session.get_one(User, who.user_id).notify = raw
        record(session, who.name, "notify.change", who.name, context.wall.now(), raw)
    return _prefs_out(prefs)


def _prefs_out(prefs: NotifyPrefs) -> NotifyPrefsOut:
    return NotifyPrefsOut(
        quiet_from=prefs.quiet_from,
        quiet_to=prefs.quiet_to,
        digest_at=list(prefs.digest_at),
        least=prefs.least,
    )


def _own(session: Session, who: Identity, contact_id: int) -> Contact:
    row = session.get(Contact, contact_id)
    if row is None or row.user_id != who.user_id:
        raise not_found(f"contact {contact_id}")
    return row


def _contact_out(row: Contact) -> ContactOut:
    return ContactOut(id=row.id, label=row.label, scheme=_scheme(row.url), created_at=row.created_at)


def _scheme(url: str) -> str:
    return url.split("://", 1)[0][:20]
