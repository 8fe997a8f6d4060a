"""Which connection carries which device: one each with its own login, or gateways that carry whole sites."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from app.simulate.connection import Connection
from app.simulate.device import SimulatedDevice
from app.simulate.mqtt_packets import Login
from contract.codec import encode
from contract.messages import DeviceStatus
from contract.topics import PREFIX
from store.registry.provisioning import broker_username

_DEVICE_WINDOW: Final = 40
"""As the edge's link has it."""
_GATEWAY_WINDOW: Final = 20_000
_AT_A_TIME: Final = 50
"""Connections that are being made."""
_WILL: Final = encode(DeviceStatus(state="offline"))


@dataclass(frozen=True, slots=True)
class Gate:
    """How the fleet comes to the broker. ``gateways`` is how many connections carry it; 0: each device has its own.

    ``username`` and ``password`` are the server's account for gateways; devices have ``password`` in common.
    """

    address: tuple[str, int]
    tls: ssl.SSLContext | None
    gateways: int
    username: str | None
    password: str | None
    name: str = "simulate"
    limit: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_A_TIME))


Group = Sequence[SimulatedDevice]


def connect_fleet(
    gate: Gate, devices: Group, *, on_stored: Callable[[str, bytes], None],
    on_up: Callable[[Group], None], on_down: Callable[[Group], None],
) -> list[Connection]:  # fmt: skip
    """Make the connections, not started yet, and hand each device its own."""
    groups = [[one] for one in devices] if gate.gateways == 0 else _by_site(devices, gate.gateways)
    return [
        _connection(gate, number, group, on_stored, on_up, on_down) for number, group in enumerate(groups)
    ]


def _by_site(devices: Group, gateways: int) -> list[list[SimulatedDevice]]:
    sites = {name: number for number, name in enumerate(dict.fromkeys(one.site for one in devices))}
    groups: list[list[SimulatedDevice]] = [[] for _ in range(min(gateways, len(sites)))]
    for one in devices:
        groups[sites[one.site] % len(groups)].append(one)
    return groups


def _connection(
    gate: Gate, number: int, group: Group, on_stored: Callable[[str, bytes], None],
    on_up: Callable[[Group], None], on_down: Callable[[Group], None],
) -> Connection:  # fmt: skip
    if gate.gateways == 0:
        (device,) = group
        topics = f"{PREFIX}/{device.site}/{device.name}"
        login = Login(
            f"qw_{device.site}_{device.name}", broker_username(device.site, device.name), gate.password,
            f"{topics}/status", _WILL,
        )  # fmt: skip
        filters, qos, window = [f"{topics}/stored", f"{topics}/config"], 1, _DEVICE_WINDOW
    else:
        login = Login(f"qw_{gate.name}_{number}", gate.username, gate.password, clean=True)
        filters = [f"{PREFIX}/{site}/+/stored" for site in dict.fromkeys(one.site for one in group)]
        # An answer that is lost costs that its readings are sent again.
        qos, window = 0, _GATEWAY_WINDOW
    connection = Connection(
        gate.address, gate.tls, login, filters, qos=qos, window=window, limit=gate.limit, is_own=gate.gateways == 0,
        on_message=on_stored, on_up=lambda: on_up(group), on_down=lambda: on_down(group),
    )  # fmt: skip
    for device in group:
        device.connection = connection
    return connection
