"""A registry with one quarter, and servers on loopback that receive messages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from store.registry.database import Registry
from tests.analysis.quarter import furnish
from tests.analysis.receivers import Mailbox, Webhook, mail_server, webhook_server


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with webhook_server() as hook:
        yield hook


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with mail_server() as box:
        yield box


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """One quarter of class 1, ``garden``, with the noise devices ``gate`` and ``roof`` and a meter at ``cellar``."""
    registry = Registry.in_folder(tmp_path / "registry")
    with registry.session() as session:
        furnish(session)
    yield registry
    registry.close()
