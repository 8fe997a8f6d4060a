"""Settings of meters: what they are read over, and each driver's own keys."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from contract.messages import Slug

_Timeout = Annotated[float, Meta(ge=0.05, le=60)]


class BusSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line with meters of one protocol on it: a serial port, or a gateway over TCP."""

    name: Slug
    port: str | None = None
    """Serial port, best by its lasting name: ``/dev/serial/by-id/...``."""
    tcp: Annotated[str, Meta(pattern=r"^[^:/\s]+:[0-9]{1,5}$")] | None = None
    """``host:port`` of a gateway that hands the bytes on as they are, or of a Modbus TCP server."""
    baud: Annotated[int, Meta(ge=300, le=921_600)] | None = None
    """Unless given, 2400 (CJ/T 188, M-Bus) or 9600 (Modbus)."""
    parity: Literal["none", "even", "odd"] | None = None
    """Unless given, even (CJ/T 188, M-Bus) or none (Modbus)."""
    stop_bits: Literal[1, 2] = 1
    timeout_s: _Timeout = 1.0
    """How long the first byte of an answer may take."""
    retries: Annotated[int, Meta(ge=0, le=5)] = 2
    """Further attempts after one without a good answer; a silent meter gets none."""
    framing: Literal["rtu", "tcp"] | None = None
    """Modbus: ``rtu`` also over TCP for gateways that hand RTU frames on; unless given, tcp over TCP, rtu else."""

    def __post_init__(self) -> None:
        if (self.port is None) == (self.tcp is None):
            raise ValueError("a bus has either port (serial) or tcp (gateway)")
        if self.tcp is not None and not 1 <= int(self.tcp.rpartition(":")[2]) <= 65_535:
            raise ValueError(f"tcp: {self.tcp} has no port between 1 and 65535")
        if self.framing == "tcp" and self.tcp is None:
            raise ValueError("framing: Modbus TCP frames do not go over a serial port")


class ReceiverSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where wireless M-Bus telegrams come from.

    ``command`` is started and kept running; each line that it prints is a JSON object of wmbusmeters or has a telegram
    in hexadecimal. ``folder`` is where a running wmbusmeters keeps its newest reading of each meter (``meterfiles``).
    """

    name: Slug
    command: tuple[str, ...] | None = None
    folder: str | None = None

    def __post_init__(self) -> None:
        if (not self.command) == (self.folder is None):
            raise ValueError("a receiver has either command or folder")


class NetworkSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The MQTT broker of a LoRaWAN network server (ChirpStack or The Things Stack)."""

    name: Slug
    url: Annotated[str, Meta(pattern=r"^mqtts?://[^/\s]+$")]
    """``mqtt://host:1883`` or ``mqtts://host:8883``."""
    topic: Annotated[str, Meta(min_length=1)]
    """Filter of the uplinks: ``application/+/device/+/event/up`` (ChirpStack), ``v3/+/devices/+/up`` (TTN)."""
    username: str | None = None
    password_file: str | None = None
    ca_file: str | None = None
    client_id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    """Must be this device's own; unless given, made from the name of the network and the host."""


class _Meter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Slug
    """The meter's name in the product."""
    interval_s: Annotated[int, Meta(ge=1, le=7 * 86_400)] = 900
    """Seconds from one reading to the next; readings lie at whole multiples of it since midnight UTC."""
    jitter_s: Annotated[float, Meta(ge=0, le=3600)] = 5.0
    """Each reading is delayed by up to this, so that devices do not all work in one moment."""
    q4_m3h: Annotated[float, Meta(gt=0, le=100_000)] | None = None
    """Overload flow rate Q4 (ISO 4064-1), above which use is flagged; unless given, the profile's."""
    silent_after: Annotated[int, Meta(ge=1, le=1000)] = 3
    """Missed readings in a row after which the meter counts as silent."""

    def __post_init__(self) -> None:
        if self.jitter_s > self.interval_s:
            raise ValueError("jitter_s is longer than interval_s")


class Cjt188Meter(_Meter, frozen=True, tag="cjt188", tag_field="driver"):
    """A meter that speaks CJ/T 188."""

    bus: Slug
    address: Annotated[str, Meta(pattern=r"^[0-9A-Fa-f]{14}$")]
    """14 digits as printed, vendor code first; ``AAAAAAAAAAAAAA`` for the only meter on a line."""
    meter_type: Annotated[str, Meta(pattern=r"^1[0-9]$")] = "10"
    """10 cold, 11 hot, 12 drinking, 13 reclaimed water."""
    profile: str = "cjt188"


class MbusMeter(_Meter, frozen=True, tag="mbus", tag_field="driver"):
    """A meter on a wired M-Bus."""

    bus: Slug
    primary: Annotated[int, Meta(ge=0, le=254)] | None = None
    """Primary address 1 to 250; 254 for the only meter on a line."""
    secondary: Annotated[str, Meta(pattern=r"^([0-9A-Fa-f]{8}|[0-9A-Fa-f]{16})$")] | None = None
    """The eight digits on the meter's face, or all 16 of the secondary address as ``edge scan`` shows it."""
    telegrams: Annotated[int, Meta(ge=1, le=16)] = 4
    """Telegrams that are read at most where the meter has more than one."""
    profile: str = "mbus"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.primary is None) == (self.secondary is None):
            raise ValueError("a meter on M-Bus has either primary or secondary")


class ModbusMeter(_Meter, frozen=True, tag="modbus", tag_field="driver"):
    """A meter that speaks Modbus."""

    bus: Slug
    unit: Annotated[int, Meta(ge=1, le=247)]
    profile: str


class PulseMeter(_Meter, frozen=True, tag="pulse", tag_field="driver"):
    """A meter whose pulses are counted at a GPIO pin."""

    pin: Annotated[int, Meta(ge=0, le=27)]
    """GPIO number (BCM), not the number on the header."""
    pulse_ml: Annotated[int, Meta(ge=1, le=10_000_000)]
    """Volume of one pulse, millilitres: 1000 for 1 L, 10000 for 10 L."""
    pull: Literal["up", "down"] = "up"
    """``up``: the contact pulls to ground, a pulse is low. ``down``: the other way round."""
    pulse_min_ms: Annotated[float, Meta(ge=0, le=10_000)] = 10.0
    """What is shorter is contact bounce or noise, and is not counted."""


class WmbusMeter(_Meter, frozen=True, tag="wmbus", tag_field="driver"):
    """A meter that sends wireless M-Bus telegrams."""

    receiver: Slug
    id: Annotated[str, Meta(pattern=r"^[0-9A-Fa-f]{8}$")]
    """The eight digits on the meter's face."""
    key_file: str | None = None
    """File with the meter's AES-128 key, 32 hexadecimal digits; for telegrams that are decoded here."""
    profile: str = "mbus"


class LorawanMeter(_Meter, frozen=True, tag="lorawan", tag_field="driver"):
    """A meter that sends LoRaWAN uplinks."""

    network: Slug
    dev_eui: Annotated[str, Meta(pattern=r"^[0-9A-Fa-f]{16}$")]
    profile: str = "axioma-w1"


MeterSettings = Cjt188Meter | MbusMeter | ModbusMeter | PulseMeter | WmbusMeter | LorawanMeter
BusMeter = Cjt188Meter | MbusMeter | ModbusMeter
