"""Payloads of Axioma Qalcosonic W1 ultrasonic water meters over LoRaWAN.

Two layouts are known, told apart by their length, volumes in litres, least significant byte first:

- 51 bytes, "enhanced 24 h": version 01H, time (Unix s), status, first logged volume, 23 hourly increments of 14 bits
  each, and 6 bits of a multiplier. The register is the logged volume and all increments.
- 47 bytes, "extended": time, status, register, time of the first logged volume, that volume, 15 increments of
  16 bits.

The payload has no checksum of its own: LoRaWAN's message integrity code covers it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Final

from contract.flags import WaterFlag
from edge.water.profiles import LorawanProfile, flags_of
from edge.water.register import FrameRefused, Register

STEP_ML: Final = 1000
_ENHANCED: Final = 51
_EXTENDED: Final = 47
_ALARM: Final = 5
_INCREMENTS: Final = 23
_BITS: Final = 14


def decode(payload: bytes, profile: LorawanProfile) -> Register:
    """Return the register in a payload. Raises :class:`FrameRefused` with the reason."""
    if len(payload) == _ENHANCED:
        return _enhanced(payload, profile)
    if len(payload) == _EXTENDED:
        return _extended(payload, profile)
    if len(payload) == _ALARM:
        raise FrameRefused("an alarm of the meter (5 bytes), not a reading")
    raise FrameRefused(f"{len(payload)} bytes; a reading has {_ENHANCED} or {_EXTENDED}")


def _enhanced(payload: bytes, profile: LorawanProfile) -> Register:
    if payload[0] != 0x01:
        raise FrameRefused(f"version {payload[0]:02X}H of the payload is unknown (01H is known)")
    log_l = _number(payload[6:10])
    packed = _number(payload[10:])
    if packed >> (_INCREMENTS * _BITS):
        raise FrameRefused("the increments carry a multiplier, whose meaning is not published")
    mask = (1 << _BITS) - 1
    increments = [packed >> (index * _BITS) & mask for index in range(_INCREMENTS)]
    at = _time(payload[1:5])
    history: tuple[tuple[datetime, int], ...] = ()
    if profile.history_interval_s is not None:
        # The newest logged volume is that of the last full interval before the time of sending.
        step = timedelta(seconds=profile.history_interval_s)
        newest = datetime.fromtimestamp(at.timestamp() // step.total_seconds() * step.total_seconds(), UTC)
        history = _history(newest - step * _INCREMENTS, step, log_l, increments)
    return _register(log_l + sum(increments), payload[5], at, history, profile)


def _extended(payload: bytes, profile: LorawanProfile) -> Register:
    volume_l, log_l = _number(payload[5:9]), _number(payload[13:17])
    if log_l > volume_l:
        raise FrameRefused(f"its logged volume of {log_l} L is above its register of {volume_l} L")
    increments = [_number(payload[place : place + 2]) for place in range(17, _EXTENDED, 2)]
    history: tuple[tuple[datetime, int], ...] = ()
    if profile.history_interval_s is not None and log_l + sum(increments) <= volume_l:
        step = timedelta(seconds=profile.history_interval_s)
        history = _history(_time(payload[9:13]), step, log_l, increments)
    return _register(volume_l, payload[4], _time(payload[:4]), history, profile)


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _time(data: bytes) -> datetime:
    return datetime.fromtimestamp(_number(data), UTC)


def _history(
    first: datetime, step: timedelta, log_l: int, increments: Iterable[int]
) -> tuple[tuple[datetime, int], ...]:
    registers = accumulate(increments, initial=log_l)
    return tuple((first + step * index, register) for index, register in enumerate(registers))


def _register(
    volume_l: int,
    status: int,
    at: datetime,
    history: tuple[tuple[datetime, int], ...],
    profile: LorawanProfile,
) -> Register:
    return Register(
        volume_steps=volume_l,
        step_ml=STEP_ML,
        meter_time=at.replace(tzinfo=None).isoformat(),
        flags=_status_flags(status) | flags_of(profile.status, status),
        history=history,
    )


def _status_flags(status: int) -> WaterFlag:
    """Bits 2 to 4 are those of EN 13757-3; bits 5 to 7 tell, together, what a temporary error is about."""
    flags = WaterFlag(0)
    if status & 0x04:
        flags |= WaterFlag.LOW_BATTERY
    if status & 0x08:
        flags |= WaterFlag.METER_FAULT
    if status & 0x60 == 0x60:
        flags |= WaterFlag.BACKFLOW
    if status & 0xA0 == 0xA0:
        flags |= WaterFlag.BURST
    if status & 0xE0 == 0x20:
        flags |= WaterFlag.LEAK
    if status & 0xF0 == 0x10:
        flags |= WaterFlag.DRY
    return flags
