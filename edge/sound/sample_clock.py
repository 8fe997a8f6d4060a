"""The sample clock, disciplined against the system's time.

A sound card's crystal is off by some tens of parts per million: seconds a day. Seconds are therefore cut where the
system's time says that they begin, as seen through many blocks: a straight line through the earliest arrivals of
every ten seconds. A step of the system's time moves that line; the cuts follow it by making seconds a little longer
or shorter, so that none is missing and none comes twice. Levels do not care: they are averages over the samples.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

WINDOW_S: Final = 10.0
"""Of the blocks of this time, the one that came earliest counts: arrivals are late by chance, never early."""
STEP_S: Final = 0.1
"""A larger disagreement is a step of the system's time."""
FOLLOWED_S: Final = 10.0
"""A step up to this is followed by longer or shorter seconds; a larger one needs a new beginning."""
STRETCH: Final = 0.02
"""How much longer or shorter a second may be."""
_LIKE_S: Final = 0.05
_MOST_PPM: Final = 1000.0
_POINTS: Final = 360
_LEARNED_S: Final = 1.0
"""As far the line may be off at the start and after a gap."""
_UNSTEADY: Final = 6
_SETTLED: Final = 60


@dataclass(frozen=True, slots=True)
class ClockStep:
    """The system's time was set. ``step_s`` is by how much; ``followed`` whether the seconds go on without a break."""

    step_s: float
    followed: bool


class SampleClock:
    """Says how many samples each second has. Times are in seconds since 1970, samples count from the start."""

    def __init__(self, rate_hz: int, first_sample_at: float) -> None:
        self._rate = rate_hz
        self._period = 1.0 / rate_hz
        self._origin_n = 0.0
        self._origin_t = first_sample_at
        self._n = 0
        self._points: deque[tuple[int, float]] = deque(maxlen=_POINTS)
        self._window_ends: float | None = None
        self._earliest: tuple[int, float] | None = None
        self._suspect_s: float | None = None
        self._unsteady = 0
        self._cut = 0
        self._free = False

    @property
    def drift_ppm(self) -> float:
        """By how much the sample clock is fast against the system's time, parts per million."""
        return (1 / (self._period * self._rate) - 1) * 1e6

    @property
    def settled(self) -> bool:
        """Whether the drift is known to about a part per million."""
        return len(self._points) >= _SETTLED

    @property
    def disciplined(self) -> bool:
        """Whether it follows the system's time; not where samples come faster or slower than real time."""
        return not self._free

    def time_of(self, sample: float) -> float:
        """Return when a sample was taken."""
        return self._origin_t + (sample - self._origin_n) * self._period

    def observe(self, samples: int, captured_at: float) -> ClockStep | None:
        """Take note of a block of samples whose end was captured at a time; return a step that it reveals."""
        self._n += samples
        if self._window_ends is None:
            self._window_ends = captured_at + WINDOW_S
        early = captured_at - self.time_of(self._n)
        if self._earliest is None or early < self._earliest[1] - self.time_of(self._earliest[0]):
            self._earliest = (self._n, captured_at)
        if captured_at < self._window_ends and captured_at > self._window_ends - 2 * WINDOW_S:
            return None
        point, self._earliest = self._earliest, None
        self._window_ends = captured_at + WINDOW_S
        return self._take(point)

    def skip(self, samples: int) -> None:
        """Take note of samples that were lost. Their number is an estimate: where the line lies is learned anew."""
        self._n += samples
        self._points.clear()
        self._earliest, self._window_ends, self._suspect_s = None, None, None

    def second_length(self, t: int) -> int:
        """Return the samples of the second that starts at ``t``: those up to where ``t`` + 1 is, within limits."""
        if self._free:
            self._cut += self._rate
            return self._rate
        wanted = self._origin_n + (t + 1 - self._origin_t) / self._period - self._cut
        least, most = round(self._rate * (1 - STRETCH)), round(self._rate * (1 + STRETCH))
        length = max(least, min(most, round(wanted)))
        self._cut += length
        return length

    def begin_second(self, samples_before: int) -> None:
        """Say at which sample (negative before the first) the next second to be cut begins."""
        self._cut = samples_before

    # -- inside ------------------------------------------------------------------------------------------------

    def _take(self, point: tuple[int, float]) -> ClockStep | None:
        if self._free:
            return None
        residual = point[1] - self.time_of(point[0])
        allowed = STEP_S if self._points else _LEARNED_S
        if abs(residual) <= allowed:
            self._suspect_s, self._unsteady = None, 0
            self._points.append(point)
            self._fit()
            return None
        if self._suspect_s is None or abs(residual - self._suspect_s) > _LIKE_S:
            self._suspect_s = residual  # seen once: a late window may be chance
            self._unsteady += 1
            self._free = self._unsteady >= _UNSTEADY
            return None
        self._suspect_s, self._unsteady = None, 0
        self._points = deque(((n, t + residual) for n, t in self._points), maxlen=_POINTS)
        self._origin_t += residual
        self._points.append(point)
        return ClockStep(residual, abs(residual) <= FOLLOWED_S)

    def _fit(self) -> None:
        """Lay the line through the points: through the latest alone until there are enough for a slope."""
        count = len(self._points)
        mean_n = sum(n for n, _ in self._points) / count
        mean_t = sum(t for _, t in self._points) / count
        if count >= 6:
            spread = sum((n - mean_n) ** 2 for n, _ in self._points)
            slope = sum((n - mean_n) * (t - mean_t) for n, t in self._points) / spread
            if abs(slope * self._rate - 1) * 1e6 <= _MOST_PPM:
                self._period = slope
        self._origin_n, self._origin_t = mean_n, mean_t
