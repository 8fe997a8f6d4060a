"""One noise measuring device: its source, its meter and what it hands to the outbox."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from contract.clock import Clock
from contract.messages import Reading
from edge.sound.history import History
from edge.sound.meter import Limits, SoundLevelMeter
from edge.sound.pacing import wait_until
from edge.sound.recorder import Recorder
from edge.sound.settings import FileSource, NoiseSettings, PortAudioSource, SceneSource, StdinSource
from edge.sound.sources.base import Gap, Source
from edge.sound.sources.scene import SceneSound
from edge.sound.sources.sound_file import SoundFileSource
from edge.sound.sources.stdin import PcmSource

log = structlog.get_logger(__name__)

_LATE_MOST_S: Final = 5.0
"""A scene that falls behind the clock by more than this much wall time leaves out what it could not measure."""
_LATE_FOR_HISTORY_S: Final = 0.3


class Station:
    """Measures until its source ends or it is told to stop."""

    def __init__(
        self, settings: NoiseSettings, clock: Clock, emit: Callable[[Reading], object], folder: Path
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._emit = emit
        self._folder = folder
        self._live_late_s = 0.0

    def run(self, stop: threading.Event) -> None:
        """Measure. Raises :class:`SourceError` when the source cannot be used."""
        source = self._settings.source
        if isinstance(source, SceneSource):
            self._play_scene(source, stop)
        elif isinstance(source, FileSource):
            self._play_file(source, stop)
        else:
            self._listen(_live_source(source, self._now), source.settle_s, stop)

    # -- a recording -------------------------------------------------------------------------------------------

    def _play_file(self, settings: FileSource, stop: threading.Event) -> None:
        source = SoundFileSource(
            Path(settings.path), channel=settings.channel, loop=settings.loop,
            deinterleave=settings.deinterleave,
        )  # fmt: skip
        start = math.ceil(self._now()) if settings.start_at is None else settings.start_at.timestamp()
        offset = round((start % 1) * source.rate_hz)
        meter = self._meter(source.rate_hz, source.clip, start=math.floor(start), first_offset=offset)
        recorder = self._recorder(source.rate_hz)
        for sound in source.stream(stop):
            if isinstance(sound, Gap):
                continue
            recorder.seconds(meter.push(sound.samples))
            if settings.pace == "real" and not wait_until(meter.t, self._clock, stop):
                break
        recorder.finish()

    # -- a scene -----------------------------------------------------------------------------------------------

    def _play_scene(self, settings: SceneSource, stop: threading.Event) -> None:
        scene = SceneSound(
            Path(settings.path), seed=settings.seed, full_scale_db=self._settings.full_scale_db
        )
        t = math.ceil(self._now())
        history = self._history(settings, scene, t, stop)
        meter = self._meter(scene.rate_hz, 1.0, start=t)
        recorder = self._recorder(scene.rate_hz)
        while wait_until(t + 1, self._clock, stop):
            late_s = (self._now() - (t + 1)) / self._clock.speed
            self._live_late_s = late_s
            if late_s > _LATE_MOST_S:
                now = math.floor(self._now())
                recorder.seconds(meter.skip((now - t) * scene.rate_hz))
                recorder.event("gap", t, {"reason": "the machine is too slow", "seconds": now - t})
                meter.restart(held=False)
                t = now
                continue
            recorder.seconds(meter.push(scene.second(t)))
            t += 1
        recorder.finish()
        if history is not None:
            history.join(timeout=5.0)

    def _history(
        self, settings: SceneSource, scene: SceneSound, now: int, stop: threading.Event
    ) -> threading.Thread | None:
        if settings.history_h <= 0:
            return None
        history = History(
            self._folder, now=now, hours=settings.history_h,
            may_work=lambda: self._live_late_s < _LATE_FOR_HISTORY_S,
        )  # fmt: skip
        if history.done:
            return None
        meter = self._meter(scene.rate_hz, 1.0, start=history.next)

        def work() -> None:
            try:
                history.run(scene, meter, self._recorder(scene.rate_hz), stop)
            except Exception:  # the present goes on without its past; the next start tries again
                log.exception("history failed")

        thread = threading.Thread(target=work, name="source-noise-history", daemon=True)
        thread.start()
        return thread

    # -- a microphone ------------------------------------------------------------------------------------------

    def _listen(self, source: Source, settle_s: float, stop: threading.Event) -> None:
        recorder = self._recorder(source.rate_hz)
        meter: SoundLevelMeter | None = None
        lost_since: float | None = None
        for item in source.stream(stop):
            if isinstance(item, Gap):
                if meter is not None:
                    recorder.seconds(meter.finish())
                    meter = None
                if lost_since is None:
                    lost_since = self._now()
                    log.warning("sound interrupted", reason=item.reason)
                    kind = "source_lost" if item.lost else "gap"
                    recorder.event(kind, lost_since, {"reason": item.reason})
                continue
            if meter is None:
                began = (item.captured_at or self._now()) - len(item.samples) / source.rate_hz
                offset = round((began % 1) * source.rate_hz)
                meter = self._meter(
                    source.rate_hz,
                    source.clip,
                    start=math.floor(began),
                    first_offset=offset,
                    settle_s=settle_s,
                )
                if lost_since is not None:
                    recorder.event("source_back", began, {"after_s": round(began - lost_since, 1)})
                    lost_since = None
            recorder.seconds(meter.push(item.samples))
        recorder.finish()

    # -- common to all -----------------------------------------------------------------------------------------

    def _meter(
        self, rate_hz: int, clip: float, *, start: int, first_offset: int = 0, settle_s: float = 0.0
    ) -> SoundLevelMeter:
        settings = self._settings
        limits = Limits(clip=clip, overload_db=settings.overload_db, self_noise_db=settings.self_noise_db)
        return SoundLevelMeter(
            rate_hz, full_scale_db=settings.full_scale_db, start=start, first_offset=first_offset,
            limits=limits, settle_s=settle_s,
        )  # fmt: skip

    def _recorder(self, rate_hz: int) -> Recorder:
        settings = self._settings
        return Recorder(
            self._emit, full_scale_db=settings.full_scale_db,
            spectrum_rate_hz=rate_hz if settings.spectrum else None, events=settings.events,
        )  # fmt: skip

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _live_source(settings: PortAudioSource | StdinSource, now: Callable[[], float]) -> Source:
    if isinstance(settings, StdinSource):
        return PcmSource(settings, now=now)
    from edge.sound.sources.portaudio import PortAudioInput

    return PortAudioInput(settings, now=now)
