"""Alerts for the live pages where analysis is a process of its own: read from the log of transitions."""

from __future__ import annotations

import threading
import time
from typing import Final

import structlog
from sqlalchemy import func, select

from analysis.alerts.snapshot import AlertSnapshot, snapshot
from api.live_hub import LiveHub
from store.registry.database import Registry, RegistryUnavailable
from store.registry.models import Alert, AlertTransition

log = structlog.get_logger(__name__)

_LOOK_EVERY_S: Final = 1.0
_STALLED_S: Final = 60.0
_MOST_AT_ONCE: Final = 500


class AlertFollower:
    """Publishes every alert that made a transition since :meth:`start`, within about a second."""

    def __init__(self, hub: LiveHub, registry: Registry, *, look_every_s: float = _LOOK_EVERY_S) -> None:
        self._hub = hub
        self._registry = registry
        self._look_every_s = look_every_s
        self._seen: int | None = None
        self._beat = time.monotonic()
        self._failing = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live-alerts", daemon=True)

    def start(self) -> None:
        """Begin; what happened before is not told."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10.0)

    @property
    def healthy(self) -> bool:
        """Whether the registry was read within the last minute."""
        return self._thread.is_alive() and time.monotonic() - self._beat < _STALLED_S

    def look(self) -> None:
        """Publish what is new. Raises ``RegistryUnavailable``; what it did not tell it tells the next time."""
        for one in self._news():
            self._hub.publish_alert(one)

    def _news(self) -> list[AlertSnapshot]:
        with self._registry.reader() as session:
            if self._seen is None:
                self._seen = session.scalar(select(func.max(AlertTransition.id))) or 0
                return []
            rows = session.execute(
                select(AlertTransition.id, AlertTransition.alert_id)
                .where(AlertTransition.id > self._seen).order_by(AlertTransition.id).limit(_MOST_AT_ONCE)
            ).all()  # fmt: skip
            if not rows:
                return []
            changed = list(dict.fromkeys(alert_id for _, alert_id in rows))
            alerts = {
                one.id: snapshot(one) for one in session.scalars(select(Alert).where(Alert.id.in_(changed)))
            }
        self._seen = rows[-1][0]
        return [alerts[one] for one in changed if one in alerts]

    def _run(self) -> None:
        while not self._stop.wait(0 if self._seen is None and not self._failing else self._look_every_s):
            try:
                self.look()
            except RegistryUnavailable as error:
                self._tell(str(error))
            except Exception:
                log.exception("alerts cannot be told to the pages")
            else:
                self._beat = time.monotonic()
                self._tell(None)

    def _tell(self, trouble: str | None) -> None:
        if trouble and not self._failing:
            log.warning("alerts cannot be told to the pages now", cause=trouble)
        elif self._failing and trouble is None:
            log.info("alerts are told to the pages again")
        self._failing = trouble is not None
