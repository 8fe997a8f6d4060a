"""Alerts: what is open, what happened to one, and "I'm on it"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Path, Query
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from analysis.alerts.actions import NoSuchAlert, NotPossible, acknowledge
from analysis.indicative import indicative
from analysis.leaks.texts import whole_site
from analysis.notify.links import acknowledge_by_link, open_link
from api import registry_reads as reads
from api.access import Identity
from api.audit import record
from api.guard import Context, Who
from api.problems import ApiProblem, documented, not_found
from api.refusals import refusals
from api.schemas import INDICATIVE, Label, Out
from store.registry.models import Alert, AlertTransition, Contact, Delivery, Device, Meter, Site, User

router = APIRouter(tags=["alerts"])

AlertId = Annotated[int, Path(ge=1, le=2**53, examples=[17])]
LinkToken = Annotated[str, Path(min_length=8, max_length=100)]
StateFilter = Literal["open", "unanswered", "closed", "all"]
_NOTE_MOST = 180


class TransitionOut(Out):
    """One line of an alert's history."""

    at: datetime
    from_state: str = Field(examples=["firing"])
    to_state: str = Field(examples=["acknowledged"])
    reason: str = Field(description="A named reason; after an acknowledgement also its note.")
    note: str | None
    who: str = Field(examples=["li.wei"])


class AlertOut(Out):
    """An alert. `value`, `limit` and `peak_value` are in `unit`."""

    id: int = Field(examples=[17])
    rule_id: int
    rule_kind: str = Field(examples=["noise_window"])
    site: str
    site_label: Label
    source: str = Field(examples=["east-gate"])
    source_label: Label
    state: Literal["pending", "firing", "escalated", "acknowledged", "resolved", "cancelled"]
    severity: str = Field(examples=["warning"])
    open: bool
    can_acknowledge: bool = Field(description="Whether the state allows an acknowledgement.")
    pending_since: datetime
    firing_since: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    recovering_since: datetime | None
    resolved_at: datetime | None
    no_data: bool
    unit: str = Field(examples=["dB"])
    value: float | None = Field(examples=[58.43])
    limit: float | None = Field(examples=[55.0])
    peak_value: float | None = Field(examples=[61.2])
    detail: dict[str, Any]
    indicative: bool = Field(description=INDICATIVE)
    updated_at: datetime


class DeliveryOut(Out):
    """One message about the alert to one person: sent, waiting and why, or failed and why. The address is not told."""

    event: Literal["firing", "escalated", "resolved"]
    user: str = Field(examples=["li.wei"])
    role: str = Field(examples=["manager"])
    contact: str = Field(description="The name that its owner gave it.", examples=["企业微信群"])
    scheme: str = Field(description="The kind of address.", examples=["wecombot"])
    state: Literal["queued", "sent", "failed", "skipped"] = Field(
        description="`failed` is given up; `skipped` was not needed any more."
    )
    held_by: Literal["", "silence", "quiet_hours", "digest"]
    attempts: int
    last_error: str | None
    created_at: datetime
    sent_at: datetime | None
    next_try_at: datetime | None = Field(description="Of a message that waits.")


class AlertWithHistoryOut(AlertOut):
    """An alert with what happened to it, and who was told, oldest first."""

    transitions: list[TransitionOut]
    deliveries: list[DeliveryOut]


class AlertsOut(Out):
    """A page of alerts, newest first. Ask for the next one with `before_id` = `next`; null on the last page."""

    items: list[AlertOut]
    next: int | None


class LinkedAlertOut(Out):
    """What a link of a message leads to, and as whom its holder acts."""

    alert: AlertOut
    user: str
    language: Literal["zh", "en"]


class AcknowledgeIn(BaseModel):
    """ "I'm on it", with an optional note."""

    note: str | None = Field(default=None, max_length=_NOTE_MOST, examples=["物业保安已到现场"])


