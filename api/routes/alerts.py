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
from analysis.notify.links import acknowledge_by_link, open_link
from api import registry_reads as reads
from api.access import Identity
from api.audit import record
from api.guard import Context, Who
from api.problems import ApiProblem, documented, not_found
from api.refusals import refusals
from api.schemas import Label, Out
from store.registry.models import Alert, AlertTransition, Device, Meter, Site

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
    indicative: bool
    updated_at: datetime


class AlertWithHistoryOut(AlertOut):
    """An alert with what happened to it, oldest first."""

    transitions: list[TransitionOut]


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
        return _with_history(session, _visible_alert(session, who, alert_id))


@router.post(
    "/alerts/{alert_id}/acknowledge", summary='"I\'m on it"', responses=documented(401, 403, 404, 409, 422)
)
def acknowledge_alert(
    context: Context, who: Who, alert_id: AlertId, given: Annotated[AcknowledgeIn | None, Body()] = None
) -> AlertWithHistoryOut:
    """Take a firing alert up. Again by anyone changes nothing: the first one stands."""
    note = (given.note or "").strip() if given else ""
    with context.registry.session() as session:
        before = _visible_alert(session, who, alert_id).state
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
        devices = session.scalars(select(Device).where(Device.site.in_(sites)))
        meters = session.scalars(select(Meter).where(Meter.site.in_(sites)))
        self._sources: dict[tuple[str, str], Label] = {}
        self._approved: set[tuple[str, str]] = set()
        for one in (*devices, *meters):
            self._sources[one.site, one.name] = Label(zh=one.label_zh, en=one.label_en)
            if isinstance(one, Device) and one.type_approved:
                self._approved.add((one.site, one.name))

    def site(self, name: str) -> Label:
        return self._sites.get(name, Label(zh=name, en=name))

    def source(self, site: str, name: str) -> Label:
        return self._sources.get((site, name), Label(zh=name, en=name))

    def approved(self, site: str, name: str) -> bool:
        return (site, name) in self._approved


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


def _visible_alert(session: Session, who: Identity, alert_id: int) -> Alert:
    alert = session.get(Alert, alert_id)
    if alert is None or not who.may_see(alert.site):
        raise not_found(f"alert {alert_id}")
    return alert


def _with_history(session: Session, alert: Alert) -> AlertWithHistoryOut:
    transitions = session.scalars(
        select(AlertTransition).where(AlertTransition.alert_id == alert.id).order_by(AlertTransition.id)
    )
    return AlertWithHistoryOut(
        **_fields(alert, _Labels(session, [alert])), transitions=[_transition_out(one) for one in transitions]
    )


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
        "indicative": alert.rule_kind.startswith("noise") and not labels.approved(alert.site, alert.source),
    }


def _unit(kind: str) -> str:
    """Return the unit of a rule's values, by what it is about."""
    return {"noise": "dB", "water": "L/h", "device": "min"}.get(kind.partition("_")[0], "")
