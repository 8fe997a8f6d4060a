"""A scene as sound: any second of it can be made at any time, so that a restart goes on exactly where it was."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from edge.sound.curves import FloatArray
from edge.sound.levels import energy_mean_db
from edge.sound.meter import SoundLevelMeter
from edge.sound.second import MeteredSecond
from edge.sound.sources.scene_file import Event, Layer, load_scene, seconds_of_day
from edge.sound.sources.sound_file import read_mono

_METERED_AT_DB: Final = 120.0
_DAYS_KEPT: Final = 4


@dataclass(frozen=True, slots=True)
class _Occurrence:
    """One sounding of an event: its first sample's number since 1970 and its gain."""

    first: int
    gain: float


class SceneSound:
    """Renders a scene for a level of full scale. The same scene, seed and second always give the same samples."""

    def __init__(self, path: Path, *, seed: int, full_scale_db: float) -> None:
        scene = load_scene(path)
        self._zone = ZoneInfo(scene.zone)
        self._rate = scene.rate_hz
        clips = _Clips(path.parent, scene.rate_hz, full_scale_db)
        total_seed = scene.seed + seed
        self._layers = [
            _LayerSound(layer, clips, f"{total_seed}/layer/{number}", self._zone)
            for number, layer in enumerate(scene.layers)
        ]
        self._events = [
            _EventSound(event, clips, f"{total_seed}/event/{number}", self._zone)
            for number, event in enumerate(scene.events)
        ]

    @property
    def rate_hz(self) -> int:
        """Sampling rate."""
        return self._rate

    def second(self, t: int) -> FloatArray:
        """Return the samples of the second that starts at ``t``, in seconds since 1970."""
        mix = np.zeros(self._rate)
        for layer in self._layers:
            layer.add(mix, t)
        for event in self._events:
            event.add(mix, t)
        return mix


class _LayerSound:
    def __init__(self, layer: Layer, clips: _Clips, key: str, zone: ZoneInfo) -> None:
        self._layer = layer
        self._zone = zone
        self._key = key
        self._rate = clips.rate_hz
        clip = clips.looped(layer.clip, layer.crossfade_s)
        self._loop = clip.samples
        self._gain = 10 ** ((layer.laeq_db - clips.full_scale_db - clip.laeq_dbfs) / 20)
        self._shift = random.Random(key).randrange(len(self._loop))  # noqa: S311  # a seeded arrangement

    def add(self, mix: FloatArray, t: int) -> None:
        one, other = self._gain_at(t), self._gain_at(t + 1)
        if one == other == 0.0:
            return
        rate = self._rate
        ramp = one + (other - one) * (np.arange(rate) / rate) if one != other else one
        mix += _cyclic(self._loop, (t * rate + self._shift) % len(self._loop), rate) * ramp

    def _gain_at(self, t: int) -> float:
        presence = self._presence(t)
        if presence == 0.0:
            return 0.0
        return self._gain * presence * 10 ** (self._wander_db(t) / 20)

    def _wander_db(self, t: int) -> float:
        """Interpolate between random levels at fixed times: smooth, and the same whenever it is asked."""
        layer = self._layer
        if layer.wander_db == 0.0:
            return 0.0
        index, part = divmod(t / layer.wander_s, 1.0)
        weight = part * part * (3 - 2 * part)
        one, other = (_gauss(self._key, int(index) + step) for step in (0, 1))
        # Between two independent values the spread shrinks; the divisor restores the standard deviation.
        return layer.wander_db * ((1 - weight) * one + weight * other) / np.hypot(1 - weight, weight)

    def _presence(self, t: int) -> float:
        layer = self._layer
        if layer.all_day:
            return 1.0
        fade = max(1.0, layer.fade_min * 60)
        present = 0.0
        for midnight, day in _midnights(t, self._zone):
            if layer.begins_on(day):
                inside = min(t - (midnight + layer.starts_s), midnight + layer.ends_s - t)
                present = max(present, min(1.0, max(0.0, inside / fade + 0.5)))
        return 0.0 if present == 0.0 else float(np.sin(present * np.pi / 2))


