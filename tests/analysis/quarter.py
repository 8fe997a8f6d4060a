"""A quarter in a registry, for tests."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from store.registry.models import Contact, User, UserSite
from store.registry.provisioning import add_device, add_meter, add_site

NOON = datetime(2026, 3, 1, 4, tzinfo=UTC)
"""12:00 in Shanghai."""


def furnish(session: Session, site: str = "garden", *, zone_class: str = "1") -> None:
    add_site(session, site, label_zh="静园", label_en="Quiet Garden", now=NOON, zone_class=zone_class)
    for name, zh, en in (("gate", "大门", "Gate"), ("roof", "屋顶", "Roof")):
        add_device(session, site, name, kind="noise", label_zh=zh, label_en=en, now=NOON, password="x")
    add_device(
        session, site, "cellar", kind="gateway", label_zh="地下室", label_en="Cellar", now=NOON, password="x"
    )
    add_meter(session, site, "flat-1", device="cellar", label_zh="1 号户", label_en="Flat 1", now=NOON)


def add_manager(
    session: Session,
    url: str,
    *,
    site: str = "garden",
    name: str = "li",
    language: str = "zh",
    role: str = "manager",
) -> int:
    """Add a user with one contact; return the contact's number."""
    user = User(name=name, password_hash="x", role=role, language=language, created_at=NOON)
    user.sites.append(UserSite(site=site))
    contact = Contact(label="phone", url=url, created_at=NOON)
    user.contacts.append(contact)
    session.add(user)
    session.flush()
    return contact.id
