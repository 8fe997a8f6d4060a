import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy import select

from analysis.notify.courier import Courier
from analysis.notify.queue import claim, counts, due_parcels, enqueue
from analysis.notify.retry import BACKOFF_S, BURST, PAUSE_S
from contract.clock import SystemClock, catch_up
from store.registry.database import Registry
from store.registry.models import Alert, Delivery, Rule
from tests.analysis.quarter import NOON, add_manager
from tests.analysis.receivers import Mailbox, Webhook, wait_for, webhook_server


@contextmanager
def _running(courier: Courier) -> Iterator[Courier]:
    stop = threading.Event()
    thread = threading.Thread(target=courier.run, args=(stop,), daemon=True)
    thread.start()
    yield courier
    stop.set()
    courier.wake()
    thread.join(timeout=60)
    assert not thread.is_alive()


def _alert(registry: Registry, source: str = "gate") -> int:
    now = SystemClock().now()
    with registry.session() as session:
        rule = session.scalars(select(Rule)).first()
        if rule is None:
            rule = Rule(site="garden", kind="noise_window", updated_at=NOON)
            session.add(rule)
            session.flush()
        alert = Alert(
            rule_id=rule.id, rule_kind="noise_window", site="garden", source=source, state="firing",
            pending_since=now, firing_since=now, updated_at=now, value=60.0, limit=55.0, peak_value=60.0,
        )  # fmt: skip
        session.add(alert)
        session.flush()
        return alert.id


def _queue(registry: Registry, alert_id: int, contact: int, event: str = "firing") -> None:
    with registry.session() as session:
        enqueue(session, alert_id, contact, event, SystemClock().now())  # type: ignore[arg-type]


def _contact(registry: Registry, url: str, **more: str) -> int:
    with registry.session() as session:
        return add_manager(session, url, **more)


def _state(registry: Registry) -> dict[str, int]:
    with registry.reader() as session:
        return {state: count for state, count in counts(session).items() if count}


def test_a_webhook_and_a_mailbox_are_told(registry: Registry, webhook: Webhook, mailbox: Mailbox) -> None:
    alert = _alert(registry)
    _queue(registry, alert, _contact(registry, webhook.url))
    _queue(registry, alert, _contact(registry, mailbox.url, name="wang", language="en"))
    with _running(Courier(registry, SystemClock(), base_url="http://quarter/")) as courier:
        wait_for(lambda: _state(registry) == {"sent": 2})
    assert webhook.received[0]["title"] == "静园:噪声超限"
    assert "我来处理:http://quarter/ack/" in webhook.received[0]["message"]
    assert "5.0 dB above the day limit of 55 dB(A)" in mailbox.text()
    assert courier.stats.sent == 2


def test_a_message_queued_twice_is_sent_once(registry: Registry, webhook: Webhook) -> None:
    alert, contact = _alert(registry), _contact(registry, webhook.url)
    _queue(registry, alert, contact)
    _queue(registry, alert, contact)
    assert _state(registry) == {"queued": 1}


def test_what_falls_due_together_is_one_message(registry: Registry, webhook: Webhook) -> None:
    contact = _contact(registry, webhook.url)
    for n in range(5):
        _queue(registry, _alert(registry, f"mic-{n}"), contact)
    with _running(Courier(registry, SystemClock())):
        wait_for(lambda: _state(registry) == {"sent": 5})
    assert [one["title"] for one in webhook.received] == ["静园:5 条告警"]


def test_after_a_few_messages_the_next_are_gathered(registry: Registry, webhook: Webhook) -> None:
    contact = _contact(registry, webhook.url)
    passed = [0.0]
    with _running(Courier(registry, SystemClock(), monotonic=lambda: passed[0])) as courier:
        for n in range(BURST):
            _queue(registry, _alert(registry, f"first-{n}"), contact)
            courier.wake()
            wait_for(lambda n=n: _state(registry) == {"sent": n + 1})
        for n in range(4):
            _queue(registry, _alert(registry, f"then-{n}"), contact)
        passed[0] = PAUSE_S - 1
        other = _contact(registry, webhook.url + "other", name="wang")
        _queue(registry, _alert(registry, "roof"), other)  # its arrival shows that a round has passed
        courier.wake()
        wait_for(lambda: _state(registry) == {"sent": BURST + 1, "queued": 4})
        passed[0] = PAUSE_S
        courier.wake()
        wait_for(lambda: _state(registry) == {"sent": BURST + 5})
    assert webhook.received[-1]["title"] == "静园:4 条告警"
    assert len(webhook.received) == BURST + 2


def test_two_couriers_do_not_send_the_same_message(registry: Registry, webhook: Webhook) -> None:
    """One has taken the message and hangs on the way: the other leaves it alone until the claim is over."""
    clock = SystemClock()
    _queue(registry, _alert(registry), _contact(registry, webhook.url))
    with registry.session() as session:
        taken = due_parcels(session, clock.now(), busy=frozenset())
        claim(session, taken, clock.now() + timedelta(minutes=2))
    with registry.session() as session:
        assert len(taken) == 1 and due_parcels(session, clock.now(), busy=frozenset()) == []
        assert len(due_parcels(session, clock.now() + timedelta(minutes=3), busy=frozenset())) == 1


