"""The streaming sound level meter: samples in, one set of levels a second out (IEC 61672-1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from contract.flags import NoiseFlag
from edge.sound.block_filter import BLOCK, sum_of_squares
from edge.sound.chain import F_TIME_S, S_TIME_S, Weighted, WeightingChain
from edge.sound.curves import FloatArray
from edge.sound.levels import level_db, levels_db
from edge.sound.second import MeteredSecond, laf_step

_OVERLOAD, _UNDER_RANGE, _SETTLING, _GAP, _STUCK = (
    flag.value
    for flag in (
        NoiseFlag.OVERLOAD, NoiseFlag.UNDER_RANGE, NoiseFlag.SETTLING, NoiseFlag.GAP, NoiseFlag.STUCK,
    )
)  # fmt: skip
_SETTLED_TIME_CONSTANTS: Final = 5


@dataclass(frozen=True, slots=True)
class Limits:
    """Where the chain is linear. Levels in dB re 20 µPa; ``clip`` is a sample's magnitude, full scale 1."""

    clip: float = 32767 / 32768
    overload_db: float | None = None
    """Highest peak level (Z) that the microphone takes linearly."""
    self_noise_db: float | None = None
    """A-weighted level of the microphone's own noise."""


class SecondLengths(Protocol):
    """Says how many samples make the second that begins now; live sources follow the system's time with it."""

    def __call__(self, t: int) -> int:
        """Return the samples in the second that starts at ``t``, in seconds since 1970."""
        ...


@dataclass(slots=True)
class _Sums:
    """What has been measured of a second so far."""

    samples: int = 0
    a: float = 0.0
    c: float = 0.0
    z_sum: float = 0.0
    z: float = 0.0
    highest: float = -np.inf
    lowest: float = np.inf
    c_peak: float = 0.0
    f_max: float = 0.0
    f_min: float = np.inf
    f_last: float = 0.0
    s_max: float = -np.inf
    s_min: float = np.inf
    settling: bool = False
    began_anew: bool = False
    laf: list[FloatArray] = field(default_factory=list)
    sound: list[FloatArray] = field(default_factory=list)


