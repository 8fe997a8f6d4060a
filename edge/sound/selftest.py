"""The selftest: the standards' tables, fed as sound through the very chain that measures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from contract.flags import NoiseFlag
from edge.sound import iec
from edge.sound.curves import FloatArray, a_db, c_db, nominal_exact_hz, z_db
from edge.sound.levels import energy_mean_db
from edge.sound.meter import Limits, SoundLevelMeter
from edge.sound.octaves import LOWEST_BAND, ThirdOctaves, highest_band
from edge.sound.second import MeteredSecond, laf_step

FULL_SCALE_DB: Final = 120.0
_REFERENCE: Final = 0.1
"""Amplitude of the steady tones: 97 dB."""
_F_TIME_S, _S_TIME_S = 0.125, 1.0


@dataclass(frozen=True, slots=True)
class Check:
    """One row of a table: deviation from the design goal, its limits, and what is left to the nearer one."""

    clause: str
    item: str
    goal_db: float
    deviation_db: float
    upper_db: float
    lower_db: float

    @property
    def margin_db(self) -> float:
        """What is left to the nearer limit; negative outside."""
        return min(self.upper_db - self.deviation_db, self.deviation_db - self.lower_db)

    @property
    def passed(self) -> bool:
        """Whether it is within class 1."""
        return bool(self.margin_db >= 0)


def run_selftest(rate_hz: int) -> Iterator[Check]:
    """Yield every check at a sampling rate, table by table."""
    for table in (_weightings, _at_1k, _tonebursts, _decays, _peaks, _linearity, _overload, _bands):
        yield from table(rate_hz)


# -- signals ---------------------------------------------------------------------------------------------------


def _tone(rate_hz: int, hz: float, seconds: float, amplitude: float = _REFERENCE) -> FloatArray:
    return amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)


def _meter(rate_hz: int) -> SoundLevelMeter:
    return SoundLevelMeter(rate_hz, full_scale_db=FULL_SCALE_DB)


def _measured(rate_hz: int, samples: FloatArray) -> list[MeteredSecond]:
    meter = _meter(rate_hz)
    return meter.push(samples) + meter.finish()


def _level_db(amplitude: float) -> float:
    return FULL_SCALE_DB + 20 * math.log10(amplitude) - 10 * math.log10(2)


# -- IEC 61672-1 -----------------------------------------------------------------------------------------------


def _weightings(rate_hz: int) -> Iterator[Check]:
    for band, (nominal, upper, lower) in iec.WEIGHTING_LIMITS.items():
        hz = nominal_exact_hz(band)
        if hz > 0.45 * rate_hz:
            continue
        # The first second, in which filters settle, is left out. At low frequencies a second ends within a period,
        # whose part then shows in the level: the mean over more of them does not have it.
        seconds = _measured(rate_hz, _tone(rate_hz, hz, 2 if hz > 2000 else 21))[1:]
        for name, curve, levels in (
            ("A", a_db, [s.laeq_db for s in seconds]),
            ("C", c_db, [s.lceq_db or 0.0 for s in seconds]),
            ("Z", z_db, [s.lzeq_db or 0.0 for s in seconds]),
        ):
            goal = float(curve(hz))
            deviation = energy_mean_db(levels) - _level_db(_REFERENCE) - goal
            yield Check("IEC 61672-1, 5.5", f"{name} at {nominal} Hz", goal, deviation, upper, lower)


def _at_1k(rate_hz: int) -> Iterator[Check]:
    second = _measured(rate_hz, _tone(rate_hz, 1000.0, 12))[-1]
    for name, level, limit, clause in (
        ("LCeq - LAeq", (second.lceq_db or 0.0) - second.laeq_db, iec.C_Z_AT_1K_DB, "5.5"),
        ("LZeq - LAeq", (second.lzeq_db or 0.0) - second.laeq_db, iec.C_Z_AT_1K_DB, "5.5"),
        ("LAS - LAF", (second.lasmax_db or 0.0) - second.laf_db, iec.S_LEQ_AT_1K_DB, "5.8"),
        ("LAeq - LAF", second.laeq_db - second.laf_db, iec.S_LEQ_AT_1K_DB, "5.8"),
        ("LAE - LAeq, 1 s", second.lae_db - second.laeq_db, iec.S_LEQ_AT_1K_DB, "5.9"),
    ):  # fmt: skip
        yield Check(f"IEC 61672-1, {clause}", f"{name} at 1 kHz", 0.0, level, limit, -limit)


def _tonebursts(rate_hz: int) -> Iterator[Check]:
    hz = _burst_hz(rate_hz)
    steady = _measured(rate_hz, _tone(rate_hz, hz, 3))[-1].laeq_db
    for duration_ms, (f_limits, s_limits) in iec.TONEBURST_LIMITS.items():
        length = duration_ms / 1000
        burst = np.zeros(8 * rate_hz)
        tone = _tone(rate_hz, hz, length)
        burst[5 * rate_hz : 5 * rate_hz + len(tone)] = tone
        seconds = _measured(rate_hz, burst)
        exposure = energy_mean_db([s.laeq_db for s in seconds]) + 10 * math.log10(len(seconds))
        rows = [
            ("LAFmax", max(s.lafmax_db for s in seconds), _burst_goal(length, _F_TIME_S), f_limits),
            ("LAE", exposure, 10 * math.log10(length), f_limits),
        ]
        if s_limits is not None:
            highest = max(s.lasmax_db for s in seconds if s.lasmax_db is not None)
            rows.append(("LASmax", highest, _burst_goal(length, _S_TIME_S), s_limits))
        for name, level, goal, (upper, lower) in rows:
            item = f"{name} - LA, {hz:g} Hz burst of {duration_ms:g} ms"
            yield Check("IEC 61672-1, 5.9", item, goal, level - steady - goal, upper, lower)


def _burst_hz(rate_hz: int) -> float:
    """Return the tonebursts' frequency; a rate that cannot carry the standard's 4 kHz gets 1 kHz."""
    return iec.TONEBURST_HZ if 0.45 * rate_hz >= iec.TONEBURST_HZ else 1000.0


def _burst_goal(length_s: float, time_constant_s: float) -> float:
    return 10 * math.log10(1 - math.exp(-length_s / time_constant_s))


def _decays(rate_hz: int) -> Iterator[Check]:
    silence = np.zeros(3 * rate_hz)
    seconds = _measured(rate_hz, np.concatenate([_tone(rate_hz, _burst_hz(rate_hz), 8), silence]))
    apart_s = 50 * laf_step(rate_hz) / rate_hz
    f_rate = (seconds[8].laf_samples_db[20] - seconds[8].laf_samples_db[70]) / apart_s
    yield Check("IEC 61672-1, 5.8", "decay of F, dB/s", iec.F_DECAY_DB_PER_S, f_rate - iec.F_DECAY_DB_PER_S,
                *iec.F_DECAY_LIMITS)  # fmt: skip
    s_rate = (seconds[8].lasmin_db or 0.0) - (seconds[9].lasmin_db or 0.0)
    yield Check("IEC 61672-1, 5.8", "decay of S, dB/s", iec.S_DECAY_DB_PER_S, s_rate - iec.S_DECAY_DB_PER_S,
                *iec.S_DECAY_LIMITS)  # fmt: skip


def _peaks(rate_hz: int) -> Iterator[Check]:
    for name, hz, cycles, goal, limit in iec.PEAK_CASES:
        if hz > 0.45 * rate_hz:
            continue
        steady = _measured(rate_hz, _tone(rate_hz, hz, 3))[-1].lceq_db or 0.0
        part = _tone(rate_hz, hz, abs(cycles) / hz) * math.copysign(1, cycles)
        sound = np.zeros(2 * rate_hz)
        sound[rate_hz : rate_hz + len(part)] = part
        peak = max(second.lcpeak_db or 0.0 for second in _measured(rate_hz, sound))
        yield Check(
            "IEC 61672-1, 5.13",
            f"LCpeak - LC, {name} of {hz:g} Hz",
            goal,
            peak - steady - goal,
            limit,
            -limit,
        )


def _linearity(rate_hz: int) -> Iterator[Check]:
    """Run from near full scale down by 110 dB in steps of 10 dB, at the frequencies that periodic tests use."""
    for hz in (31.5, 1000.0, 8000.0):
        if hz > 0.45 * rate_hz:
            continue
        weighting = float(a_db(hz)) if hz != 1000.0 else 0.0
        before: float | None = None
        for down in range(0, 120, 10):
            amplitude = 0.95 * 10 ** (-down / 20)
            deviation = _measured(rate_hz, _tone(rate_hz, hz, 2, amplitude))[-1].laeq_db - _level_db(
                amplitude
            )
            deviation -= weighting
            item = f"linearity at {hz:g} Hz, {_level_db(amplitude):.0f} dB"
            yield Check("IEC 61672-1, 5.6", item, 0.0, deviation, iec.LINEARITY_DB, -iec.LINEARITY_DB)
            if before is not None:
                limit = iec.STEP_LINEARITY_DB
                yield Check("IEC 61672-1, 5.6", item + ", step", 0.0, deviation - before, limit, -limit)
            before = deviation


def _overload(rate_hz: int) -> Iterator[Check]:
    """Find where half cycles of either sign begin to be flagged, to 0.05 dB."""
    onsets = []
    for sign in (1, -1):
        low, high = 0.5, 1.5
        while 20 * math.log10(high / low) > 0.05:
            middle = math.sqrt(low * high)
            half = sign * np.maximum(0.0, _tone(rate_hz, 1000.0, 1, middle))
            meter = SoundLevelMeter(rate_hz, full_scale_db=FULL_SCALE_DB, limits=Limits())
            flagged = NoiseFlag.OVERLOAD in meter.push(np.clip(half, -1.0, Limits().clip))[0].flags
            low, high = (low, middle) if flagged else (middle, high)
        onsets.append(20 * math.log10(high))
    limit = iec.OVERLOAD_SYMMETRY_DB
    yield Check("IEC 61672-1, 5.11", "overload, positive - negative half cycle", 0.0, onsets[0] - onsets[1], limit,
                -limit)  # fmt: skip


# -- IEC 61260-1 -----------------------------------------------------------------------------------------------


def _bands(rate_hz: int) -> Iterator[Check]:
    """Measure each band's relative attenuation at every breakpoint, in the band and on either side, with tones."""
    octaves, clause = ThirdOctaves(rate_hz), "IEC 61260-1, 5.10"
    for band in range(LOWEST_BAND, highest_band(rate_hz) + 1):
        mid = nominal_exact_hz(band)
        reference = _band_level_db(octaves, rate_hz, band, mid)
        deviation = reference - _level_db(_REFERENCE)
        yield Check(clause, f"band {mid:.4g} Hz at its mid", 0.0, deviation, 0.4, -0.4)
        checks = []
        for ratio in _mask_ratios():
            hz = mid * ratio
            if 2.0 <= hz <= 0.49 * rate_hz:
                attenuation = reference - _band_level_db(octaves, rate_hz, band, hz)
                (least,), (most,) = iec.mask_limits(np.array([ratio]))
                item = f"band {mid:.4g} Hz, attenuation at {ratio:.4f} of its mid"
                checks.append(Check(clause, item, 0.0, attenuation, float(most), float(least)))
        yield min(checks, key=lambda check: check.margin_db)


def _mask_ratios() -> list[float]:
    """Return f/fm of all breakpoints but the mid; of the band's edge just inside and just outside."""
    above = [iec.breakpoint_ratio(row[0]) for row in iec.BAND_MASK[1:]]
    above[3] *= 1 - 1e-6
    above[4] *= 1 + 1e-6
    return sorted([*above, *(1 / ratio for ratio in above)])


def _band_level_db(octaves: ThirdOctaves, rate_hz: int, band: int, hz: float) -> float:
    """Return a band's level for a steady tone, once the band has settled."""
    settle_s = 80 / nominal_exact_hz(band)
    listen_s = max(0.1, 300 / hz)
    sound = _tone(rate_hz, hz, settle_s + listen_s)
    split = round(settle_s * rate_hz)
    octaves.restart()
    octaves.push(sound[:split])
    octaves.take()
    octaves.push(sound[split:])
    taken = octaves.take()
    place = band - LOWEST_BAND
    mean = taken.exposure[place] / taken.seconds[place]
    return FULL_SCALE_DB + 10 * math.log10(max(mean, 1e-30))
