"""Readings from the JSON that wmbusmeters prints: one object a telegram, with a unit in each key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from contract.flags import WaterFlag
from edge.water.register import NO_FLAGS, FrameRefused, Register

_STEP_ML: Final = 1000
"""wmbusmeters drops trailing zeros, so that a step finer than this shows in the number alone."""
_FINEST: Final = -6
_FLOWS: Final = ("flow_m3h", "volume_flow_m3h", "current_flow_m3h")
_REVERSE: Final = ("total_backward_m3", "total_backwards_m3", "total_backward_flow_m3")
_CLOCKS: Final = ("meter_datetime", "device_datetime")
_STATUS: Final = {
    "LEAK": WaterFlag.LEAK, "LEAKAGE": WaterFlag.LEAK, "LEAKING": WaterFlag.LEAK, "BURST": WaterFlag.BURST,
    "LEAK_FLOW_LOW": WaterFlag.LEAK, "LEAK_FLOW_HIGH": WaterFlag.LEAK,
    "REVERSE": WaterFlag.BACKFLOW, "REVERSED": WaterFlag.BACKFLOW, "REVERSE_FLOW": WaterFlag.BACKFLOW,
    "BACKFLOW": WaterFlag.BACKFLOW, "DRY": WaterFlag.DRY, "TAMPER": WaterFlag.TAMPER,
    "MANIPULATION": WaterFlag.TAMPER, "MAGNETIC_MANIPULATION": WaterFlag.TAMPER, "REMOVAL": WaterFlag.TAMPER,
    "REMOVAL_DETECTED": WaterFlag.TAMPER, "SABOTAGE": WaterFlag.TAMPER, "LOW_BATTERY": WaterFlag.LOW_BATTERY,
    "BATTERY_LOW": WaterFlag.LOW_BATTERY, "POWER_LOW": WaterFlag.LOW_BATTERY,
    "BATTERY_VOLTAGE_ERROR": WaterFlag.LOW_BATTERY, "PERMANENT_ERROR": WaterFlag.METER_FAULT,
    "TEMPORARY_ERROR": WaterFlag.METER_FAULT, "ERROR": WaterFlag.METER_FAULT,
}  # fmt: skip
"""Words of its ``status`` for what lasts now; what was in a past month is no flag of this reading."""


def parse(line: str) -> Mapping[str, Any] | None:
    """Return the object that a line holds; ``None`` where it is no JSON object."""
    if not line.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(line, parse_float=Decimal, parse_int=Decimal)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def register_of(found: Mapping[str, Any]) -> Register:
    """Return the register in an object of wmbusmeters. Raises :class:`FrameRefused` with the reason."""
    total = found.get("total_m3")
    if not isinstance(total, Decimal) or not total.is_finite():
        raise FrameRefused("wmbusmeters gives no total_m3 for this meter")
    exponent = int(total.normalize().as_tuple().exponent)
    if exponent < _FINEST:
        raise FrameRefused(f"total_m3 {total} is finer than a millilitre")
    step_ml = min(_STEP_ML, 10 ** (exponent - _FINEST))
    reverse = _first(found, _REVERSE)
    return Register(
        volume_steps=int(total * 1_000_000 / step_ml),
        step_ml=step_ml,
        serial=str(found["id"]) if "id" in found else None,
        flow_m3h=_first(found, _FLOWS),
        reverse_steps=None if reverse is None or reverse < 0 else int(reverse * 1_000_000 // step_ml),
        meter_time=_clock(found),
        flags=_flags(str(found.get("status", ""))),
    )


def time_of(found: Mapping[str, Any]) -> datetime | None:
    """Return when the telegram was received (UTC), where the object tells it."""
    try:
        t = datetime.fromisoformat(str(found.get("timestamp")))
    except ValueError:
        return None
    return t if t.tzinfo is not None else None


def _first(found: Mapping[str, Any], keys: tuple[str, ...]) -> Decimal | None:
    values = (found.get(key) for key in keys)
    return next((one for one in values if isinstance(one, Decimal) and one.is_finite()), None)


def _clock(found: Mapping[str, Any]) -> str | None:
    for key in _CLOCKS:
        try:
            return datetime.fromisoformat(str(found.get(key))).replace(tzinfo=None).isoformat()
        except ValueError:
            continue
    return None


def _flags(status: str) -> WaterFlag:
    flags = NO_FLAGS
    for word in status.split():
        flags |= _STATUS.get(word, NO_FLAGS)
    return flags
