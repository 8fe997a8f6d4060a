"""Every quantity that is measured, stored, shown or sent: one table. A new quantity is a new row here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Averaging = Literal["energy", "counter", "mean", "none"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """One quantity. ``key`` ends with the unit; ``lowest``/``highest`` are the plausible range."""

    key: str
    unit: str
    averaging: Averaging
    lowest: float
    highest: float
    zh: str
    en: str
    hj212: str | None = None
    decimals: int = 1


def _level(
    key: str, zh: str, en: str, *, averaging: Averaging = "none", hj212: str | None = None
) -> Quantity:
    return Quantity(key, "dB", averaging, -50.0, 200.0, zh, en, hj212)


_ROWS: Final = (
    _level("laeq_db", "等效连续A声级 LAeq", "Equivalent level LAeq", averaging="energy", hj212="Leq"),
    _level("lceq_db", "等效连续C声级 LCeq", "Equivalent level LCeq", averaging="energy"),
    _level("lzeq_db", "等效连续Z声级 LZeq", "Equivalent level LZeq", averaging="energy"),
    _level("lafmax_db", "最大声级 LAFmax", "Maximum level LAFmax", hj212="LMx"),
    _level("lafmin_db", "最小声级 LAFmin", "Minimum level LAFmin", hj212="LMn"),
    _level("lasmax_db", "慢档最大声级 LASmax", "Maximum level LASmax"),
    _level("lasmin_db", "慢档最小声级 LASmin", "Minimum level LASmin"),
    _level("lcpeak_db", "C计权峰值声级 LCpeak", "Peak level LCpeak"),
    _level("lae_db", "声暴露级 LAE", "Sound exposure level LAE"),
    _level("laf_db", "瞬时A声级 LAF", "Level LAF", hj212="LA"),
    _level("l5_db", "L5", "L5", hj212="L5"),
    _level("l10_db", "L10", "L10", hj212="L10"),
    _level("l50_db", "L50", "L50", hj212="L50"),
    _level("l90_db", "L90", "L90", hj212="L90"),
    _level("l95_db", "L95", "L95", hj212="L95"),
    _level("ld_db", "昼间等效声级 Ld", "Day level Ld", averaging="energy", hj212="Ld"),
    _level("ln_db", "夜间等效声级 Ln", "Night level Ln", averaging="energy", hj212="Ln"),
    Quantity("volume_l", "L", "counter", 0.0, 1e12, "用水量", "Volume", decimals=0),
    Quantity("flow_m3h", "m³/h", "mean", -1e4, 1e4, "流量", "Flow", decimals=3),
    Quantity("flow_lph", "L/h", "mean", -1e7, 1e7, "流量", "Flow", decimals=1),
)

QUANTITIES: Final[dict[str, Quantity]] = {row.key: row for row in _ROWS}
