"""Has a district's inflow risen, by day and by night alike? One judgement a day, from the days up to it.

A leak adds the same flow to every hour. People's use, irrigation and filling of basins add it to some hours. So a day
is told by its *uplift*: how far the lower third of its hours lies above what these hours usually have. The season is
taken out by comparing with the three weeks before, the weekday by what this weekday's uplift has been of late, and how
large a rise must be follows from how large rises have been in this district before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from analysis.leaks.dayprofiles import Day

Floats = npt.NDArray[np.float64]

_WINDOWS_D: Final = (2, 3, 5, 7)
_KEEP_DAYS: Final = 60
_WEEKDAYS_KEPT: Final = 8
_WEEKDAYS_PRIOR: Final = 3.0
_PARTS: Final = 6
_RATIOS_KEPT: Final = 120
_RATIO_PRIOR_DAYS: Final = 20.0
_MOST_RATIO: Final = 5.0
_CALM_DAYS: Final = 3
_SHOWN_DAYS: Final = 7
_SPARSE: Final = 1.7
"""A window with more than 0.7 missing days for each known one says too little."""
_EVERY_DAY: Final = 3
"""In windows of up to three days the lowest day counts, in longer ones the middle."""


class UpliftConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a rise is told from what is usual; every flow is a share of the mean inflow.

    ``quantile`` of a day's hours make its uplift. ``baseline_d`` days are what is usual, at least ``least_baseline_d``.
    A rise must be ``certainty`` times what rises usually are, and at least ``least_share``; no day of it may have less
    than ``steady`` of it, and no four hours of the day less than ``even`` of it. Before there is a history, a rise by
    chance is thought to be ``ratio`` times the days' scatter, which is at least ``floor_share``. A rise is over when
    three days in a row have less than ``over`` of it; one that has stayed for ``accepted_d`` days counts as usual.
    """

    quantile: float = 0.3
    baseline_d: int = 21
    least_baseline_d: int = 6
    certainty: float = 2.5
    least_share: float = 0.025
    steady: float = 0.4
    even: float = 0.2
    ratio: float = 1.2
    floor_share: float = 0.008
    over: float = 0.5
    accepted_d: int = 90


class Rise(NamedTuple):
    """A rise that is held to be real: over ``days`` days by ``flow_lph``, ``certainty`` times what is usual."""

    certainty: float
    days: int
    flow_lph: float
    first: Day
    """The first day of it."""


class _Look(NamedTuple):
    """The newest days against the baseline before them: the rise that is judged, its middle, both L/h, and how."""

    rise_lph: float
    size_lph: float
    ratio: float
    is_real: bool
    """Whether it is there on every day of the window, and in every four hours of the day."""


class _Days(NamedTuple):
    """Days as arrays, oldest first: ordinal, weekday (shape: days), flow by hour (shape: days, 24)."""

    ordinals: npt.NDArray[np.int_]
    weekdays: npt.NDArray[np.int_]
    lph: Floats

    def part(self, start: int, stop: int) -> _Days:
        return _Days(self.ordinals[start:stop], self.weekdays[start:stop], self.lph[start:stop])

    def profile(self) -> Floats:
        """Return the usual flow of each hour."""
        return np.median(self.lph, axis=0)


class Risen(msgspec.Struct):
    """A rise that is going on: since which day, from which profile and by how much."""

    since: int
    usual_lph: list[float]
    centre_lph: float
    flow_lph: float
    last: list[float] = []
    """Uplift of the days since it was told, newest last."""

    def present_lph(self) -> float:
        """Return how large the rise is now: the middle of the last days, or what was told where there are none."""
        return float(np.median(self.last)) if len(self.last) >= _CALM_DAYS else self.flow_lph