class _EventSound:
    def __init__(self, event: Event, clips: _Clips, key: str, zone: ZoneInfo) -> None:
        self._event = event
        self._key = key
        self._zone = zone
        self._rate = clips.rate_hz
        clip = clips.single(event.clip, event.fade_s)
        self._clip = clip.samples
        if event.lafmax_db is not None:
            self._gain_db = event.lafmax_db - clips.full_scale_db - clip.lafmax_dbfs
        else:
            self._gain_db = (event.laeq_db or 0.0) - clips.full_scale_db - clip.laeq_dbfs
        self._days: OrderedDict[tuple[int, date], list[_Occurrence]] = OrderedDict()

    def add(self, mix: FloatArray, t: int) -> None:
        start, end = t * self._rate, (t + 1) * self._rate
        length = len(self._clip)
        for one in self._near(t):
            if one.first < end and one.first + length > start:
                lo, hi = max(start, one.first), min(end, one.first + length)
                mix[lo - start : hi - start] += one.gain * self._clip[lo - one.first : hi - one.first]

    def _near(self, t: int) -> Iterator[_Occurrence]:
        for midnight, day in _midnights(t, self._zone):
            key = (midnight, day)
            if key not in self._days:
                self._days[key] = list(self._of_day(midnight, day))
                while len(self._days) > _DAYS_KEPT:
                    self._days.popitem(last=False)
            yield from self._days[key]

    def _of_day(self, midnight: int, day: date) -> Iterator[_Occurrence]:
        """Arrange the soundings that begin within the window which begins on a day."""
        event = self._event
        if not event.begins_on(day):
            return
        chance = random.Random(f"{self._key}/{day.isoformat()}")  # noqa: S311  # a seeded arrangement
        for start_s in self._starts(chance):
            at = (midnight + start_s) * self._rate
            for _ in range(chance.randint(*event.repeats)):
                gain_db = self._gain_db + chance.uniform(-event.spread_db, event.spread_db)
                yield _Occurrence(round(at), 10 ** (gain_db / 20))
                at += len(self._clip) + event.pause_s * self._rate

    def _starts(self, chance: random.Random) -> Iterator[float]:
        event = self._event
        if event.every_min is None:
            yield from (float(seconds_of_day(text)) for text in event.at)
            return
        shortest, longest = (60 * minutes for minutes in event.every_min)
        at = event.starts_s + chance.uniform(0, longest)
        while at < event.ends_s:
            yield at
            at += chance.uniform(shortest, longest)


@dataclass(frozen=True, slots=True)
class _Clip:
    """A recording at a scene's rate, made ready to be played, and its levels by the real meter, dB re full scale."""

    samples: FloatArray
    laeq_dbfs: float
    lafmax_dbfs: float


@dataclass(frozen=True, slots=True)
class _Clips:
    """Where a scene's recordings are and at what rate they are wanted."""

    folder: Path
    rate_hz: int
    full_scale_db: float

    def looped(self, name: str, crossfade_s: float) -> _Clip:
        return _looped(self.folder / name, self.rate_hz, round(crossfade_s * self.rate_hz))

    def single(self, name: str, fade_s: float) -> _Clip:
        return _single(self.folder / name, self.rate_hz, round(fade_s * self.rate_hz))


@lru_cache(maxsize=256)
def _looped(path: Path, rate_hz: int, crossfade: int) -> _Clip:
    """Return a seamless loop; several stations of a process play the same ones."""
    loop = _seamless(_samples(path, rate_hz), crossfade)
    heard = _metered(np.concatenate([loop, loop]), rate_hz)[len(loop) // rate_hz :]
    return _finished(loop, heard)


@lru_cache(maxsize=256)
def _single(path: Path, rate_hz: int, fade: int) -> _Clip:
    clip = _faded(_samples(path, rate_hz), fade)
    return _finished(clip, _metered(clip, rate_hz))


def _finished(samples: FloatArray, heard: list[MeteredSecond]) -> _Clip:
    samples.setflags(write=False)
    laeq = energy_mean_db([s.laeq_db for s in heard], [s.measured_ms for s in heard])
    return _Clip(samples, laeq - _METERED_AT_DB, max(s.lafmax_db for s in heard) - _METERED_AT_DB)


def _metered(samples: FloatArray, rate_hz: int) -> list[MeteredSecond]:
    meter = SoundLevelMeter(rate_hz, full_scale_db=_METERED_AT_DB, a_only=True)
    return meter.push(samples) + meter.finish()


def _samples(path: Path, rate_hz: int) -> FloatArray:
    samples, own_rate_hz = read_mono(path)
    if own_rate_hz != rate_hz:
        from scipy.signal import resample_poly  # heavy, and not needed where rates agree

        samples = np.asarray(resample_poly(samples, rate_hz, own_rate_hz), dtype=np.float64)
    return samples - samples.mean()


def _midnights(t: int, zone: ZoneInfo) -> Iterator[tuple[int, date]]:
    """Yield the local midnights (in seconds since 1970) of the day of ``t``, the one before and the one after."""
    today = datetime.fromtimestamp(t, UTC).astimezone(zone).date()
    for step in (-1, 0, 1):
        day = today + timedelta(days=step)
        yield int(datetime.combine(day, time(), zone).timestamp()), day


def _gauss(key: str, index: int) -> float:
    return random.Random(f"{key}/{index}").gauss(0, 1)  # noqa: S311  # a seeded arrangement


def _cyclic(loop: FloatArray, first: int, count: int) -> FloatArray:
    if first + count <= len(loop):
        return loop[first : first + count]
    return np.take(loop, np.arange(first, first + count), mode="wrap")


def _seamless(clip: FloatArray, crossfade: int) -> FloatArray:
    """Return a loop of a clip whose end is blended into its start with constant power."""
    crossfade = min(crossfade, len(clip) // 2)
    angle = np.linspace(0, np.pi / 2, crossfade, endpoint=False)
    loop = clip[: len(clip) - crossfade].copy()
    loop[:crossfade] = clip[:crossfade] * np.sin(angle) + clip[len(clip) - crossfade :] * np.cos(angle)
    return loop


def _faded(clip: FloatArray, fade: int) -> FloatArray:
    fade = min(fade, len(clip) // 2)
    if not fade:
        return clip
    faded = clip.copy()
    ramp = np.arange(fade) / fade
    faded[:fade] *= ramp
    faded[-fade:] *= ramp[::-1]
    return faded
