"""Carries queued messages out: takes what is due, sends in a few threads, writes down what became of it."""

from __future__ import annotations

import queue
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from analysis.notify import webhook
from analysis.notify.links import ack_url, digest, new_token, page_url
from analysis.notify.queue import Parcel, anything_due, claim, due_parcels
from analysis.notify.retry import BURST, after_failure, quiet_until
from analysis.notify.sender import SendResult, send
from analysis.notify.wording import Message, compose
from contract.clock import Clock
from store.registry.database import Registry
from store.registry.models import Delivery

log = structlog.get_logger(__name__)

_WORKERS: Final = 4
_POLL_S: Final = 1.0
_CLAIM_S: Final = 120.0
"""Real seconds for which a message under way is nobody else's; after a crash it is tried again then."""


@dataclass(slots=True)
class CourierStats:
    """Counts since the start."""

    sent: int = 0
    failed_tries: int = 0
    given_up: int = 0
    errors: int = 0


class Courier:
    """Delivers in a thread of its own; :meth:`wake` tells it that something may be due.

    ``base_url`` is where the page is found: with it, messages have links that take an alert on. A contact gets one
    message at a time; after a few within minutes the next are gathered (see ``analysis.notify.retry``). Of several
    processes on one registry one delivers at a time, the one that ``may_send``; what another had in its hands when it
    was paused or killed is claimed for a while, and sent then.
    """

    def __init__(
        self, registry: Registry, clock: Clock, *, base_url: str | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time, may_send: Callable[[], bool] = lambda: True,
    ) -> None:  # fmt: skip
        self._registry = registry
        self._clock = clock
        self._base_url = base_url
        self._monotonic = monotonic
        self._wall = wall
        self._may_send = may_send
        self._busy: set[int] = set()
        self._sent_at: dict[int, deque[float]] = defaultdict(lambda: deque(maxlen=BURST))
        self._done: queue.SimpleQueue[tuple[Parcel, SendResult | None]] = queue.SimpleQueue()
        self._wake = threading.Event()
        self.stats = CourierStats()

    def wake(self) -> None:
        """Look at the queue now."""
        self._wake.set()

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``; :meth:`wake` must follow it. No exception ends it."""
        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="deliver") as pool:
            while not stop.is_set():
                try:
                    self._round(pool)
                except Exception:
                    self.stats.errors += 1
                    log.exception("delivery failed; trying again")
                    stop.wait(_POLL_S)
                self._wake.wait(_POLL_S)
                self._wake.clear()
        self._settle_all()

    def _round(self, pool: ThreadPoolExecutor) -> None:
        self._settle_all()
        if not self._may_send():
            return
        now, began = self._clock.now(), self._monotonic()
        with self._registry.reader() as session:
            if not anything_due(session, now, busy=self._not_now()):
                return
        with self._registry.session() as session:
            parcels = due_parcels(session, now, busy=self._not_now())
            claim(session, parcels, now + timedelta(seconds=_CLAIM_S * self._clock.speed))
            links = {parcel.contact_id: self._links(session, parcel) for parcel in parcels}
        for parcel in parcels:
            self._busy.add(parcel.contact_id)
            pool.submit(self._carry, parcel, links[parcel.contact_id], began + _CLAIM_S / 2)

    def _links(self, session: Session, parcel: Parcel) -> dict[int, str]:
        """Return the link of each alert; a new token each time, since only its digest is kept."""
        if self._base_url is None:
            return {}
        links: dict[int, str] = {}
        for item in parcel.items:
            if item.facts.event == "resolved":
                links[item.facts.alert_id] = page_url(self._base_url, item.facts.alert_id)
                continue
            token = new_token()
            session.get_one(Delivery, item.delivery_id).ack_sha256 = digest(token)
            links[item.facts.alert_id] = ack_url(self._base_url, token)
        return links

    def _not_now(self) -> frozenset[int]:
        now = self._monotonic()
        return frozenset(self._busy | {key for key, at in self._sent_at.items() if quiet_until(at) > now})

    def _carry(self, parcel: Parcel, links: dict[int, str], until: float) -> None:
        if self._monotonic() > until:
            # The process was paused and the claim may have ended: somebody else may have sent it.
            self._done.put((parcel, None))
            self._wake.set()
            return
        try:
            result = self._send(parcel, compose(parcel.facts, parcel.language, links))
        except Exception as error:
            log.exception("a message could not be sent", contact=parcel.contact_id)
            result = SendResult(False, f"{type(error).__name__} while sending")
        self._done.put((parcel, result))
        self._wake.set()

    def _send(self, parcel: Parcel, message: Message) -> SendResult:
        if parcel.secret is None:
            return send(parcel.url, message.title, message.body)
        at = int(self._wall())
        body = webhook.body_of(message, parcel.facts, parcel.delivery_ids, at)
        delivery = f"{parcel.contact_id}-{parcel.delivery_ids[-1]}"
        return webhook.post(parcel.url, parcel.secret, body, delivery=delivery, at_unix_s=at)

    def _settle_all(self) -> None:
        while True:
            try:
                parcel, result = self._done.get_nowait()
            except queue.Empty:
                return
            try:
                if result is not None:
                    self._settle(parcel, result)
            except Exception:
                # Nothing is known of it in the registry yet: keep it, or the same message would go out again.
                self._done.put((parcel, result))
                raise
            self._busy.discard(parcel.contact_id)

    def _settle(self, parcel: Parcel, result: SendResult) -> None:
        now = self._clock.now()
        with self._registry.session() as session:
            mine = select(Delivery).where(Delivery.id.in_(parcel.delivery_ids), Delivery.state == "queued")
            for row in session.scalars(mine.with_for_update()):
                row.attempts += 1
                if result.ok:
                    row.state, row.sent_at, row.last_error = "sent", now, None
                    continue
                row.last_error = result.error
                following = after_failure(row.attempts, permanent=result.permanent)
                if following.action == "give_up":
                    row.state = "failed"
                    self.stats.given_up += 1
                    log.error(
                        "a message is given up", alert=row.alert_id, contact=row.contact_id, reason=following.reason,
                        attempts=row.attempts, cause=result.error,
                    )  # fmt: skip
                else:
                    # Backing off is for the other side, in real time, however fast this clock runs.
                    row.next_try_at = now + timedelta(seconds=following.wait_s * self._clock.speed)
        self._count(parcel, result)

    def _count(self, parcel: Parcel, result: SendResult) -> None:
        if result.ok:
            self.stats.sent += 1
            if parcel.secret is None:  # a program may be told as often as there is something
                self._sent_at[parcel.contact_id].append(self._monotonic())
            return
        self.stats.failed_tries += 1
        if parcel.attempts == 0:
            log.warning(
                "a message did not go out; it will be tried again",
                contact=parcel.contact_id,
                cause=result.error,
            )
