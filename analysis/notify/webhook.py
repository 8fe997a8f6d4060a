"""Signed webhooks for programs; the one file that imports ``requests``.

The body is JSON. ``Quietwater-Signature: t=<Unix seconds>,v1=<hex>`` carries HMAC-SHA256 of ``<t>.<body>`` under the
contact's secret, so that the receiver knows that it comes from here, unchanged and recent. ``Quietwater-Delivery``
is the same for every try of one message: a receiver drops what it has seen.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import requests

from analysis.notify.facts import Facts
from analysis.notify.sender import TIMEOUT_S, SendResult
from analysis.notify.wording import Message

SIGNATURE: Final = "Quietwater-Signature"
DELIVERY: Final = "Quietwater-Delivery"
TOLERANCE_S: Final = 300.0
"""A receiver should refuse a signature that is older."""


def new_secret() -> str:
    """Return a secret for a new webhook."""
    return secrets.token_urlsafe(32)


def sign(secret: str, body: bytes, at_unix_s: int) -> str:
    """Return the signature header of a body."""
    digest = hmac.new(secret.encode(), f"{at_unix_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at_unix_s},v1={digest}"


def verify(
    secret: str, header: str, body: bytes, now_unix_s: float, *, tolerance_s: float = TOLERANCE_S
) -> bool:
    """Say whether a body is ours and recent: what a receiver does."""
    stamp = header.partition(",")[0].removeprefix("t=")
    if not stamp.isdigit() or abs(now_unix_s - int(stamp)) > tolerance_s:
        return False
    return hmac.compare_digest(sign(secret, body, int(stamp)), header)


def body_of(message: Message, facts: Sequence[Facts], delivery_ids: Sequence[int], at_unix_s: int) -> bytes:
    """Return the JSON of a message: the text for people, and every fact for programs."""
    payload: dict[str, Any] = {
        "version": 1,
        "sent_at": at_unix_s,
        "deliveries": list(delivery_ids),
        "title": message.title,
        "message": message.body,
        "alerts": list(facts),
    }
    return msgspec.json.encode(payload)


def post(
    url: str, secret: str, body: bytes, *, delivery: str, at_unix_s: int, timeout_s: float = TIMEOUT_S
) -> SendResult:
    """Send a signed body. Only 2xx is a success; 410 Gone means never again; redirects are not followed."""
    headers = {
        "Content-Type": "application/json",
        SIGNATURE: sign(secret, body, at_unix_s),
        DELIVERY: delivery,
    }
    try:
        answer = requests.post(url, data=body, headers=headers, timeout=timeout_s, allow_redirects=False)
    except requests.exceptions.InvalidURL as error:
        return SendResult(False, f"not an address: {error}", permanent=True)
    except requests.RequestException as error:
        return SendResult(False, f"{type(error).__name__} at the webhook's server")
    if 200 <= answer.status_code < 300:
        return SendResult(True)
    return SendResult(
        False, f"the webhook answered {answer.status_code}", permanent=answer.status_code == 410
    )
