"""Enrolment: fetch this device's identity and first configuration from the server, with the code of an installer.

The server gives the password and ends the one before; so everything that can fail on this side is tried before the code
is used up, and what is written is written whole or not at all.
"""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import tomllib
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from contract.messages import Slug
from edge.certificate import Request, demand_fits, make_request
from edge.config import AgentConfig, ConfigError, UpstreamSettings, load

_TIMEOUT_S: Final = 20.0
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
PASSWORD_FILE: Final = "edge.password"  # noqa: S105  the name of a file
BROKER_CA_FILE: Final = "broker-ca.pem"
CERTIFICATE_FILE: Final = "device.pem"
SERVER_CA_FILE: Final = "server-ca.pem"


class EnrolmentFailed(Exception):
    """The device was not enrolled; the text says why and what to do. Nothing was changed on this device."""


@dataclass(frozen=True, slots=True)
class _Places:
    """Where things go. ``pair`` (certificate and key) is ``None`` for a device that comes by password alone."""

    config: Path
    password: Path
    pair: Path | None
    new: bool


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What the server gives for a code."""

    site: Slug
    device: Slug
    username: str
    password: Annotated[str, Meta(min_length=1)]
    broker_url: str
    configuration: str
    certificate: str | None = None
    """Certificate (PEM) for our own key, where devices may come to the broker by it."""
    broker_ca: str | None = None
    """Certificate (PEM) of the authority that signed the broker's, where it is the server's own."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What lies on this device now. ``configured`` is false where an older configuration of the device was kept.

    ``certificate`` is the file of the certificate that was given, if one was, and of its key.
    """

    identity: Identity
    config: Path
    password: Path
    configured: bool
    certificate: Path | None


def enrol(code: str, server: str, config: Path, *, ca_file: Path | None = None, plain: bool = False) -> Kept:
    """Use ``code`` at ``server`` and keep what it gives beside ``config``.

    A configuration that is there already stays as it is; it must be the same device's. Where it names a certificate
    the device gets a new one, which lies where renewed ones do: so one that was revoked comes back. ``plain`` lets the
    password travel without TLS to another machine. Raises :class:`EnrolmentFailed`.
    """
    _demand_safe(server, plain)
    before = _present(config)
    places = _places(config, before)
    for folder in {one.parent for one in (config, places.password, places.pair) if one is not None}:
        _demand_writable(folder)
    server_ca = None if ca_file is None else _read_ca(ca_file)
    upstream = _upstream(server, server_ca) if before is None else None
    made = (
        None if places.pair is None else make_request("device")
    )  # a new one's name only the server knows yet
    device = f"{before.site}/{before.device}" if before else None
    identity = fetch(code, server, ca_file, device=device, csr=made.csr if made else None)
    if upstream is None or identity.certificate is None:
        return _keep(identity, places, made, None)
    configuration = identity.configuration.rstrip() + "\n" + upstream
    return _keep(msgspec.structs.replace(identity, configuration=configuration), places, made, server_ca)


def fetch(
    code: str, server: str, ca_file: Path | None = None, *, device: str | None = None, csr: str | None = None
) -> Identity:
    """Ask the server; a code of another device than ``device`` is refused there. Raises :class:`EnrolmentFailed`."""
    address = f"{server.rstrip('/')}/api/v1/enrolments/redeem"
    request = urllib.request.Request(  # noqa: S310  the scheme was looked at
        address,
        json.dumps({"code": code, "device": device, **({"csr": csr} if csr else {})}).encode(),
        {"Content-Type": "application/json"},
        method="POST",
    )
    try:
        trusted = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S, context=trusted) as answer:  # noqa: S310
            return msgspec.json.decode(answer.read(1 << 20), type=Identity)
    except urllib.error.HTTPError as error:
        raise EnrolmentFailed(_told(error)) from error
    except urllib.error.URLError as error:
        raise EnrolmentFailed(_unreachable(server, error.reason)) from error
    except msgspec.DecodeError as error:
        raise EnrolmentFailed(f"what answers at {server} is no Quietwater server: {error}") from error
    except (OSError, ValueError) as error:
        raise EnrolmentFailed(f"{server} did not answer as it should: {error}") from error


def _demand_safe(server: str, plain: bool) -> None:
    parts = urlsplit(server)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise EnrolmentFailed(f"{server!r} is no address such as https://quietwater.example")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK and not plain:
        raise EnrolmentFailed(
            f"{server} is without TLS: anybody on the way could read the password. Use https, or --plain in a network "
            "that you trust"
        )


def _present(config: Path) -> AgentConfig | None:
    if not config.exists():
        return None
    try:
        found = load(config)
    except ConfigError as error:
        raise EnrolmentFailed(f"{error}; mend it or move it away before you enrol") from error
    if found.mqtt.password_file is None:
        raise EnrolmentFailed(
            f'{config} has no mqtt.password_file; write password_file = "{PASSWORD_FILE}" there'
        )
    return found


def _places(config: Path, before: AgentConfig | None) -> _Places:
    password = config.parent / PASSWORD_FILE
    if before is None:
        return _Places(config, password, config.parent / CERTIFICATE_FILE, new=True)
    pair = None if before.mqtt.cert_file is None else Path(before.renewed_file)
    return _Places(config, Path(before.mqtt.password_file or password), pair, new=False)


def _read_ca(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError as error:
        raise EnrolmentFailed(f"{path} cannot be read: {error.strerror}") from error


def _demand_writable(folder: Path) -> None:
    """Look beforehand whether ``folder`` can be written to: the code works once."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".enrol.new"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise EnrolmentFailed(
            f"{folder} cannot be written to ({error.strerror}); run this with sudo?"
        ) from error


