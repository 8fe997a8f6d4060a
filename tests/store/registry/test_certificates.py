"""When the first device is left without a certificate: what `/metrics` tells."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from store.registry.certificates import first_expiry
from store.registry.database import Registry
from store.registry.models import Certificate, Device, Site

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def _device(name: str) -> Device:
    return Device(
        site="s1", name=name, kind="noise", label_zh=name, label_en=name, enabled=name != "off", secret_hash="x",
        created_at=NOW,
    )  # fmt: skip


def _certificate(serial: str, device: str, days: int, *, revoked: bool = False) -> Certificate:
    return Certificate(
        serial=serial, site="s1", device=device, issued_by="test", issued_at=NOW,
        expires_at=NOW + timedelta(days=days), revoked_at=NOW if revoked else None,
    )  # fmt: skip


def test_the_first_expiry_is_that_of_the_last_certificate_of_the_first_device(tmp_path: Path) -> None:
    registry = Registry.in_folder(tmp_path)
    try:
        with registry.session() as session:
            assert first_expiry(session) is None
            session.add(Site(name="s1", label_zh="s1", label_en="s1", created_at=NOW))
            for name in ("renewed", "old", "off"):
                session.add(_device(name))
            session.flush()
            session.add_all(
                [
                    _certificate("1", "renewed", 5), _certificate("2", "renewed", 300),
                    _certificate("3", "old", 90), _certificate("4", "old", 400, revoked=True),
                    _certificate("5", "off", 1),
                ]
            )  # fmt: skip
        with registry.reader() as session:
            assert first_expiry(session) == NOW + timedelta(days=90)
    finally:
        registry.close()