class SoundLevelMeter:
    """Measures a stream of mono samples (full scale 1) in blocks of any size; how it is cut does not matter.

    ``full_scale_db`` is the level of an RMS of 1. ``start`` is the time of the second in which the first sample
    lies, in seconds since 1970, and ``first_offset`` how many samples of it had passed. ``settle_s`` is for how
    long a source rings after it was opened: seconds that touch it are flagged. ``correction`` are second-order
    sections that make up for the microphone's frequency response. ``a_only`` measures A-weighted levels alone.
    """

    def __init__(
        self, rate_hz: int, *, full_scale_db: float = 120.0, start: int = 0, first_offset: int = 0,
        lengths: SecondLengths | None = None, limits: Limits = Limits(), settle_s: float = 0.0,
        correction: FloatArray | None = None, a_only: bool = False,
    ) -> None:  # fmt: skip
        self._rate = rate_hz
        self._full_scale_db = full_scale_db
        self._lengths = lengths or (lambda _t: rate_hz)
        self._limits = limits
        self._a_only = a_only
        self._chain = WeightingChain(rate_hz, correction=correction, a_only=a_only)
        self._f_settled = round(_SETTLED_TIME_CONSTANTS * F_TIME_S * rate_hz)
        self._s_settled = round(_SETTLED_TIME_CONSTANTS * S_TIME_S * rate_hz)
        self._settle = round(settle_s * rate_hz)
        self._laf_blocks = laf_step(rate_hz) // BLOCK
        self._t = start
        self._length = self._lengths(start)
        self._passed = first_offset
        self._sums = _Sums()
        self._since_open = 0
        self._anew = True
        self._pending: list[FloatArray] = []
        self._pending_samples = 0

    @property
    def rate_hz(self) -> int:
        """Sampling rate."""
        return self._rate

    @property
    def t(self) -> int:
        """Start of the second that is being measured, in seconds since 1970."""
        return self._t

    def push(self, samples: npt.ArrayLike) -> list[MeteredSecond]:
        """Take samples in; return the seconds that they complete."""
        block = np.ascontiguousarray(samples, dtype=np.float64)
        if np.ndim(samples) != 1:
            raise ValueError(f"one channel is wanted, got an array of {np.ndim(samples)} dimensions")
        done = list(self._take(block))
        if self._pending:
            self._pending[-1] = self._pending[-1].copy()  # the caller may use its array again
        return done

    def skip(self, samples: int) -> list[MeteredSecond]:
        """Take note that so many samples were lost; return the seconds that end by it and were measured in part."""
        done: list[MeteredSecond] = []
        self._drain()
        while samples > 0:
            passed = min(samples, self._length - self._passed)
            self._passed += passed
            samples -= passed
            if self._passed == self._length:
                done.extend(self._close_second())
        return done

    def restart(self, *, held: bool) -> None:
        """Begin anew after a gap: presets the weightings; unless ``held``, the time weightings start at nothing."""
        self._drain()
        self._anew = True
        if held:
            self._chain.restart_filters()
        else:
            self._chain.reset()
            self._since_open = 0

    def finish(self) -> list[MeteredSecond]:
        """Return the last, partial second if any of it was measured."""
        self._drain()
        self._passed = self._length
        return list(self._close_second())

    # -- inside ------------------------------------------------------------------------------------------------

    def _take(self, block: FloatArray) -> Iterator[MeteredSecond]:
        while len(block):
            missing = self._length - self._passed - self._pending_samples
            part, block = block[:missing], block[missing:]
            self._pending.append(part)
            self._pending_samples += len(part)
            if len(part) == missing:
                self._drain()
                yield from self._close_second()

    def _drain(self) -> None:
        if not self._pending_samples:
            return
        samples = self._pending[0] if len(self._pending) == 1 else np.concatenate(self._pending)
        self._pending, self._pending_samples = [], 0
        samples = self._checked(samples)
        self._measure(samples, self._chain.process(samples))
        self._passed += len(samples)

    def _checked(self, samples: FloatArray) -> FloatArray:
        """Note the extremes. A sample that is not a number would never leave the filters: it counts as overload."""
        highest, lowest = float(samples.max()), float(samples.min())
        if not np.isfinite(highest - lowest):
            samples = np.where(np.isfinite(samples), samples, 0.0)
            highest, lowest = np.inf, -np.inf
        self._sums.highest = max(self._sums.highest, highest)
        self._sums.lowest = min(self._sums.lowest, lowest)
        return samples

    def _measure(self, samples: FloatArray, weighted: Weighted) -> None:
        sums = self._sums
        n = len(samples)
        sums.samples += n
        sums.sound.append(samples)
        sums.began_anew |= self._anew
        self._anew = False
        sums.a += weighted.a_energy
        highest, lowest = weighted.f.extremes()
        ends = weighted.f.at_block_ends
        unsettled = max(0, self._f_settled - self._since_open)
        if unsettled:
            lowest = float(weighted.f.values()[unsettled:].min(initial=np.inf))
            ends = ends[unsettled // BLOCK :]
        sums.f_max, sums.f_min, sums.f_last = (
            max(sums.f_max, highest),
            min(sums.f_min, lowest),
            weighted.f.last,
        )
        sums.laf.append(ends[self._laf_blocks - 1 :: self._laf_blocks])
        if weighted.c is not None:
            sums.z_sum += float(weighted.z.sum())
            sums.z += sum_of_squares(weighted.z)
            sums.c += sum_of_squares(weighted.c)
            sums.c_peak = max(sums.c_peak, float(weighted.c.max()), -float(weighted.c.min()))
        if weighted.s is not None and self._since_open >= self._s_settled:
            highest, lowest = weighted.s.extremes()
            sums.s_max, sums.s_min = max(sums.s_max, highest), min(sums.s_min, lowest)
        sums.settling |= self._since_open < self._settle
        self._since_open += n

    def _close_second(self) -> Iterator[MeteredSecond]:
        if self._sums.samples * 1000 >= self._length:
            yield self._second(self._sums)
        self._t += 1
        self._length = self._lengths(self._t)
        self._passed = 0
        self._sums = _Sums()

    def _second(self, sums: _Sums) -> MeteredSecond:
        n = sums.samples
        laeq = self._db(sums.a / n)
        variance = sums.z / n - (sums.z_sum / n) ** 2
        laf = sums.laf[0] if len(sums.laf) == 1 else np.concatenate([np.empty(0), *sums.laf])
        f_min = sums.f_min if np.isfinite(sums.f_min) else sums.f_last
        has_s = np.isfinite(sums.s_min)
        return MeteredSecond(
            t=self._t,
            measured_ms=max(1, min(1000, round(1000 * n / self._length))),
            flags=self._flags(sums, laeq),
            laeq_db=laeq,
            lceq_db=None if self._a_only else self._db(sums.c / n),
            lzeq_db=None if self._a_only else self._db(variance if variance > 1e-15 * sums.z / n else 0.0),
            lafmax_db=self._db(sums.f_max),
            lafmin_db=self._db(f_min),
            laf_db=self._db(sums.f_last),
            lasmax_db=self._db(sums.s_max) if has_s else None,
            lasmin_db=self._db(sums.s_min) if has_s else None,
            lcpeak_db=None if self._a_only else self._db(sums.c_peak**2),
            lae_db=self._db(sums.a / self._rate),
            laf_samples_db=levels_db(laf, self._full_scale_db),
            sound=sums.sound,
            began_anew=sums.began_anew,
        )

    def _db(self, mean_square: float) -> float:
        return level_db(mean_square, self._full_scale_db)

    def _flags(self, sums: _Sums, laeq_db: float) -> NoiseFlag:
        limits = self._limits
        peak = max(sums.highest, -sums.lowest)
        flags = 0
        if peak >= limits.clip or (
            limits.overload_db is not None and self._db(peak * peak) > limits.overload_db
        ):
            flags |= _OVERLOAD
        if limits.self_noise_db is not None and laeq_db < limits.self_noise_db:
            flags |= _UNDER_RANGE
        if sums.highest == sums.lowest:
            flags |= _STUCK
        if sums.settling:
            flags |= _SETTLING
        if sums.samples < self._length:
            flags |= _GAP
        return NoiseFlag(flags)
