"""Calibrating: recognise the calibrator, wait until it is stable, decide. The decisions are pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import numpy as np

from contract.flags import NoiseFlag
from edge.sound.calibration import Calibration
from edge.sound.levels import energy_mean_db
from edge.sound.second import MeteredSecond
from edge.sound.tone import CALIBRATOR_HZ, Tone, strongest_tone
from edge.sound.wiring import half_zero

LEVELS_DB: Final = (94.0, 114.0)
STABLE_S: Final = 5
"""Seconds over which the level must be stable (IEC 60942)."""
STABLE_DB: Final = 0.1
"""Spread allowed in that time."""
MOST_DRIFT_DB: Final = 1.5
"""A microphone whose sensitivity has changed by more is broken, or the calibrator does not fit."""
_PLAUSIBLE_DB: Final = 10.0
_BLIND: Final = NoiseFlag.OVERLOAD | NoiseFlag.STUCK | NoiseFlag.GAP | NoiseFlag.SETTLING

Waiting = Literal["no_tone", "wrong_frequency", "unusable", "unstable", "more"]


class Refused(ValueError):
    """The calibration is refused; the text names the cause and the cure."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One second at the microphone while the calibrator is waited for. ``level_db`` is with the sensitivity so far."""

    level_db: float
    tone: Tone
    flags: NoiseFlag
    half_zero: bool

    @property
    def is_calibrator(self) -> bool:
        """Whether it may count."""
        return self.tone.is_calibrator and not self.flags & _BLIND


@dataclass(frozen=True, slots=True)
class Steady:
    """A stable calibrator: its mean level with the sensitivity so far."""

    level_db: float
    frequency_hz: float
    seconds: int
    spread_db: float


@dataclass(frozen=True, slots=True)
class Progress:
    """What a second has brought: what is still waited for, or the steady level."""

    heard: Heard
    waiting: Waiting
    stable_s: int
    steady: Steady | None = None


def hear(second: MeteredSecond, rate_hz: int) -> Heard:
    """Look at a second. Of a stereo stream stored as mono, the tone is looked for in the channel that has one."""
    sound = np.concatenate(second.sound)
    halved = half_zero(sound)
    if halved:
        sound = sound[::2] if sound[::2].any() else sound[1::2]
    return Heard(second.laeq_db, strongest_tone(sound, rate_hz), second.flags, halved)


def follow(heard: Iterable[Heard], *, needed_s: int = STABLE_S) -> Iterator[Progress]:
    """Follow seconds until the calibrator has been stable for long enough; the last progress has it."""
    run: list[Heard] = []
    for one in heard:
        if not one.is_calibrator:
            run.clear()
            yield Progress(one, _why_not(one), 0)
            continue
        run.append(one)
        while max(h.level_db for h in run) - min(h.level_db for h in run) > STABLE_DB:
            run.pop(0)
        if len(run) >= needed_s:
            yield Progress(one, "more", len(run), _steady(run[-needed_s:]))
            return
        yield Progress(one, "more" if len(run) > 1 else "unstable", len(run))


def decide(
    steady: Steady, *, full_scale_db: float, level_db: float | None, previous: Calibration | None,
    nominal_known: bool, now: datetime, force: bool,
) -> Calibration:  # fmt: skip
    """Decide on a calibration. ``full_scale_db`` is the sensitivity with which ``steady`` was measured.

    ``level_db`` is the calibrator's level if it was told. ``nominal_known`` says that ``full_scale_db`` is more than
    a default. Raises :class:`Refused` for a level that is neither 94 nor 114 dB and for a drift above 1.5 dB, unless
    ``force``.
    """
    known = previous is not None or nominal_known
    target = level_db if level_db is not None else _nearest(steady.level_db) if known else LEVELS_DB[0]
    off = steady.level_db - target
    if level_db is None and known and abs(off) > _PLAUSIBLE_DB:
        raise Refused(
            f"the tone reads {steady.level_db:.1f} dB, which is near neither 94 nor 114 dB: is the calibrator "
            "fitted right? If its level is another one, say it with --level"
        )
    drift = None if previous is None else (full_scale_db - off) - previous.full_scale_db
    if drift is not None and abs(drift) > MOST_DRIFT_DB and not force:
        raise Refused(
            f"the sensitivity would change by {drift:+.2f} dB since {previous.calibrated_at:%Y-%m-%d}, "  # type: ignore[union-attr]
            f"more than {MOST_DRIFT_DB} dB: check the calibrator's level, its fit and battery, and the microphone; "
            "--force takes it all the same"
        )
    return Calibration(
        full_scale_db=round(full_scale_db - off, 4),
        calibrated_at=now,
        calibrator_db=target,
        frequency_hz=round(steady.frequency_hz, 2),
        level_assumed=level_db is None and not known,
        stable_s=float(steady.seconds),
        spread_db=round(steady.spread_db, 3),
        drift_db=None if drift is None else round(drift, 3),
        previous_at=None if previous is None else previous.calibrated_at,
        forced=force and drift is not None and abs(drift) > MOST_DRIFT_DB,
    )


def not_found(last: Progress | None, needed_s: int) -> Refused:
    """Return the refusal for sound that ended, or a time that ran out, without a stable calibrator."""
    if last is None:
        return Refused("no sound was heard; check the source")
    tone = last.heard.tone
    reasons = {
        "no_tone": f"no calibrator was heard, only noise at {last.heard.level_db:.1f} dB",
        "wrong_frequency": f"a tone of {tone.frequency_hz:.0f} Hz was heard; a calibrator of 1000 Hz is wanted",
        "unusable": "the sound is clipped, constant or interrupted",
        "unstable": f"the level was not stable within {STABLE_DB} dB",
        "more": f"the level was stable for {last.stable_s} s only; {needed_s} s are wanted",
    }
    return Refused(reasons[last.waiting] + ": fit the calibrator tightly, switch it on and try again")


def _why_not(heard: Heard) -> Waiting:
    if heard.flags & _BLIND:
        return "unusable"
    if heard.tone.share >= 0.9 and abs(heard.tone.frequency_hz - CALIBRATOR_HZ) > 1:
        return "wrong_frequency"
    return "no_tone"


def _steady(run: list[Heard]) -> Steady:
    levels = [one.level_db for one in run]
    return Steady(
        level_db=energy_mean_db(levels),
        frequency_hz=float(np.mean([one.tone.frequency_hz for one in run])),
        seconds=len(run),
        spread_db=max(levels) - min(levels),
    )


def _nearest(level_db: float) -> float:
    return min(LEVELS_DB, key=lambda nominal: abs(level_db - nominal))
