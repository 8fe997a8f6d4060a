"""Tables of the registry. Times are UTC; names of sites, devices and meters are those of the topics."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, ForeignKey, ForeignKeyConstraint, Index, String, UniqueConstraint
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time that is aware on the Python side and UTC in the database, SQLite included."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Refuse naive times; store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("the registry takes times with a zone only")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """SQLite forgets the zone: it is UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Base of all tables."""

    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JSON, list[Any]: JSON}


class Site(Base):
    """A residential quarter."""

    __tablename__ = "sites"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    label_zh: Mapped[str] = mapped_column(String(80))
    label_en: Mapped[str] = mapped_column(String(80))
    district: Mapped[str] = mapped_column(String(80), default="")
    zone_class: Mapped[str] = mapped_column(String(2), default="1")
    """Acoustic function zone of GB 3096-2008: 0, 1, 2, 3, 4a or 4b."""
    timezone: Mapped[str] = mapped_column(String(40), default="Asia/Shanghai")
    day_starts_h: Mapped[int] = mapped_column(default=6)
    night_starts_h: Mapped[int] = mapped_column(default=22)
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    settings: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    """How the site is judged, as ``analysis.site_settings`` understands it: own limits, quiet periods, water."""
    created_at: Mapped[datetime]

    devices: Mapped[list[Device]] = relationship(back_populates="site_row", order_by="Device.name")
    meters: Mapped[list[Meter]] = relationship(order_by="Meter.name")


class Device(Base):
    """A Raspberry Pi (or another agent): one identity at the broker, one outbox."""

    __tablename__ = "devices"

    site: Mapped[str] = mapped_column(ForeignKey("sites.name"), primary_key=True)
    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    """``noise``, ``gateway`` (reads water meters) or ``both``."""
    label_zh: Mapped[str] = mapped_column(String(80))
    label_en: Mapped[str] = mapped_column(String(80))
    secret_hash: Mapped[str] = mapped_column(String(80))
    """bcrypt of the password with which the device logs in to the embedded broker."""
    mosquitto_hash: Mapped[str | None] = mapped_column(String(200))
    """The same password as Mosquitto keeps it; ``None`` for one from before this was kept."""
    type_approved: Mapped[bool] = mapped_column(default=False)
    """A type-approved meter; anything else is "indicative, not for enforcement"."""
    enabled: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]

    site_row: Mapped[Site] = relationship(back_populates="devices")


class Enrolment(Base):
    """A code with which a device may fetch its identity once (see ``store.registry.enrolment``)."""

    __tablename__ = "enrolments"
    __table_args__ = (
        ForeignKeyConstraint(["site", "device"], ["devices.site", "devices.name"]),
        Index("ix_enrolments_device", "site", "device"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    site: Mapped[str] = mapped_column(String(32))
    device: Mapped[str] = mapped_column(String(32))
    code_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    made_by: Mapped[str] = mapped_column(String(64))
    made_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class Certificate(Base):
    """A certificate with which a device comes to the broker (see ``store.registry.certificates``)."""

    __tablename__ = "certificates"
    __table_args__ = (
        ForeignKeyConstraint(["site", "device"], ["devices.site", "devices.name"]),
        Index("ix_certificates_device", "site", "device"),
    )

    serial: Mapped[str] = mapped_column(String(40), primary_key=True)
    """Hexadecimal, lower case."""
    site: Mapped[str] = mapped_column(String(32))
    device: Mapped[str] = mapped_column(String(32))
    issued_by: Mapped[str] = mapped_column(String(64))
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class Meter(Base):
    """A water meter, read by a device of the same site."""

    __tablename__ = "meters"
    __table_args__ = (ForeignKeyConstraint(["site", "device"], ["devices.site", "devices.name"]),)

    site: Mapped[str] = mapped_column(ForeignKey("sites.name"), primary_key=True)
    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    device: Mapped[str] = mapped_column(String(32))
    role: Mapped[str] = mapped_column(String(16), default="household")
    """``household``, ``master`` (feeds the quarter) or ``public``."""
    label_zh: Mapped[str] = mapped_column(String(80))
    label_en: Mapped[str] = mapped_column(String(80))
    persons: Mapped[int | None]
    """People who live behind a household meter."""
    peer_kind: Mapped[str] = mapped_column(String(32), default="", server_default="")
    """Households are compared within a kind, such as ``flat-2-rooms``."""
    created_at: Mapped[datetime]


class DeviceState(Base):
    """The last status that a device sent, or the broker on its behalf."""

    __tablename__ = "device_states"
    __table_args__ = (ForeignKeyConstraint(["site", "device"], ["devices.site", "devices.name"]),)

    site: Mapped[str] = mapped_column(String(32), primary_key=True)
    device: Mapped[str] = mapped_column(String(32), primary_key=True)
    state: Mapped[str] = mapped_column(String(8))
    """``online`` or ``offline``."""
    since: Mapped[datetime]
    received_at: Mapped[datetime]
    status: Mapped[dict[str, Any]]


class User(Base):
    """A person. Roles: ``admin``, ``bureau``, ``water_office``, ``manager`` or ``committee`` (of some sites),
    ``viewer``."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    password_hash: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(16))
    language: Mapped[str] = mapped_column(String(2), default="zh")
    disabled: Mapped[bool] = mapped_column(default=False)
    notify: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    """Quiet hours and digests, as ``analysis.notify.prefs`` understands them."""
    created_at: Mapped[datetime]

    sites: Mapped[list[UserSite]] = relationship(cascade="all, delete-orphan")
    contacts: Mapped[list[Contact]] = relationship(cascade="all, delete-orphan")


