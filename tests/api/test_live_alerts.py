"""Alerts reach the pages of a process that does not run analysis itself."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from api.live_alerts import AlertFollower
from api.live_hub import LiveHub
from store.registry.database import Registry
from store.registry.models import Alert, AlertTransition
from tests.api import seeding


class _Hub(LiveHub):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[int, str]] = []

    def publish_alert(self, alert) -> None:
        self.told.append((alert.id, alert.state))


def _move(registry: Registry, alert_id: int, state: str) -> None:
    with registry.session() as session:
        alert = session.get_one(Alert, alert_id)
        session.add(
            AlertTransition(
                alert_id=alert_id, at=seeding.NOW, from_state=alert.state, to_state=state, reason="test", who="test"
            )
        )  # fmt: skip
        alert.state, alert.updated_at = state, seeding.NOW + timedelta(seconds=1)


def test_a_transition_is_told_once_and_what_was_before_is_not(registry: Registry) -> None:
    hub = _Hub()
    follower = AlertFollower(hub, registry)
    with registry.reader() as session:
        first, second, *_ = session.scalars(select(Alert.id).order_by(Alert.id)).all()
    _move(registry, first, "firing")
    follower.look()
    assert hub.told == []
    _move(registry, second, "firing")
    _move(registry, first, "acknowledged")
    _move(registry, first, "resolved")
    follower.look()
    assert hub.told == [(second, "firing"), (first, "resolved")]
    follower.look()
    assert len(hub.told) == 2
    _move(registry, second, "resolved")
    follower.look()
    assert hub.told[2:] == [(second, "resolved")]


def test_it_is_healthy_while_it_runs(tmp_path: Path) -> None:
    registry = Registry.in_folder(tmp_path)
    follower = AlertFollower(_Hub(), registry, look_every_s=0.01)
    follower.start()
    assert follower.healthy
    follower.stop()
    assert not follower.healthy
    registry.close()
