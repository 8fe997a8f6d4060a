"""Sends one message to one address by ``apprise``; the one file that imports it.

Apprise blocks, answers true or false, and says why only in its log: here that becomes a result with a reason. Addresses
hold passwords, so they are cut out of whatever is told on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import apprise

TIMEOUT_S: Final = 15.0
"""Real seconds that one delivery may take in all."""
_MAX_ERROR: Final = 300


@dataclass(frozen=True, slots=True)
class SendResult:
    """Whether it went out; else why not, and whether trying again is ``permanent``\\ ly useless."""

    ok: bool
    error: str = ""
    permanent: bool = False


def address_fault(url: str) -> str | None:
    """Say what is wrong with a contact's address, or ``None`` for one that can be sent to."""
    if apprise.Apprise.instantiate(url, suppress_exceptions=True) is None:
        return (
            "the address is not one that can be sent to; give an apprise address such as "
            "mailtos://user:password@example.org, wecombot://KEY, dingtalk://TOKEN or json://host/path"
        )
    return None


def send(url: str, title: str, body: str, *, timeout_s: float = TIMEOUT_S) -> SendResult:
    """Send plain text to one address. Never raises for what the other side does."""
    service = apprise.Apprise()
    if not service.add(url):
        return SendResult(False, address_fault(url) or "the address was refused", permanent=True)
    result = service.notify(
        body=body, title=title, body_format=apprise.NotifyFormat.TEXT, timeout=timeout_s, log_level=30
    )
    if result:
        return SendResult(True)
    told = "; ".join(dict.fromkeys(str(entry.message) for entry in result.logs()))
    return SendResult(False, _without_secrets(told or result.status.name.lower(), url)[:_MAX_ERROR])


def _without_secrets(text: str, url: str) -> str:
    secret = re.sub(r"^[a-z0-9]+://", "", url)
    return text.replace(url, "<address>").replace(secret, "<address>").replace("\n", " ")
