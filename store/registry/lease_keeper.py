"""Holds leases for one process: a heartbeat in a thread of its own, what is held for whoever does the work."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from store.registry import lease_rows
from store.registry.database import Registry
from store.registry.lease_plan import plan

log = structlog.get_logger(__name__)

_KEEP_GONE: Final = timedelta(hours=1)
"""Members that are gone for longer are deleted."""


@dataclass(frozen=True, slots=True)
class LeaseTiming:
    """How long a member counts as there after its last heartbeat, seconds; it beats five times as often."""

    ttl_s: float = 15.0

    @property
    def beat_s(self) -> float:
        """Seconds between heartbeats."""
        return self.ttl_s / 5.0

    @property
    def settle(self) -> timedelta:
        """How long a member must have been there before others give something up for it."""
        return timedelta(seconds=2.0 * self.beat_s)


@dataclass(slots=True)
class LeaseStats:
    """Counts since the start. ``lost`` are leases that ended without being given back."""

    beats: int = 0
    errors: int = 0
    gained: int = 0
    given_up: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class _Found:
    """What a heartbeat left this process with."""

    epochs: dict[str, int]
    unwanted: frozenset[str]
    displaced: bool = False


class LeaseKeeper:
    """One member of a pool. The worker asks :meth:`held` what is its own and :meth:`unwanted` what it is to finish.

    Whatever the worker writes goes through :meth:`still` in the same transaction: a process that was paused for
    longer than its leases lasted finds there that they are somebody else's. Two processes by one name: the newer one
    takes over, the older one holds nothing and says so.
    """

    def __init__(
        self, registry: Registry, pool: str, name: str, wanted: Callable[[Session], Iterable[str]], *,
        timing: LeaseTiming | None = None, fair: bool = True,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """``wanted`` tells all the work of the pool, or of this member where it is not shared out ``fair``."""
        self.name = name
        self.timing = timing or LeaseTiming()
        self.stats = LeaseStats()
        self._registry = registry
        self._pool = pool
        self._wanted = wanted
        self._fair = fair
        self._working: Callable[[], bool] = lambda: True
        self._monotonic = monotonic
        self._incarnation = secrets.token_hex(8)
        self._ttl = timedelta(seconds=self.timing.ttl_s)
        self._lock = threading.Lock()
        self._one_at_a_time = threading.Lock()
        """Held from the reading of the leases until what was read is known here."""
        self._epochs: dict[str, int] = {}
        self._unwanted: set[str] = set()
        self._good_until = monotonic()
        self._renewed_at = monotonic()
        self._joined = False
        self._displaced = False
        self._failing = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"leases-{pool}", daemon=True)

    # -- for the worker ----------------------------------------------------------------------------------------

    def held(self) -> dict[str, int]:
        """Return what this process holds, with the epochs; nothing once the last heartbeat is too long ago."""
        with self._lock:
            return dict(self._epochs) if self._monotonic() < self._good_until else {}

    def unwanted(self) -> dict[str, int]:
        """Return what is held and is to be finished and given back with :meth:`give_back`."""
        with self._lock:
            return {one: self._epochs[one] for one in self._unwanted if one in self._epochs}

    def give_back(self, epochs: Mapping[str, int]) -> None:
        """Let go of what was finished. Raises ``RegistryUnavailable``."""
        if not epochs:
            return
        with self._one_at_a_time:
            with self._registry.session() as session:
                lease_rows.give_back(session, self._pool, self.name, epochs, lease_rows.database_now(session))
            with self._lock:
                for one, epoch in epochs.items():
                    if self._epochs.get(one) == epoch:
                        del self._epochs[one]
                        self._unwanted.discard(one)
                        self.stats.given_up += 1

    def still(self, session: Session, epochs: Mapping[str, int]) -> set[str]:
        """Return what is still held under these epochs, for certain until ``session`` is committed."""
        return lease_rows.still_held(session, self._pool, self.name, epochs)

    @property
    def trouble(self) -> str | None:
        """Why this process holds nothing that it could hold, or ``None``."""
        if self._displaced:
            return f"another process runs as {self.name!r}; give each a name of its own"
        age_s = self.age_s
        return f"the leases could not be renewed for {age_s:.0f} s" if age_s > self.timing.ttl_s else None

    @property
    def lapsed(self) -> bool:
        """Whether the last heartbeat is too long ago, so that nobody can say what this process holds."""
        return not self._displaced and self._monotonic() >= self._good_until

    @property
    def age_s(self) -> float:
        """Seconds since the last heartbeat that succeeded, or since the start."""
        return self._monotonic() - self._renewed_at

    # -- heartbeat ---------------------------------------------------------------------------------------------

    def start(self, working: Callable[[], bool] = lambda: True) -> None:
        """Take part. The first heartbeat is done when this returns, if the registry answers.

        Once ``working`` says no there is none any more, and others take over.
        """
        self.beat()
        self._working = working
        self._thread.start()

    def stop(self) -> None:
        """Give everything back and leave, so that others take over at their next heartbeat."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=30.0)
        try:
            self._leave()
        except Exception as error:
            log.warning("leases could not be given back; they end by themselves", cause=str(error))

    def beat(self) -> None:
        """Renew, and take or mark what the plan says. Errors are counted and logged, not raised."""
        if not self._working():
            return
        with self._one_at_a_time:
            began = self._monotonic()
            try:
                with self._registry.session() as session:
                    found = self._round(session)
            except IntegrityError:
                return  # two members made the same row at once: the next heartbeat sees it
            except Exception as error:
                self._tell_failure(error)
                return
            self._tell_failure(None)
            self._take_over(found, began)

    def _round(self, session: Session) -> _Found:
        now = lease_rows.database_now(session)
        if not lease_rows.present(
            session, self._pool, self.name, self._incarnation, now, now + self._ttl, newcomer=not self._joined
        ):
            return _Found({}, frozenset(), displaced=True)
        lease_rows.forget_members(session, self._pool, now - _KEEP_GONE)
        leases = lease_rows.leases(session, self._pool)
        with self._lock:
            known = dict(self._epochs)
        steps = plan(
            self.name, lease_rows.members(session, self._pool), leases, self._wanted(session), now, known=known,
            settle=self.timing.settle, fair=self._fair,
        )  # fmt: skip
        held = {
            one: lease.epoch
            for one, lease in leases.items()
            if lease.holder == self.name and known.get(one) == lease.epoch
        }
        unwanted = frozenset(step.resource for step in steps if step.action == "release")
        for step in (step for step in steps if step.action == "claim"):
            before = leases.get(step.resource)
            epoch = lease_rows.claim(session, self._pool, step.resource, before, self.name, now)
            if epoch is not None:
                held[step.resource] = epoch
        return _Found(held, unwanted)

    def _take_over(self, found: _Found, began: float) -> None:
        with self._lock:
            before, self._epochs = self._epochs, found.epochs
            self._unwanted = set(found.unwanted)
            self._displaced = found.displaced
            if not found.displaced:
                self._good_until = began + self.timing.ttl_s
                self._renewed_at = began
        self._joined = True
        self.stats.beats += 1
        gained = sorted(one for one, epoch in found.epochs.items() if before.get(one) != epoch)
        lost = sorted(one for one, epoch in before.items() if found.epochs.get(one) != epoch)
        self.stats.gained += len(gained)
        self.stats.lost += len(lost)
        if gained:
            log.info("takes over", pool=self._pool, name=self.name, leases=_shown(gained))
        if lost:
            log.warning("leases are lost: another process does this work now", pool=self._pool, name=self.name,
                        leases=_shown(lost))  # fmt: skip

    def _tell_failure(self, error: Exception | None) -> None:
        if error is not None:
            self.stats.errors += 1
            if not self._failing:
                log.warning("leases cannot be renewed now; trying again", pool=self._pool, cause=str(error))
        elif self._failing:
            log.info("leases are renewed again", pool=self._pool)
        self._failing = error is not None

    def _leave(self) -> None:
        with self._one_at_a_time, self._registry.session() as session:
            with self._lock:
                epochs, self._epochs = self._epochs, {}
                self._unwanted = set()
            lease_rows.give_back(session, self._pool, self.name, epochs, lease_rows.database_now(session))
            lease_rows.leave(session, self._pool, self.name, self._incarnation)

    def _run(self) -> None:
        while not self._stop.wait(self.timing.beat_s):
            self.beat()


def _shown(leases: list[str]) -> str:
    return ", ".join(leases[:5]) + (f" and {len(leases) - 5} more" if len(leases) > 5 else "")
