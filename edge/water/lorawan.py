"""Driver ``lorawan``: uplinks of ChirpStack and The Things Stack, decoded by the profile of the device."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import structlog

from contract.messages import WaterReading
from edge.water import lorawan_axioma
from edge.water.heard import Message
from edge.water.profiles import LorawanProfile, load
from edge.water.register import FrameRefused, MeterError, Register
from edge.water.settings_meters import LorawanMeter
from edge.water.uplinks import UplinkMessage

log = structlog.get_logger(__name__)

_DECODERS: Final = {"axioma-w1": lorawan_axioma.decode}
_LATEST: Final = timedelta(minutes=5)
_OLDEST: Final = timedelta(days=30)
"""Uplinks wait at the broker while the agent is away."""


@dataclass(frozen=True, slots=True)
class Uplink:
    """An uplink, whichever network server hands it on. ``received_at`` is UTC where the server tells it."""

    dev_eui: str
    port: int
    payload: bytes
    received_at: datetime | None


def decode(payload: bytes, profile: LorawanProfile, port: int | None = None) -> Register:
    """Return the register in a payload. Raises :class:`FrameRefused` with the reason."""
    if port is not None and port not in profile.ports:
        ports = ", ".join(map(str, profile.ports))
        raise FrameRefused(f"FPort {port} carries no reading; the profile has {ports}")
    return _DECODERS[profile.decoder](payload, profile)


def parse(text: bytes) -> Uplink:
    """Return the uplink in a message of ChirpStack (3 or 4) or The Things Stack. Raises :class:`FrameRefused`."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FrameRefused(f"not a JSON object: {error}") from error
    if not isinstance(found, dict):
        raise FrameRefused("not a JSON object")
    if isinstance(found.get("uplink_message"), dict):
        return _things_stack(found)
    if "data" in found and "fPort" in found:
        return _chirpstack(found)
    raise FrameRefused("no uplink of ChirpStack or The Things Stack with a payload")


def _things_stack(found: Mapping[str, Any]) -> Uplink:
    uplink, ids = found["uplink_message"], found.get("end_device_ids")
    eui = ids.get("dev_eui") if isinstance(ids, dict) else None
    received_at = uplink.get("received_at") or found.get("received_at")
    return _uplink(eui, uplink.get("f_port"), uplink.get("frm_payload"), received_at)


def _chirpstack(found: Mapping[str, Any]) -> Uplink:
    info = found.get("deviceInfo")
    eui = info.get("devEui") if isinstance(info, dict) else found.get("devEUI")
    if isinstance(eui, str) and len(eui) == 12:
        # ChirpStack 3 writes it in Base64 where its JSON comes from Protobuf.
        eui = _bytes(eui).hex()
    return _uplink(eui, found.get("fPort"), found.get("data"), found.get("time"))


def _uplink(eui: object, port: object, payload: object, received_at: object) -> Uplink:
    if not isinstance(eui, str) or not isinstance(payload, str) or not isinstance(port, int):
        raise FrameRefused("an uplink without device EUI, FPort or payload")
    return Uplink(eui.lower(), port, _bytes(payload), _time(received_at))


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FrameRefused(f"not Base64: {error}") from error


def _time(text: object) -> datetime | None:
    """RFC 3339; nanoseconds are cut to what a ``datetime`` holds."""
    if not isinstance(text, str):
        return None
    try:
        t = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return None
    return t.astimezone(UTC) if t.tzinfo is not None else None


class UplinkDesk:
    """Makes readings of a network's uplinks."""

    def __init__(self, meters: Sequence[LorawanMeter]) -> None:
        """Raises ``ProfileError``."""
        self._meters = {one.dev_eui.lower(): one for one in meters}
        self.profiles = {one.name: load(one.profile, LorawanProfile) for one in meters}
        self._refused: dict[str, str] = {}

    def readings(self, message: Message, now: datetime) -> list[WaterReading]:
        """Return the readings in an uplink: the meter's log where its profile says so, and its register last."""
        assert isinstance(message, UplinkMessage)
        try:
            uplink = parse(message.payload)
        except FrameRefused:
            return []
        meter = self._meters.get(uplink.dev_eui)
        if meter is None:
            return []
        try:
            register = decode(uplink.payload, self.profiles[meter.name], uplink.port)
            readings = self._readings(meter, register, _received(uplink, now), uplink.dev_eui)
        except MeterError as error:
            if self._refused.get(meter.name) != str(error):
                log.warning("uplink refused", meter=meter.name, reason=str(error))
            self._refused[meter.name] = str(error)
            return []
        self._refused.pop(meter.name, None)
        return readings

    def _readings(
        self, meter: LorawanMeter, register: Register, at: datetime, serial: str
    ) -> list[WaterReading]:
        current = msgspec.structs.replace(register.reading(meter.name, at), serial=serial)
        clock = (
            datetime.fromisoformat(register.meter_time).replace(tzinfo=UTC) if register.meter_time else None
        )
        if clock is None or abs(clock - at) > _LATEST:
            # The log's times are those of the meter's clock: with a wrong one they mean nothing.
            return [current]
        past = [
            msgspec.structs.replace(current, t=t, volume_steps=steps, meter_time=None, flags=())
            for t, steps in register.history
            if t < at
        ]
        return [*past, current]


def _received(uplink: Uplink, now: datetime) -> datetime:
    t = uplink.received_at
    return t if t is not None and now - _OLDEST <= t <= now + _LATEST else now