class UserSite(Base):
    """A manager, committee or viewer sees these sites only."""

    __tablename__ = "user_sites"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    site: Mapped[str] = mapped_column(ForeignKey("sites.name"), primary_key=True)


class Contact(Base):
    """An address at which a person wants alerts: apprise's, or with a ``secret`` a signed webhook (http, https).

    The address holds secrets too: never show it whole.
    """

    __tablename__ = "contacts"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    label: Mapped[str] = mapped_column(String(80))
    url: Mapped[str] = mapped_column(String(1000))
    secret: Mapped[str | None] = mapped_column(String(100))
    """Key with which a webhook for programs is signed."""
    created_at: Mapped[datetime]


class LoginSession(Base):
    """A person's session; the cookie's token is kept as its SHA-256 only."""

    __tablename__ = "login_sessions"

    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    csrf_token: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]

    user: Mapped[User] = relationship()


class SecondFactor(Base):
    """A person's one-time passwords (TOTP); they count from ``confirmed_at`` on."""

    __tablename__ = "second_factors"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    secret: Mapped[str] = mapped_column(String(64))
    """The secret itself, in base 32: unlike a password it is needed in the clear to check a code."""
    confirmed_at: Mapped[datetime | None]
    last_step: Mapped[int] = mapped_column(default=0)
    """Time step of the last code that was taken."""
    recovery: Mapped[list[Any]] = mapped_column(default=list)
    """SHA-256 of the recovery codes that are left."""


class ApiToken(Base):
    """A program's token; it acts as its user, as far as its scopes go. Kept as its SHA-256 only."""

    __tablename__ = "api_tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(80))
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[Any]] = mapped_column(default=list)
    """``read``, ``acknowledge``, ``administer``, ``metrics``."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    """The last use, to the hour."""

    user: Mapped[User] = relationship()


class Rule(Base):
    """An alert rule of a site. ``kind`` names the code that judges it, ``params`` its thresholds and windows."""

    __tablename__ = "rules"

    id: Mapped[int] = mapped_column(primary_key=True)
    site: Mapped[str] = mapped_column(ForeignKey("sites.name"), index=True)
    kind: Mapped[str] = mapped_column(String(32))
    enabled: Mapped[bool] = mapped_column(default=True)
    version: Mapped[int] = mapped_column(default=1)
    params: Mapped[dict[str, Any]] = mapped_column(default=dict)
    updated_at: Mapped[datetime]


class RuleVersion(Base):
    """Append-only history of a rule: what it was from ``at`` on, who made it so, and why."""

    __tablename__ = "rule_versions"

    rule_id: Mapped[int] = mapped_column(ForeignKey("rules.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    enabled: Mapped[bool]
    params: Mapped[dict[str, Any]]
    at: Mapped[datetime]
    who: Mapped[str] = mapped_column(String(64))
    note: Mapped[str] = mapped_column(String(200), default="")


class Silence(Base):
    """A time in which alerts that match are not told (``silence``) or do not begin (``maintenance``).

    ``site``, ``rule_kind`` and ``source`` match anything where they are null. ``repeat`` is ``once``, ``daily`` or
    ``weekly``; a repeating one goes on until ``repeat_until``, for ever where that is null.
    """

    __tablename__ = "silences"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    site: Mapped[str | None] = mapped_column(ForeignKey("sites.name"), index=True)
    rule_kind: Mapped[str | None] = mapped_column(String(32))
    source: Mapped[str | None] = mapped_column(String(32))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    repeat: Mapped[str] = mapped_column(String(8), default="once")
    repeat_until: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(String(200))
    created_by: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    lifted_at: Mapped[datetime | None]
    """When somebody ended it before its time."""


class Exclusion(Base):
    """A time that is left out of a site's noise averages by hand, with the reason (rain, wind, snow, other)."""

    __tablename__ = "exclusions"

    id: Mapped[int] = mapped_column(primary_key=True)
    site: Mapped[str] = mapped_column(ForeignKey("sites.name"), index=True)
    source: Mapped[str | None] = mapped_column(String(32))
    """One device, or null for all of the site."""
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    reason: Mapped[str] = mapped_column(String(16))
    note: Mapped[str] = mapped_column(String(200), default="")
    created_by: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class SourceCheck(Base):
    """The record of a source check: what was measured when, and the verdict, as a case file needs it. Append-only."""

    __tablename__ = "source_checks"

    id: Mapped[int] = mapped_column(primary_key=True)
    site: Mapped[str] = mapped_column(ForeignKey("sites.name"), index=True)
    device: Mapped[str] = mapped_column(String(32))
    made_at: Mapped[datetime]
    made_by: Mapped[str] = mapped_column(String(64))
    asked: Mapped[dict[str, Any]]
    result: Mapped[dict[str, Any]]


