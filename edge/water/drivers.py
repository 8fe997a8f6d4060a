"""The registry of drivers: what each is, how it decodes one frame, and how it reads the meters of a bus.

What a driver needs is imported when it is used: an agent with one kind of meter loads one kind of driver.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from edge.water.polled import Connection, ProfiledReader
from edge.water.profiles import Cjt188Profile, LorawanProfile, MbusProfile, ModbusProfile, load
from edge.water.register import FrameRefused, Register
from edge.water.settings_meters import BusSettings

Decode = Callable[[bytes, str, bytes | None], Register]
"""Decodes a frame with the named profile and a key. Raises ``MeterError`` or ``ProfileError``."""


@dataclass(frozen=True, slots=True)
class Driver:
    """One driver. ``connect`` and ``reader`` are there for meters that are polled on a bus."""

    name: str
    title: str
    profile: str | None = None
    """The profile that is used where none is named."""
    decode: Decode | None = None
    connect: Callable[[BusSettings], Connection] | None = None
    reader: Callable[[Any, Any], ProfiledReader] | None = None
    """Makes the reader of a meter from its settings and the bus's connection."""


def decode(driver: str, raw: bytes, profile: str | None = None, key: bytes | None = None) -> Register:
    """Decode one frame. Raises ``MeterError`` (no reading in it), ``ProfileError``, or ``KeyError`` for the driver."""
    found = DRIVERS[driver]
    if found.decode is None:
        raise FrameRefused(f"driver {driver} has no frames to decode")
    if profile is None and found.profile is None:
        raise FrameRefused(f"driver {driver} needs a profile, which names the registers of the model")
    return found.decode(raw, profile or str(found.profile), key)


def _decode_cjt188(raw: bytes, profile: str, _key: bytes | None) -> Register:
    from edge.water import cjt188

    return cjt188.decode(raw, load(profile, Cjt188Profile))


def _decode_mbus(raw: bytes, profile: str, key: bytes | None) -> Register:
    from edge.water import mbus_decode
    from edge.water.mbus_transport import Secrets

    return mbus_decode.decode(raw, load(profile, MbusProfile), Secrets(key))


def _decode_wmbus(raw: bytes, profile: str, key: bytes | None) -> Register:
    from edge.water import wmbus_telegram
    from edge.water.mbus_compact import CompactFormats
    from edge.water.mbus_transport import Secrets
    from edge.water.profiles import mbus_compact_formats

    wanted = load(profile, MbusProfile)
    formats = CompactFormats((*mbus_compact_formats(), *wanted.compact_formats))
    return wmbus_telegram.decode(raw, wanted, Secrets(key, formats))


def _decode_modbus(raw: bytes, profile: str, _key: bytes | None) -> Register:
    from edge.water import modbus_decode

    return modbus_decode.decode(raw, load(profile, ModbusProfile))


def _decode_lorawan(raw: bytes, profile: str, _key: bytes | None) -> Register:
    from edge.water import lorawan

    return lorawan.decode(raw, load(profile, LorawanProfile))


def _line(settings: BusSettings) -> Connection:
    from edge.water.line import Line

    return Line(settings)


def _modbus_link(settings: BusSettings) -> Connection:
    from edge.water.modbus_meter import ModbusLink

    return ModbusLink(settings)


def _cjt188_reader(settings: Any, connection: Any) -> ProfiledReader:
    from edge.water.cjt188_meter import Cjt188Reader

    return Cjt188Reader(settings, connection)


def _mbus_reader(settings: Any, connection: Any) -> ProfiledReader:
    from edge.water.mbus_meter import MbusReader

    return MbusReader(settings, connection)


def _modbus_reader(settings: Any, connection: Any) -> ProfiledReader:
    from edge.water.modbus_meter import ModbusReader

    return ModbusReader(settings, connection)


_ALL: Final = (
    Driver(
        "cjt188",
        "CJ/T 188 over RS-485, M-Bus converter or TCP",
        "cjt188",
        _decode_cjt188,
        _line,
        _cjt188_reader,
    ),
    Driver(
        "mbus", "wired M-Bus (EN 13757-2/-3) over serial or TCP", "mbus", _decode_mbus, _line, _mbus_reader
    ),
    Driver("wmbus", "wireless M-Bus, by wmbusmeters or plain telegrams", "mbus", _decode_wmbus),
    Driver("modbus", "Modbus RTU and TCP", None, _decode_modbus, _modbus_link, _modbus_reader),
    Driver("pulse", "pulses at a GPIO pin"),
    Driver("lorawan", "LoRaWAN uplinks of ChirpStack or The Things Stack", "axioma-w1", _decode_lorawan),
    Driver("replay", "a recorded series from CSV"),
)

DRIVERS: Final[dict[str, Driver]] = {one.name: one for one in _ALL}