def _upstream(server: str, server_ca: str | None) -> str | None:
    """Return the table that says where the certificate is renewed: the address that the code is used at.

    ``None`` where that is without TLS. What the agent would not take is refused while the code still counts.
    """
    if not server.startswith("https:") and urlsplit(server).hostname not in _LOOPBACK:
        return None
    table = {"url": server} if server_ca is None else {"url": server, "ca_file": SERVER_CA_FILE}
    try:
        msgspec.convert(table, UpstreamSettings)
    except msgspec.ValidationError as error:
        raise EnrolmentFailed(
            f"{server!r} is no address such as https://quietwater.example: {error}"
        ) from error
    return "\n[server]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())


def _keep(identity: Identity, places: _Places, made: Request | None, server_ca: str | None) -> Kept:
    """Write what was given; ``made`` is our new key, ``server_ca`` what the configuration names."""
    folder = places.config.parent
    pair = places.pair if made is not None and identity.certificate is not None else None
    try:
        if places.new:
            _checked(identity.configuration)
        if made is not None and pair is not None and identity.certificate is not None:
            demand_fits(identity.certificate, made.key)
            _write(pair, identity.certificate.strip() + "\n" + made.key, 0o600)
        if server_ca is not None:  # not where the caller has it: the agent sees neither /home nor /tmp
            _write(folder / SERVER_CA_FILE, server_ca, 0o644)
        if places.new:
            _write(places.config, identity.configuration, 0o640)
        if identity.broker_ca is not None:
            _write(folder / BROKER_CA_FILE, identity.broker_ca, 0o644)
        _write(places.password, identity.password + "\n", 0o600)
    except OSError as error:
        raise EnrolmentFailed(f"{error.filename or folder} cannot be written: {error.strerror}") from error
    except ValueError as error:
        raise EnrolmentFailed(f"what the server gave cannot be used: {error}") from error
    return Kept(identity, places.config, places.password, configured=places.new, certificate=pair)


def _checked(text: str) -> None:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise EnrolmentFailed(
            f"the server's configuration is not valid TOML: {error}; update both sides"
        ) from error


def _write(path: Path, text: str, mode: int) -> None:
    """Write a file whole or not at all, for nobody but the folder's owner (and, by ``mode``, its group) to read."""
    draft = path.with_name(path.name + ".new")
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(draft, owner.st_uid, owner.st_gid)
    draft.replace(path)


def _told(error: urllib.error.HTTPError) -> str:
    """Return the words of the server's problem."""
    try:
        problem: dict[str, Any] = json.loads(error.read(1 << 16))
        detail = str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the server answered {error.code} {error.reason}; is it a Quietwater server?"
    wait = error.headers.get("Retry-After")
    return f"{detail}; wait {wait} s" if wait and error.code == 429 else detail


def _unreachable(server: str, reason: object) -> str:
    if isinstance(reason, ssl.SSLCertVerificationError):
        why = reason.verify_message
        if "not yet valid" in why or "expired" in why:
            return f"the certificate of {server}: {why}. Look at this device's clock (`timedatectl`) first"
        return f"the certificate of {server} is not trusted: {why}. Give the CA's certificate with --ca"
    return f"{server} cannot be reached: {reason}"