class DetectorState(Base):
    """The state of a leak detector of one unit, to go on from after a restart; rows before ``done_until`` are in."""

    __tablename__ = "detector_states"

    site: Mapped[str] = mapped_column(ForeignKey("sites.name"), primary_key=True)
    unit: Mapped[str] = mapped_column(String(40), primary_key=True)
    config: Mapped[str] = mapped_column(String(64))
    """Digest of the detector's configuration: a state of another configuration is not gone on from."""
    done_until: Mapped[datetime]
    state: Mapped[bytes]
    active: Mapped[list[Any]] = mapped_column(default=list)
    updated_at: Mapped[datetime]


class Alert(Base):
    """One occurrence of a rule's condition at one source, from pending to resolved."""

    __tablename__ = "alerts"
    __table_args__ = (Index("ix_alerts_site_state", "site", "state"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    rule_id: Mapped[int] = mapped_column(ForeignKey("rules.id"))
    rule_kind: Mapped[str] = mapped_column(String(32))
    site: Mapped[str] = mapped_column(ForeignKey("sites.name"))
    source: Mapped[str] = mapped_column(String(32))
    open_key: Mapped[str | None] = mapped_column(String(120), unique=True)
    """rule/site/source while the alert is open: the database itself refuses a second one. Null when resolved."""
    state: Mapped[str] = mapped_column(String(16))
    """``pending``, ``firing``, ``escalated``, ``acknowledged``, ``resolved``, or ``cancelled`` (never fired)."""
    severity: Mapped[str] = mapped_column(String(16), default="warning")
    pending_since: Mapped[datetime]
    firing_since: Mapped[datetime | None]
    escalated_at: Mapped[datetime | None]
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None] = mapped_column(String(64))
    recovering_since: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    no_data: Mapped[bool] = mapped_column(default=False)
    value: Mapped[float | None]
    limit: Mapped[float | None]
    peak_value: Mapped[float | None]
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
    updated_at: Mapped[datetime] = mapped_column(index=True)

    transitions: Mapped[list[AlertTransition]] = relationship(order_by="AlertTransition.id")


class AlertTransition(Base):
    """Append-only log of what happened to an alert, who did it and why."""

    __tablename__ = "alert_transitions"

    id: Mapped[int] = mapped_column(primary_key=True)
    alert_id: Mapped[int] = mapped_column(ForeignKey("alerts.id"), index=True)
    at: Mapped[datetime]
    from_state: Mapped[str] = mapped_column(String(16))
    to_state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(String(200))
    who: Mapped[str] = mapped_column(String(64))


class Delivery(Base):
    """One message about one alert to one contact, kept until it is sent or given up with its error shown."""

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("alert_id", "contact_id", "event"),
        Index("ix_deliveries_state_next", "state", "next_try_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    alert_id: Mapped[int] = mapped_column(ForeignKey("alerts.id"))
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id", ondelete="CASCADE"))
    event: Mapped[str] = mapped_column(String(16))
    """``firing``, ``escalated`` or ``resolved``."""
    state: Mapped[str] = mapped_column(String(16), default="queued")
    """``queued``, ``sent``, ``failed`` (given up) or ``skipped`` (not needed any more, see ``held_by``)."""
    held_by: Mapped[str] = mapped_column(String(40), default="", server_default="")
    """Why it waits for ``next_try_at``: ``silence``, ``quiet_hours``, ``digest``; else empty."""
    ack_sha256: Mapped[str | None] = mapped_column(String(64), index=True)
    """Digest of the token in the message's link that takes the alert on."""
    attempts: Mapped[int] = mapped_column(default=0)
    next_try_at: Mapped[datetime]
    last_error: Mapped[str | None] = mapped_column(String(300))
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]


class QuarantinedMessage(Base):
    """A message, or one reading of one, that did not validate: nothing that arrives is thrown away unseen."""

    __tablename__ = "quarantine"
    __table_args__ = (UniqueConstraint("sha256", "code"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    times: Mapped[int] = mapped_column(default=1)
    """How often this very payload arrived on this topic for this reason."""
    topic: Mapped[str] = mapped_column(String(200))
    code: Mapped[str] = mapped_column(String(32))
    reason: Mapped[str] = mapped_column(String(500))
    payload: Mapped[bytes]
    """Of a message that is no array of readings the first 8 KiB, of anything else the first 64 KiB."""
    size_bytes: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    """Of topic, payload and size."""


class Counter(Base):
    """A count that survives restarts, such as how many rows the quarantine had to let go."""

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[int] = mapped_column(default=0)


class AuditEntry(Base):
    """Append-only log of every change that a person or a program made."""

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    who: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(200))
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
