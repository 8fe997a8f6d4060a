"""What Mosquitto needs to know of the devices: who they are, and that each keeps to its own topics."""

from __future__ import annotations

from collections.abc import Iterable, Set
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.broker_certificate import renewed
from contract.topics import READING_KINDS
from store.registry.models import Device
from store.registry.provisioning import broker_username

if TYPE_CHECKING:
    from store.registry.authority import Authority
    from store.registry.certificates import Revoked
    from store.registry.database import Registry

SERVER_USER: Final = "quietwater"
REVOKED: Final = "revoked.crl"


@dataclass(frozen=True, slots=True)
class MosquittoFiles:
    """The files' texts by name. ``complaints`` name the enabled devices that cannot come in."""

    texts: dict[str, str]
    complaints: tuple[str, ...]


def files_of(registry: Registry, ca_folder: Path, server_hash: str, *, present: Path) -> MosquittoFiles:
    """Return what the registry says now; ``present`` is the folder of the files as they are."""
    from sqlalchemy import select

    from store.registry.authority import Authority
    from store.registry.certificates import counting, revoked

    now = datetime.now(UTC)
    with registry.reader() as session:
        devices = session.scalars(select(Device).order_by(Device.site, Device.name)).all()
        files = mosquitto_files(devices, server_hash, certified=counting(session, now).keys())
        gone = revoked(session)
    authority = Authority.open(ca_folder)
    if authority is not None:
        files.texts["ca.pem"] = authority.certificate_pem.decode()
        files.texts.update(renewed(authority, present, now))
        files.texts[REVOKED] = _list_of_revoked(authority, gone, present / REVOKED, now)
    return files


def mosquitto_files(
    devices: Iterable[Device], server_hash: str, *, certified: Set[tuple[str, str]] = frozenset()
) -> MosquittoFiles:
    """Return the files for the enabled devices, and for the server's own processes. Pure.

    ``certified`` are those with a certificate that counts: they need no password.
    """
    passwords, rules, complaints = [f"{SERVER_USER}:{server_hash}"], [], []
    for device in devices:
        if not device.enabled:
            continue
        name = broker_username(device.site, device.name)
        if device.mosquitto_hash is not None:
            passwords.append(f"{name}:{device.mosquitto_hash}")
        elif (device.site, device.name) not in certified:
            complaints.append(
                f"{device.site}/{device.name} has no password that Mosquitto understands: enrol it anew"
            )
            continue
        rules.append(_rules(name, f"qw/v1/{device.site}/{device.name}"))
    texts = {
        "passwords": "".join(f"{line}\n" for line in passwords),
        "devices.acl": "\n".join(rules),
        "certified.acl": "\n".join([*rules, _server_rules()]),
        "server.acl": _server_rules(),
    }
    return MosquittoFiles(texts, tuple(complaints))


def kept_hash(present: Path) -> str | None:
    """Return the hash of the server's password as the files have it, since a new one differs each time."""
    with suppress(OSError):
        for line in (present / "passwords").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == SERVER_USER:
                return value
    return None


def _list_of_revoked(authority: Authority, gone: list[Revoked], present: Path, now: datetime) -> str:
    """Return the list that is there where it says the same: a new one differs in its date alone."""
    from cryptography import x509

    try:
        text = present.read_text()
        there = x509.load_pem_x509_crl(text.encode())
        same = {format(one.serial_number, "x") for one in there} == {one.serial for one in gone}
        if (
            same
            and authority.signed(there)
            and (there.next_update_utc or now) - now > authority.RENEW_LIST_BEFORE
        ):
            return text
    except (OSError, ValueError):
        pass
    return authority.revocation_list(gone, now).decode()


def _rules(name: str, topics: str) -> str:
    lines = [f"user {name}", *(f"topic write {topics}/{kind}" for kind in (*READING_KINDS, "status"))]
    lines += [f"topic read {topics}/{kind}" for kind in ("stored", "config")]
    return "".join(f"{line}\n" for line in lines)


def _server_rules() -> str:
    return "".join(
        f"{line}\n"
        for line in (
            f"user {SERVER_USER}",
            "topic readwrite qw/v1/#",
            # The uplink to Home Assistant, where it goes by this broker.
            "topic readwrite homeassistant/#",
            "topic readwrite quietwater/#",
        )
    )
