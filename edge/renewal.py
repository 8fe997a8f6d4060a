"""Renews the device's certificate at the server when a third of its life is left; the old one counts until its end."""

from __future__ import annotations

import base64
import json
import random
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import msgspec
import structlog
from msgspec import Meta

from contract.clock import Clock
from edge.certificate import demand_fits, keep, lifetime, make_request, pairs
from edge.config import UpstreamSettings
from edge.link import Broker

log = structlog.get_logger(__name__)

EVERY_S: Final = 6 * 3600.0
_FIRST_S: Final = 5.0
_TIMEOUT_S: Final = 20.0


class RenewalFailed(Exception):
    """There is no new certificate; the text says why. What there was goes on to count."""


class _Answer(msgspec.Struct, frozen=True):
    certificate: Annotated[str, Meta(min_length=1, max_length=1 << 16)]


class Renewal:
    """Looks every few hours. ``on_renewed`` is called when the file has changed."""

    def __init__(
        self, broker: Broker, upstream: UpstreamSettings, clock: Clock, on_renewed: Callable[[], None], *,
        every_s: float = EVERY_S,
    ) -> None:  # fmt: skip
        self._broker = broker
        self._upstream = upstream
        self._clock = clock
        self._on_renewed = on_renewed
        self._every_s = every_s

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``. Not all devices of a fleet ask at one moment."""
        wait_s = min(_FIRST_S, self._every_s)
        while not stop.wait(wait_s * random.uniform(0.8, 1.2)):  # noqa: S311
            wait_s = self._every_s
            try:
                if self.due():
                    self.renew()
            except RenewalFailed as error:
                log.warning("the certificate was not renewed", device=self._broker.username, cause=str(error))

    def due(self) -> bool:
        """Whether the certificate that counts longest nears its end."""
        shown = pairs(self._broker.cert_file, self._broker.key_file, self._broker.renewed_file)
        life = lifetime(shown[0][0]) if shown else None
        return life is not None and life.due(self._clock.now())

    def renew(self) -> None:
        """Have a new key certified and keep both. Raises :class:`RenewalFailed`."""
        name, path = self._broker.username, self._broker.renewed_file
        if name is None or path is None or not self._broker.password:
            raise RenewalFailed("it takes the device's password: name mqtt.password_file, or enrol anew")
        made = make_request(name)
        certificate = self._ask(name, self._broker.password, made.csr)
        try:
            demand_fits(certificate, made.key, name)
            keep(Path(path), certificate, made.key)
        except (OSError, ValueError) as error:
            raise RenewalFailed(str(error)) from error
        log.info("the certificate was renewed", device=name)
        self._on_renewed()

    def _ask(self, name: str, password: str, csr: str) -> str:
        login = base64.b64encode(f"{name}:{password}".encode()).decode()
        request = urllib.request.Request(  # noqa: S310  the settings take http and https alone
            f"{self._upstream.url.rstrip('/')}/api/v1/device/certificate",
            json.dumps({"csr": csr}).encode(),
            {"Content-Type": "application/json", "Authorization": f"Basic {login}"},
            method="POST",
        )
        try:
            trusted = ssl.create_default_context(cafile=self._upstream.ca_file)
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S, context=trusted) as answer:  # noqa: S310
                return msgspec.json.decode(answer.read(1 << 20), type=_Answer).certificate
        except urllib.error.HTTPError as error:
            raise RenewalFailed(f"the server answered {error.code}: {_detail(error)}") from error
        except (OSError, ValueError) as error:
            raise RenewalFailed(f"{self._upstream.url}: {error}") from error


def _detail(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read(1 << 16))["detail"])
    except (ValueError, KeyError, TypeError, OSError):
        return str(error.reason)