@router.get("/alerts", summary="Alerts", responses=documented(401, 404, 422))
def list_alerts(
    context: Context, who: Who, state: Annotated[StateFilter, Query()] = "open",
    site: Annotated[str | None, Query(max_length=32)] = None,
    before_id: Annotated[int | None, Query(ge=1, le=2**53)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> AlertsOut:  # fmt: skip
    """Return alerts of the quarters that you may see, newest first."""
    with context.registry.reader() as session:
        if site is not None:
            reads.one_site(session, site)
        query = _filtered(who, state, site).order_by(Alert.id.desc()).limit(limit + 1)
        if before_id is not None:
            query = query.where(Alert.id < before_id)
        rows = list(session.scalars(query))
        labels = _Labels(session, rows)
        shown = rows[:limit]
        return AlertsOut(
            items=[AlertOut(**_fields(row, labels)) for row in shown],
            next=shown[-1].id if len(rows) > limit else None,
        )


@router.get("/alerts/{alert_id}", summary="One alert with its history", responses=documented(401, 404))
def get_alert(context: Context, who: Who, alert_id: AlertId) -> AlertWithHistoryOut:
    """Return an alert and its transitions."""
    with context.registry.reader() as session:
        return _with_history(session, visible_alert(session, who, alert_id))


@router.post(
    "/alerts/{alert_id}/acknowledge", summary='"I\'m on it"', responses=documented(401, 403, 404, 409, 422)
)
def acknowledge_alert(
    context: Context, who: Who, alert_id: AlertId, given: Annotated[AcknowledgeIn | None, Body()] = None
) -> AlertWithHistoryOut:
    """Take a firing alert up. Again by anyone changes nothing: the first one stands."""
    note = (given.note or "").strip() if given else ""
    with context.registry.session() as session:
        before = visible_alert(session, who, alert_id).state
        try:
            told = acknowledge(session, alert_id, who.name, context.clock.now(), note or None)
        except NoSuchAlert:
            raise not_found(f"alert {alert_id}") from None
        except NotPossible as error:
            raise ApiProblem(409, "not_possible", str(error)) from None
        if before != told.state:
            record(
                session,
                who.name,
                "alert.acknowledge",
                f"alert:{alert_id}",
                context.wall.now(),
                {"note": note},
            )
        answer = _with_history(session, session.get_one(Alert, alert_id))
    if before != told.state:
        context.live.publish_alert(told)
    return answer


@router.get("/ack/{token}", summary="What a message's link leads to", responses=documented(404))
def get_linked_alert(context: Context, token: LinkToken) -> LinkedAlertOut:
    """Return the alert that a link of a message is about. Looking changes nothing: mail scanners open every link."""
    with context.registry.reader() as session, refusals():
        linked = open_link(session, token, context.clock.now())
        row = session.get_one(Alert, linked.alert.id)
        return LinkedAlertOut.model_validate(
            {"alert": _fields(row, _Labels(session, [row])), "user": linked.user, "language": linked.language}
        )


@router.post("/ack/{token}", summary="\"I'm on it\", by a message's link", responses=documented(403, 404))
def acknowledge_linked_alert(context: Context, token: LinkToken) -> LinkedAlertOut:
    """Take the alert up as the one to whom the message went; the link is the proof. An alert that is over stays so."""
    now = context.clock.now()
    with context.registry.session() as session, refusals():
        linked = open_link(session, token, now)
        told = acknowledge_by_link(session, token, now)
        if told.state != linked.alert.state:
            detail = {"by": "link of a message"}
            record(session, linked.user, "alert.acknowledge", f"alert:{told.id}", context.wall.now(), detail)
        row = session.get_one(Alert, told.id)
        answer = LinkedAlertOut.model_validate(
            {"alert": _fields(row, _Labels(session, [row])), "user": linked.user, "language": linked.language}
        )
    if told.state != linked.alert.state:
        context.live.publish_alert(told)
    return answer


class _Labels:
    """Names of what a page of alerts is about, in three queries."""

    def __init__(self, session: Session, alerts: Iterable[Alert]) -> None:
        sites = {alert.site for alert in alerts}
        self._sites = {
            one.name: Label(zh=one.label_zh, en=one.label_en)
            for one in session.scalars(select(Site).where(Site.name.in_(sites)))
        }
        self._devices = session.scalars(select(Device).where(Device.site.in_(sites))).all()
        self._meters = session.scalars(select(Meter).where(Meter.site.in_(sites))).all()
        self._sources = {
            (one.site, one.name): Label(zh=one.label_zh, en=one.label_en)
            for one in (*self._devices, *self._meters)
        }

    def site(self, name: str) -> Label:
        return self._sites.get(name, Label(zh=name, en=name))

    def source(self, site: str, name: str) -> Label:
        zh, en = whole_site(name)
        return self._sources.get((site, name), Label(zh=zh, en=en))

    def indicative(self, alert: Alert) -> bool:
        return indicative(alert.rule_kind, alert.site, alert.source, self._devices, self._meters)


def _filtered(who: Identity, state: StateFilter, site: str | None) -> Any:
    query = select(Alert)
    if site is not None:
        query = query.where(Alert.site == site)
    elif who.sites is not None:
        query = query.where(Alert.site.in_(who.sites))
    match state:
        case "open":
            return query.where(Alert.state.in_(reads.OPEN_STATES))
        case "unanswered":
            return query.where(Alert.state.in_(reads.UNANSWERED_STATES))
        case "closed":
            return query.where(Alert.state == "resolved")
        case "all":
            return query


def visible_alert(session: Session, who: Identity, alert_id: int) -> Alert:
    """Return an alert, or raise the problem "not found" where it is of a site that the user may not see."""
    alert = session.get(Alert, alert_id)
    if alert is None or not who.may_see(alert.site):
        raise not_found(f"alert {alert_id}")
    return alert


def _with_history(session: Session, alert: Alert) -> AlertWithHistoryOut:
    transitions = session.scalars(
        select(AlertTransition).where(AlertTransition.alert_id == alert.id).order_by(AlertTransition.id)
    )
    return AlertWithHistoryOut(
        **_fields(alert, _Labels(session, [alert])), transitions=[_transition_out(one) for one in transitions],
        deliveries=_deliveries(session, alert.id),
    )  # fmt: skip


def _deliveries(session: Session, alert_id: int) -> list[DeliveryOut]:
    rows = session.execute(
        select(Delivery, Contact, User)
        .join(Contact, Contact.id == Delivery.contact_id)
        .join(User, User.id == Contact.user_id)
        .where(Delivery.alert_id == alert_id)
        .order_by(Delivery.id)
    )
    return [
        DeliveryOut.model_validate(
            {
                "event": row.event, "user": user.name, "role": user.role, "contact": contact.label,
                "scheme": contact.url.partition("://")[0][:20], "state": row.state, "held_by": row.held_by,
                "attempts": row.attempts, "last_error": row.last_error, "created_at": row.created_at,
                "sent_at": row.sent_at, "next_try_at": row.next_try_at if row.state == "queued" else None,
            }
        )
        for row, contact, user in rows
    ]  # fmt: skip


def _transition_out(one: AlertTransition) -> TransitionOut:
    reason, found, note = one.reason.partition(": ")
    return TransitionOut(
        at=one.at, from_state=one.from_state, to_state=one.to_state, reason=reason,
        note=note if found else None, who=one.who,
    )  # fmt: skip


def _fields(alert: Alert, labels: _Labels) -> Mapping[str, Any]:
    columns = {column.key: getattr(alert, column.key) for column in Alert.__table__.columns}
    return {
        **{key: value for key, value in columns.items() if key in AlertOut.model_fields},
        "site_label": labels.site(alert.site),
        "source_label": labels.source(alert.site, alert.source),
        "open": alert.state in reads.OPEN_STATES,
        "can_acknowledge": alert.state in reads.UNANSWERED_STATES,
        "unit": _unit(alert.rule_kind),
        "indicative": labels.indicative(alert),
    }


def _unit(kind: str) -> str:
    """Return the unit of a rule's values, by what it is about."""
    return {"water_plan": "m³"}.get(kind) or {"noise": "dB", "water": "L/h", "device": "min"}.get(
        kind.partition("_")[0], ""
    )
