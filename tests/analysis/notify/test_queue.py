"""Who is told, and when: through the alert book and the courier, with the registry alone in between."""

import json
import threading
import time
from datetime import timedelta

import pytest
from sqlalchemy import select

from analysis.alerts import silences
from analysis.alerts.book import AlertBook
from analysis.alerts.machine import Observation
from analysis.notify import webhook as signed
from analysis.notify.courier import Courier
from analysis.notify.links import LinkNotValid, acknowledge_by_link, open_link
from analysis.notify.queue import Queue, due_parcels
from analysis.rules.catalog import new_kinds
from analysis.rules.edit import add_rule
from analysis.rules.kinds import RuleView, Sighting, view
from store.registry.database import Registry
from store.registry.models import Alert, AlertTransition, Contact, Delivery, Rule, User
from tests.analysis.quarter import NOON, add_manager
from tests.analysis.receivers import Webhook, wait_for

MINUTE = timedelta(minutes=1)
BREACH, CLEAR = Observation("breach", 60.0, 55.0, {"period": "day"}), Observation("clear", 40.0, 55.0)
NO_WAY = "json://127.0.0.1:1/"


class HandClock:
    def __init__(self) -> None:
        self.at = NOON
        self.speed = 1.0

    def now(self):
        return self.at


def _rule(registry: Registry, kind: str = "noise_window", **params: object) -> RuleView:
    with registry.session() as session:
        rule = add_rule(session, "garden", kind, {"recover_s": 0, **params}, who="li", now=NOON)
        return view(session.get_one(Rule, rule.id), new_kinds())


def _see(registry: Registry, rule: RuleView, seen: Observation, minute: float, source: str = "gate") -> None:
    AlertBook(registry, Queue()).take([Sighting(rule, source, seen)], NOON + minute * MINUTE)


def _rows(registry: Registry) -> list[tuple[str, str, str]]:
    with registry.reader() as session:
        rows = session.scalars(select(Delivery).order_by(Delivery.id))
        return [(row.event, row.state, row.held_by) for row in rows]


def _due(registry: Registry, minute: float) -> list[str]:
    with registry.session() as session:
        parcels = due_parcels(session, NOON + minute * MINUTE, busy=frozenset())
        return [f"{item.facts.event} {item.facts.source_en}" for parcel in parcels for item in parcel.items]


def _wishes(registry: Registry, **prefs: object) -> None:
    with registry.session() as session:
        session.scalars(select(User)).one().notify = prefs


def test_an_alert_that_nobody_takes_up_goes_up_to_the_authority(registry: Registry) -> None:
    with registry.session() as session:
        add_manager(session, NO_WAY)
        bureau = add_manager(session, NO_WAY, name="bureau", role="bureau")
        office = add_manager(session, NO_WAY, name="office", role="water_office")
    noise, water = _rule(registry), _rule(registry, "water_continuous")
    for minute in (0, 29.9, 30):
        _see(registry, noise, BREACH, minute)
        _see(registry, water, BREACH, minute, "flat-1")
    with registry.reader() as session:
        up = session.scalars(select(Delivery).filter_by(event="escalated").order_by(Delivery.id))
        assert [row.contact_id for row in up] == [bureau, office]
        assert session.scalars(select(Alert.escalated_at)).all() == [NOON + 30 * MINUTE] * 2
    _see(registry, noise, CLEAR, 40)
    with registry.reader() as session:
        told = session.scalars(select(Delivery.contact_id).filter_by(event="resolved")).all()
        assert len(told) == 2 and bureau in told


def test_a_silence_puts_off_what_goes_on_and_drops_what_is_over(registry: Registry) -> None:
    with registry.session() as session:
        add_manager(session, NO_WAY)
        silences.make(
            session, kind="silence", site="garden", starts_at=NOON, ends_at=NOON + 60 * MINUTE, reason="works",
            who="li", now=NOON,
        )  # fmt: skip
    rule = _rule(registry, escalate=False)
    _see(registry, rule, BREACH, 1, "gate")
    _see(registry, rule, BREACH, 1, "roof")
    assert _due(registry, 59) == []
    _see(registry, rule, CLEAR, 30, "roof")
    assert _rows(registry) == [("firing", "queued", "silence"), ("firing", "skipped", "silence")]
    assert _due(registry, 60) == ["firing Gate"]


def test_lifting_a_silence_lets_its_messages_go(registry: Registry) -> None:
    with registry.session() as session:
        add_manager(session, NO_WAY)
        row = silences.make(
            session,
            kind="silence",
            starts_at=NOON,
            ends_at=NOON + 60 * MINUTE,
            reason="works",
            who="li",
            now=NOON,
        )
    _see(registry, _rule(registry), BREACH, 1)
    with registry.session() as session:
        silences.lift(session, row.id, NOON + 5 * MINUTE)
    assert _due(registry, 5) == ["firing Gate"]


def test_a_silence_made_after_the_alert_holds_it_back_too(registry: Registry) -> None:
    with registry.session() as session:
        add_manager(session, NO_WAY)
    _see(registry, _rule(registry), BREACH, 0)
    with registry.session() as session:
        silences.make(
            session,
            kind="silence",
            starts_at=NOON,
            ends_at=NOON + 60 * MINUTE,
            reason="works",
            who="li",
            now=NOON,
        )
    assert _due(registry, 1) == []
    assert _rows(registry) == [("firing", "queued", "silence")]
    assert _due(registry, 60) == ["firing Gate"]


