"""Measuring a live source: seconds cut by a disciplined clock, gaps counted, an absent microphone waited for."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from edge.sound.meter import SecondLengths, SoundLevelMeter
from edge.sound.recorder import Recorder
from edge.sound.sample_clock import SampleClock
from edge.sound.second import MeteredSecond
from edge.sound.sources.base import Gap, Sound, Source
from edge.sound.wiring import HALF_ZERO_WARNING, half_zero

log = structlog.get_logger(__name__)

_HELD_S: Final = 1.0
"""Across a gap up to this the time weightings hold their value."""
_JITTER_S: Final = 0.02
_NEW_BEGINNING_S: Final = 86_400.0
_GAP_EVENT_EVERY_S: Final = 60.0
_SPANS: Final = 64


class MeterMaker(Protocol):
    """Makes a meter that starts at a second, so many samples into it."""

    def __call__(self, *, start: int, first_offset: int, lengths: SecondLengths) -> SoundLevelMeter:
        """Return the meter."""
        ...


class LiveListener:
    """Takes the blocks and gaps of a live source in. ``now`` tells the time in seconds since 1970."""

    def __init__(
        self, rate_hz: int, make_meter: MeterMaker, recorder: Recorder, now: Callable[[], float]
    ) -> None:
        self._rate = rate_hz
        self._make_meter = make_meter
        self._recorder = recorder
        self._now = now
        self._meter: SoundLevelMeter | None = None
        self._clock = SampleClock(rate_hz, 0.0)
        self._samples = 0
        self._gap: Gap | None = None
        self._lost_since: float | None = None
        self._sent = _SentSeconds()
        self._tally = _GapTally(recorder)
        self._checked_wiring = False
        self._told_drift = False

    def run(self, source: Source, stop: threading.Event) -> None:
        """Listen until the source ends or ``stop`` is set."""
        for item in source.stream(stop):
            if isinstance(item, Gap):
                self._note_gap(item)
            else:
                self._take(item)
        if self._meter is not None:
            self._hand_over(self._meter.finish())
        self._tally.flush(self._now())
        self._recorder.finish()

    # -- inside ------------------------------------------------------------------------------------------------

    def _note_gap(self, gap: Gap) -> None:
        if self._gap is None or gap.lost:
            self._gap = gap
        if gap.lost and self._lost_since is None:
            self._lost_since = self._now()
            log.warning("sound source lost", reason=gap.reason)
            self._recorder.event("source_lost", self._lost_since, {"reason": gap.reason})

    def _take(self, sound: Sound) -> None:
        ends = sound.captured_at if sound.captured_at is not None else self._now()
        begins = ends - len(sound.samples) / self._rate
        if self._meter is None:
            self._begin(begins)
        elif self._gap is not None:
            self._bridge(self._gap, begins)
        self._gap = None
        if self._lost_since is not None:
            log.info("sound source back", after_s=round(begins - self._lost_since, 1))
            self._recorder.event("source_back", begins, {"after_s": round(begins - self._lost_since, 1)})
            self._lost_since = None
        self._check_wiring(sound)
        self._discipline(len(sound.samples), ends)
        assert self._meter is not None  # made above
        self._hand_over(self._meter.push(sound.samples))
        self._samples += len(sound.samples)

    def _begin(self, begins: float) -> None:
        start = math.floor(begins)
        offset = round((begins - start) * self._rate)
        self._clock = SampleClock(self._rate, begins)
        self._clock.begin_second(-offset)
        self._samples = 0
        self._meter = self._make_meter(start=start, first_offset=offset, lengths=self._clock.second_length)

    def _bridge(self, gap: Gap, begins: float) -> None:
        """Leave out what was lost: as the source says, or as the clock tells."""
        assert self._meter is not None  # checked by the caller
        late_s = begins - self._clock.time_of(self._samples)
        if abs(late_s) > _NEW_BEGINNING_S or (gap.lost and late_s < -_HELD_S):
            self._start_over(begins)
            return
        lost = gap.samples if gap.samples is not None else round(max(0.0, late_s - _JITTER_S) * self._rate)
        self._hand_over(self._meter.skip(lost))
        self._samples += lost
        self._clock.skip(lost)
        self._meter.restart(held=not gap.lost and lost <= _HELD_S * self._rate)
        if not gap.lost:
            self._tally.add(begins, gap.reason, lost / self._rate)

    def _start_over(self, begins: float) -> None:
        if self._meter is not None:
            self._hand_over(self._meter.finish())
        self._sent.begin_span()
        self._begin(begins)

    def _hand_over(self, seconds: list[MeteredSecond]) -> None:
        self._recorder.seconds(second for second in seconds if self._sent.is_new(second.t))

    def _discipline(self, samples: int, ends: float) -> None:
        step = self._clock.observe(samples, ends)
        if not self._told_drift and self._clock.settled:
            self._told_drift = True
            log.info("sample clock measured", drift_ppm=round(self._clock.drift_ppm, 1))
        if step is None:
            return
        log.warning("system time was set", step_s=round(step.step_s, 3), followed=step.followed)
        detail = {"step_s": round(step.step_s, 3), "drift_ppm": round(self._clock.drift_ppm, 1)}
        self._recorder.event("clock_step", ends, {**detail, "followed": step.followed})
        if not step.followed:
            self._start_over(ends - samples / self._rate)

    def _check_wiring(self, sound: Sound) -> None:
        if not self._checked_wiring and sound.samples.any():
            self._checked_wiring = True
            if half_zero(sound.samples):
                log.warning("wiring fault", cause=HALF_ZERO_WARNING)


class _SentSeconds:
    """Which seconds have been sent: after the system's time was set back, none is sent a second time."""

    def __init__(self) -> None:
        self._spans: deque[tuple[int, int]] = deque(maxlen=_SPANS)
        self._first: int | None = None
        self._last = 0

    def begin_span(self) -> None:
        if self._first is not None:
            self._spans.append((self._first, self._last))
        self._first = None

    def is_new(self, t: int) -> bool:
        if any(first <= t <= last for first, last in self._spans):
            return False
        if self._first is None:
            self._first = t
        self._last = t
        return True


class _GapTally:
    """Tells of gaps: the first at once, later ones together once a minute."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._told_at = -math.inf
        self._count = 0
        self._lost_s = 0.0
        self._reason = ""

    def add(self, at: float, reason: str, lost_s: float) -> None:
        self._count += 1
        self._lost_s += lost_s
        self._reason = reason
        if at - self._told_at >= _GAP_EVENT_EVERY_S:
            self.flush(at)

    def flush(self, at: float) -> None:
        if not self._count:
            return
        detail = {"reason": self._reason, "count": self._count, "lost_ms": round(self._lost_s * 1000)}
        self._recorder.event("gap", at, {**detail})
        self._told_at, self._count, self._lost_s = at, 0, 0.0