def test_the_end_overtakes_a_beginning_that_was_not_sent(registry: Registry, webhook: Webhook) -> None:
    alert, contact = _alert(registry), _contact(registry, webhook.url)
    _queue(registry, alert, contact)
    _queue(registry, alert, contact, "resolved")
    with _running(Courier(registry, SystemClock())):
        wait_for(lambda: _state(registry) == {"sent": 2})
    assert [one["title"] for one in webhook.received] == ["静园:已恢复:噪声超限"]


def test_a_failure_is_tried_again_and_its_error_shown(registry: Registry, webhook: Webhook) -> None:
    webhook.statuses = [500, 200]
    clock = catch_up(SystemClock().now(), timedelta(days=30), 1.0)
    alert, contact = _alert(registry), _contact(registry, webhook.url)
    with registry.session() as session:
        enqueue(session, alert, contact, "firing", clock.now())
    with _running(Courier(registry, clock)) as courier:
        wait_for(lambda: courier.stats.failed_tries == 1)
        with registry.reader() as session:
            row = session.scalars(select(Delivery)).one()
            assert (row.state, row.attempts) == ("queued", 1)
            assert row.last_error and "500" in row.last_error
            assert row.next_try_at > clock.now()
        with registry.session() as session:
            session.scalars(select(Delivery)).one().next_try_at = clock.now()  # five seconds later
        courier.wake()
        wait_for(lambda: _state(registry) == {"sent": 1})
    assert webhook.tries == 2


def test_backing_off_is_in_real_time_however_fast_the_clock(registry: Registry, webhook: Webhook) -> None:
    webhook.statuses = [500]
    clock = catch_up(SystemClock().now(), timedelta(days=30), 300.0)
    alert, contact = _alert(registry), _contact(registry, webhook.url)
    with registry.session() as session:
        enqueue(session, alert, contact, "firing", clock.now())
    with _running(Courier(registry, clock)) as courier:
        wait_for(lambda: courier.stats.failed_tries == 1)
    with registry.reader() as session:
        row = session.scalars(select(Delivery)).one()
        wait = row.next_try_at - clock.now()
        assert timedelta(seconds=300 * (BACKOFF_S[0] - 2)) < wait <= timedelta(seconds=300 * BACKOFF_S[0])


def test_it_gives_up_visibly_in_the_end(registry: Registry, webhook: Webhook) -> None:
    webhook.statuses = [500]
    alert, contact = _alert(registry), _contact(registry, webhook.url)
    _queue(registry, alert, contact)
    with registry.session() as session:
        session.scalars(select(Delivery)).one().attempts = len(BACKOFF_S)
    with _running(Courier(registry, SystemClock())) as courier:
        wait_for(lambda: _state(registry) == {"failed": 1})
        assert courier.stats.given_up == 1


def test_an_address_that_is_none_is_given_up_at_once(registry: Registry) -> None:
    _queue(registry, _alert(registry), _contact(registry, "nonsense://x"))
    with _running(Courier(registry, SystemClock())):
        wait_for(lambda: _state(registry) == {"failed": 1})


def test_a_silent_contact_does_not_keep_the_others_waiting(registry: Registry, webhook: Webhook) -> None:
    alert = _alert(registry)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        _queue(registry, alert, _contact(registry, f"json://127.0.0.1:{silent.getsockname()[1]}/"))
        _queue(registry, alert, _contact(registry, webhook.url, name="wang"))
        with _running(Courier(registry, SystemClock())):
            wait_for(lambda: len(webhook.received) == 1)


def test_a_restart_neither_repeats_nor_forgets(registry: Registry, webhook: Webhook) -> None:
    contact = _contact(registry, webhook.url)
    _queue(registry, _alert(registry), contact)
    with _running(Courier(registry, SystemClock())):
        wait_for(lambda: _state(registry) == {"sent": 1})
    _queue(registry, _alert(registry, "roof"), contact)
    with webhook_server() as other, _running(Courier(registry, SystemClock())):
        _queue(registry, _alert(registry, "third"), _contact(registry, other.url, name="wang"))
        wait_for(lambda: _state(registry) == {"sent": 3})
    assert len(webhook.received) == 2 and len(other.received) == 1


def test_an_error_in_a_round_does_not_end_the_thread(registry: Registry, webhook: Webhook) -> None:
    class Hiccup:
        def __init__(self) -> None:
            self.left = 2

        @property
        def speed(self) -> float:
            return 1.0

        def now(self):
            if self.left:
                self.left -= 1
                raise OSError("no time")
            return SystemClock().now()

    _queue(registry, _alert(registry), _contact(registry, webhook.url))
    with _running(Courier(registry, Hiccup())) as courier:  # type: ignore[arg-type]
        wait_for(lambda: _state(registry) == {"sent": 1})
    assert courier.stats.errors == 2