def test_the_morning_tells_what_was_in_the_night(registry: Registry) -> None:
    with registry.session() as session:
        add_manager(session, NO_WAY)
    _wishes(registry, quiet_from="11:00", quiet_to="13:00")  # it is noon in Shanghai
    rule = _rule(registry, escalate=False)
    _see(registry, rule, BREACH, 0, "gate")
    _see(registry, rule, BREACH, 1, "roof")
    _see(registry, rule, CLEAR, 2, "roof")
    assert _due(registry, 59) == []
    assert _due(registry, 60) == ["firing Gate", "resolved Roof"]


def test_what_a_person_does_not_want_is_not_queued(registry: Registry) -> None:
    with registry.session() as session:
        add_manager(session, NO_WAY)
    _wishes(registry, least="critical")
    _see(registry, _rule(registry), BREACH, 0)
    assert _rows(registry) == []
    _see(registry, _rule(registry, severity="critical"), BREACH, 0, "roof")
    assert _rows(registry) == [("firing", "queued", "")]


def test_wishes_that_are_not_understood_mean_at_once(registry: Registry) -> None:
    with registry.session() as session:
        add_manager(session, NO_WAY)
    _wishes(registry, quiet_from="never")
    _see(registry, _rule(registry), BREACH, 0)
    assert _due(registry, 0) == ["firing Gate"]


def _deliver(registry: Registry, clock: HandClock, count: int) -> None:
    stop = threading.Event()
    courier = Courier(registry, clock, base_url="http://quarter")  # type: ignore[arg-type]
    thread = threading.Thread(target=courier.run, args=(stop,), daemon=True)
    thread.start()
    wait_for(lambda: sum(state == "sent" for _, state, _ in _rows(registry)) == count)
    stop.set()
    courier.wake()
    thread.join(timeout=60)


def test_a_program_gets_a_signed_webhook(registry: Registry, webhook: Webhook) -> None:
    with registry.session() as session:
        contact = add_manager(session, webhook.url.replace("json://", "http://"), language="en")
        session.get_one(Contact, contact).secret = "s3cret"
    _see(registry, _rule(registry), BREACH, 0)
    _deliver(registry, HandClock(), 1)
    headers, body = webhook.raw[0]
    assert signed.verify("s3cret", headers["quietwater-signature"], body, time.time())
    assert not signed.verify("other", headers["quietwater-signature"], body, time.time())
    assert not signed.verify("s3cret", headers["quietwater-signature"], body + b" ", time.time())
    assert not signed.verify("s3cret", headers["quietwater-signature"], body, time.time() + 301)
    assert not signed.verify("s3cret", "nonsense", body, time.time())
    told = json.loads(body)
    assert (told["version"], told["title"]) == (1, "Quiet Garden: noise above the limit")
    (alert,) = told["alerts"]
    assert (alert["event"], alert["kind"], alert["value"], alert["limit"]) == (
        "firing",
        "noise_window",
        60.0,
        55.0,
    )
    assert headers["quietwater-delivery"] == f"{contact}-1"


@pytest.mark.parametrize(("status", "permanent"), [(500, False), (302, False), (410, True)])
def test_a_webhook_that_refuses(webhook: Webhook, status: int, permanent: bool) -> None:
    webhook.statuses = [status]
    url = webhook.url.replace("json://", "http://")
    result = signed.post(url, "s", b"{}", delivery="1", at_unix_s=1)
    assert (result.ok, result.permanent) == (False, permanent) and str(status) in result.error
    assert "Connection" in signed.post("http://127.0.0.1:1/", "s", b"{}", delivery="1", at_unix_s=1).error
    assert signed.post("http://:::/", "s", b"{}", delivery="1", at_unix_s=1).permanent


def test_the_link_in_a_message_takes_the_alert_on(registry: Registry, webhook: Webhook) -> None:
    with registry.session() as session:
        add_manager(session, webhook.url, name="li", language="en")
    rule = _rule(registry)
    _see(registry, rule, BREACH, 0)
    clock = HandClock()
    _deliver(registry, clock, 1)
    (line,) = (one for one in webhook.received[0]["message"].splitlines() if one.startswith("I'm on it: "))
    token = line.rpartition("/ack/")[2]
    with registry.session() as session:
        assert session.scalars(select(Delivery.ack_sha256)).one() != token
        linked = open_link(session, token, NOON)
        assert (linked.user, linked.alert.state, linked.language) == ("li", "firing", "en")
        assert acknowledge_by_link(session, token, NOON + MINUTE).acknowledged_by == "li"
        assert acknowledge_by_link(session, token, NOON + 2 * MINUTE).acknowledged_at == NOON + MINUTE
        last = session.scalars(select(AlertTransition).order_by(AlertTransition.id.desc())).first()
        assert last is not None and (last.who, last.reason) == (
            "li",
            "acknowledged: by the link of a message",
        )
    _see(registry, rule, CLEAR, 5)
    with registry.session() as session:
        assert acknowledge_by_link(session, token, NOON + 6 * MINUTE).state == "resolved"
        with pytest.raises(LinkNotValid):
            open_link(session, token, NOON + timedelta(days=8))
        with pytest.raises(LinkNotValid):
            acknowledge_by_link(session, "made-up", NOON)
        session.scalars(select(User)).one().disabled = True
        session.flush()
        with pytest.raises(LinkNotValid, match="disabled"):
            open_link(session, token, NOON)
