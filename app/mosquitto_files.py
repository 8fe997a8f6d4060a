"""What Mosquitto needs to know of the devices: their passwords, and that each keeps to its own topics. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from contract.topics import READING_KINDS
from store.registry.models import Device
from store.registry.provisioning import broker_username

SERVER_USER: Final = "quietwater"


@dataclass(frozen=True, slots=True)
class MosquittoFiles:
    """The texts of the three files. ``without`` are enabled devices that cannot come in: their password is older than
    what Mosquitto understands."""

    passwords: str
    devices_acl: str
    server_acl: str
    without: tuple[str, ...]


def mosquitto_files(devices: Iterable[Device], server_hash: str) -> MosquittoFiles:
    """Return the files for the enabled devices, and for the server's own processes."""
    passwords, rules, without = [f"{SERVER_USER}:{server_hash}"], [], []
    for device in devices:
        if not device.enabled:
            continue
        name = broker_username(device.site, device.name)
        if device.mosquitto_hash is None:
            without.append(f"{device.site}/{device.name}")
            continue
        passwords.append(f"{name}:{device.mosquitto_hash}")
        rules.append(_rules(name, f"qw/v1/{device.site}/{device.name}"))
    return MosquittoFiles(
        "".join(f"{line}\n" for line in passwords), "\n".join(rules), _server_rules(), tuple(without)
    )


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
