"""When a device was last calibrated, and how far it had drifted, as it told in its events. Reads, never writes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from store.registry.models import Device
from store.series.interface import SeriesStore

_REACH: Final = timedelta(days=800)
"""How far back the newest calibration is looked for."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """The newest calibration of a device before a time, as the device told it.

    ``drift_db`` is the change of sensitivity against the one before (``set``) or the deviation of a check.
    """

    t: datetime
    action: str
    drift_db: float | None
    calibrator: str


def newest_calibration(series: SeriesStore, device: Device, end: datetime) -> Calibration | None:
    """Return a noise device's newest calibration before ``end``. Raises ``StoreUnavailable``."""
    if device.kind not in ("noise", "both"):
        return None
    found = series.events(
        end - _REACH, end, site=device.site, device=device.name, kind="calibration", limit=1
    )
    if not found:
        return None
    detail = found[0].detail
    action = str(detail.get("action", "set"))
    drift = detail.get("deviation_db") if action == "check" else detail.get("drift_db")
    told = detail.get("calibrator") or detail.get("calibrator_db") or ""
    return Calibration(
        found[0].t, action, float(drift) if isinstance(drift, int | float) else None, str(told)
    )