class UpliftWatch(msgspec.Struct):
    """State of the judgement of one district."""

    days: list[Day] = []
    segment: int = 0
    """Ordinal of the first day that may count as usual."""
    ratios: dict[str, list[float]] = {}
    weekdays: list[list[float]] = msgspec.field(default_factory=lambda: [[] for _ in range(7)])
    risen: Risen | None = None

    def add(self, day: Day, config: UpliftConfig) -> Rise | None:
        """Take a day and return the rise that it makes sure of, if any."""
        self.days = [one for one in self.days if one.ordinal > day.ordinal - _KEEP_DAYS] + [day]
        days = self._arrays()
        self._note_weekday(days, config)
        self._see_whether_over(days, config)
        rise = self._judge(days, config)
        if rise is not None:
            self._take_up(days, rise, config)
        return rise

    def night_lph(self, count: int) -> tuple[float, float]:
        """Return the lowest hour's flow of the newest ``count`` days, and of the days before: medians."""
        lowest = self._arrays().lph.min(axis=1)
        return float(np.median(lowest[-count:])), float(np.median(lowest[:-count]))

    def mean_lph(self) -> float:
        """Return the mean inflow of the days that are kept."""
        return float(np.mean(self._arrays().lph))

    def _arrays(self) -> _Days:
        return _Days(
            np.array([day.ordinal for day in self.days]), np.array([day.weekday for day in self.days]),
            np.array([day.lph for day in self.days]),
        )  # fmt: skip

    def _usual(self, days: _Days, stop: int, config: UpliftConfig) -> _Days | None:
        """Return the days that count as usual for the one at index ``stop``; ``None`` where they are too few."""
        first = max(self.segment, int(days.ordinals[stop]) - 2 * config.baseline_d)
        start = max(int(np.searchsorted(days.ordinals, first)), stop - config.baseline_d)
        return days.part(start, stop) if stop - start >= config.least_baseline_d else None

    def _judge(self, days: _Days, config: UpliftConfig) -> Rise | None:
        best: Rise | None = None
        mean = float(days.lph.mean())
        for count in _WINDOWS_D:
            look = self._look(days, count, mean, config)
            if look is None:
                continue
            certainty = look.ratio / self._usual_ratio(count, config)
            if look.ratio > 0.0:
                kept = self.ratios.get(str(count), [])
                self.ratios[str(count)] = [*kept[-_RATIOS_KEPT + 1 :], look.ratio]
            is_large = look.rise_lph >= config.least_share * mean and certainty > config.certainty
            if is_large and look.is_real and (best is None or certainty > best.certainty):
                best = Rise(certainty, count, look.size_lph, self.days[-count])
        return best

    def _look(self, days: _Days, count: int, mean: float, config: UpliftConfig) -> _Look | None:
        stop = len(days.ordinals) - count
        if stop < 0 or days.ordinals[-1] - days.ordinals[stop] > _SPARSE * count:
            return None
        usual = self._usual(days, stop, config)
        if usual is None:
            return None
        profile, window = usual.profile(), days.part(stop, stop + count)
        before, now = self._uplifts(usual, profile, config), self._uplifts(window, profile, config)
        centre = float(np.median(before))
        scatter = 1.4826 * float(np.median(np.abs(before - centre)))
        low, high, middle = now.min() - centre, now.max() - centre, float(np.median(now)) - centre
        rise = middle if count > _EVERY_DAY else float(low if low > 0.0 else min(high, 0.0))
        parts = np.median(window.lph - profile, axis=0).reshape(_PARTS, -1).mean(axis=1)
        is_real = bool(low > config.steady * rise and parts.min() >= config.even * rise)
        return _Look(rise, middle, rise / float(np.hypot(scatter, config.floor_share * mean)), is_real)

    def _usual_ratio(self, count: int, config: UpliftConfig) -> float:
        """Return how large a rise over so many days usually is, in units of the days' scatter."""
        seen = np.minimum(np.array(self.ratios.get(str(count), [])), _MOST_RATIO)
        expected = config.ratio * (0.6 + 0.4 / count)
        total = _RATIO_PRIOR_DAYS * expected**2 + float((seen**2).sum())
        return float(np.sqrt(total / (_RATIO_PRIOR_DAYS + len(seen))))

    def _uplifts(self, days: _Days, profile: Floats, config: UpliftConfig) -> Floats:
        return _raw_uplifts(days, profile, config) - self._weekday_effects()[days.weekdays]

    def _weekday_effects(self) -> Floats:
        effects = np.array([_shrunk(seen) for seen in self.weekdays])
        return effects - np.median(effects)

    def _note_weekday(self, days: _Days, config: UpliftConfig) -> None:
        usual = self._usual(days, len(days.ordinals) - 1, config)
        if usual is None:
            return
        profile = usual.profile()
        today = float(_raw_uplifts(days.part(-1, len(days.ordinals)), profile, config)[0])
        effect = today - float(np.median(_raw_uplifts(usual, profile, config)))
        kept = self.weekdays[self.days[-1].weekday]
        self.weekdays[self.days[-1].weekday] = [*kept[-_WEEKDAYS_KEPT + 1 :], effect]

    def _take_up(self, days: _Days, rise: Rise, config: UpliftConfig) -> None:
        usual = self._usual(days, len(days.ordinals) - rise.days, config)
        if self.risen is not None:
            self.risen.flow_lph += rise.flow_lph
        elif usual is not None:
            profile = usual.profile()
            centre = float(np.median(self._uplifts(usual, profile, config)))
            self.risen = Risen(rise.first.ordinal, profile.tolist(), centre, rise.flow_lph)
        self.segment = rise.first.ordinal

    def _see_whether_over(self, days: _Days, config: UpliftConfig) -> None:
        risen = self.risen
        if risen is None:
            return
        newest = days.part(-1, len(days.ordinals))
        uplift = float(self._uplifts(newest, np.array(risen.usual_lph), config)[0]) - risen.centre_lph
        risen.last = [*risen.last[-_SHOWN_DAYS + 1 :], uplift]
        calm = risen.last[-_CALM_DAYS:]
        if len(calm) == _CALM_DAYS and max(calm) < config.over * risen.flow_lph:
            self.risen, self.segment = None, int(days.ordinals[-_CALM_DAYS])
        elif days.ordinals[-1] - risen.since >= config.accepted_d:
            self.risen = None


def _raw_uplifts(days: _Days, profile: Floats, config: UpliftConfig) -> Floats:
    index = round(config.quantile * 23)
    return np.partition(days.lph - profile, index, axis=1)[:, index]


def _shrunk(seen: Sequence[float]) -> float:
    return float(np.median(seen)) * len(seen) / (len(seen) + _WEEKDAYS_PRIOR) if seen else 0.0
