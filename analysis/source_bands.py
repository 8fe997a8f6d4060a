"""Octave bands of a source check in a room: sound that a building's structure carries (table 3). Pure.

GB 22337-2008 and GB 12348-2008 limit the octaves 31.5 to 500 Hz in rooms. They are put together from the minutes'
1/3-octave spectra, three bands an octave, and corrected for the background band by band like the level as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from analysis.energy import energy_mean, energy_sum
from analysis.standard_rows import BandLimitRow, CorrectionRow, meets, round_to
from contract.flags import NOISE_EXCLUDED
from store.series.interface import SpectrumMinute

MINUTE: Final = timedelta(minutes=1)
MIDDLE_BANDS: Final = {31.5: 15, 63.0: 18, 125.0: 21, 250.0: 24, 500.0: 27}
"""IEC 61260-1 number of the middle 1/3-octave band of each octave (30 is 1 kHz)."""
BandVerdict = Literal["pass", "fail", "not_usable"]


@dataclass(frozen=True, slots=True)
class BandResult:
    """One octave: levels with the source on and off, corrected, against its limit, dB (unweighted)."""

    centre_hz: float
    on_db: float
    off_db: float
    correction_db: float | None
    result_db: float | None
    limit_db: float
    verdict: BandVerdict


def whole_minutes(
    minutes: Iterable[SpectrumMinute], windows: Sequence[tuple[datetime, datetime]]
) -> list[SpectrumMinute]:
    """Return the valid minutes that lie wholly within one of the windows."""
    return [
        one
        for one in minutes
        if not one.flags & NOISE_EXCLUDED
        and any(start <= one.t and one.t + MINUTE <= end for start, end in windows)
    ]


def octave_db(minutes: Sequence[SpectrumMinute], centre_hz: float) -> float | None:
    """Return the energy mean of an octave over minutes; ``None`` where none of them has all of its three bands."""
    middle = MIDDLE_BANDS[centre_hz]
    levels: list[float] = []
    weights: list[float] = []
    for one in minutes:
        first = middle - 1 - one.first_band
        bands = one.bands_db[first : first + 3] if first >= 0 else ()
        if len(bands) == 3:
            levels.append(energy_sum(bands))
            weights.append(float(one.measured_ms))
    return energy_mean(levels, weights)


def check_bands(
    on: Sequence[SpectrumMinute], off: Sequence[SpectrumMinute], limits: BandLimitRow, table: CorrectionRow
) -> list[BandResult]:
    """Judge each octave that was measured both on and off."""
    results: list[BandResult] = []
    for centre_hz, limit_db in zip(limits.centres_hz, limits.values, strict=True):
        with_source, without = octave_db(on, centre_hz), octave_db(off, centre_hz)
        if with_source is not None and without is not None:
            results.append(_judge(centre_hz, with_source, without, limit_db, limits, table))
    return results


def _judge(
    centre_hz: float, on_db: float, off_db: float, limit_db: float, row: BandLimitRow, table: CorrectionRow
) -> BandResult:
    correction = table.correction(on_db - off_db)
    if correction is None:
        return BandResult(centre_hz, on_db, off_db, None, None, limit_db, "not_usable")
    result = round_to(on_db + correction, row.rounding)
    verdict: BandVerdict = "pass" if meets(result, row.comparator, limit_db) else "fail"
    return BandResult(centre_hz, on_db, off_db, correction, result, limit_db, verdict)
