"""One noise measuring device: its source, its meter and what it hands to the outbox."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from contract.clock import Clock
from contract.messages import EdgeEvent, Reading
from edge.sound.history import History
from edge.sound.instrument import Instrument
from edge.sound.live import LiveListener
from edge.sound.meter import SoundLevelMeter
from edge.sound.pacing import wait_until
from edge.sound.settings import (
    FileSource,
    NoiseSettings,
    PortAudioSource,
    SceneSource,
    SourceSettings,
    StdinSource,
)
from edge.sound.sources.base import Gap, Source
from edge.sound.sources.scene import SceneSound
from edge.sound.sources.scene_file import check_scene
from edge.sound.sources.sound_file import SoundFileSource
from edge.sound.sources.stdin import PcmSource

log = structlog.get_logger(__name__)

_LATE_MOST_S: Final = 5.0
"""A scene that falls behind the clock by more than this much wall time leaves out what it could not measure."""
_LATE_FOR_HISTORY_S: Final = 0.3
_WARM_S: Final = 6
"""As long as the slowest time weighting takes to settle."""
_NO_RAIL: Final = math.inf
"""A scene is mixed in numbers that no converter limits."""


class Station:
    """Measures until its source ends or it is told to stop. ``folder`` is the agent's: calibration and state.

    Raises ``ValueError`` that names what cannot be used: a recording, a scene, a calibration, a response, PortAudio.
    """

    def __init__(
        self, settings: NoiseSettings, clock: Clock, emit: Callable[[Reading], object], folder: Path
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._emit = emit
        self._folder = folder
        self._instrument = Instrument(settings, folder)
        _check_source(settings.source)
        self._scene_late_s = 0.0

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
        rate_hz = source.rate_hz
        meter = self._instrument.meter(
            rate_hz, source.clip, start=math.floor(start), first_offset=round((start % 1) * rate_hz)
        )
        recorder = self._instrument.recorder(rate_hz, self._emit)
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
            Path(settings.path), seed=settings.seed, full_scale_db=self._instrument.full_scale_db
        )
        t = math.ceil(self._now())
        history = self._history(settings, scene, t, stop)
        meter = self._warm_meter(scene, t)
        recorder = self._instrument.recorder(scene.rate_hz, self._emit)
        while wait_until(t + 1, self._clock, stop):
            self._scene_late_s = (self._now() - (t + 1)) / self._clock.speed
            if self._scene_late_s > _LATE_MOST_S:
                now = math.floor(self._now())
                recorder.seconds(meter.skip((now - t) * scene.rate_hz))
                recorder.event("gap", t, {"reason": "the machine is too slow", "lost_ms": (now - t) * 1000})
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
            may_work=lambda: self._scene_late_s < _LATE_FOR_HISTORY_S,
        )  # fmt: skip
        if history.done:
            return None
        meter = self._warm_meter(scene, history.next)
        recorder = self._instrument.recorder(scene.rate_hz, self._emit)

        def work() -> None:
            try:
                history.run(scene, meter, recorder, stop)
            except Exception:  # the present goes on without its past; the next start tries again
                log.exception("history failed")

        thread = threading.Thread(target=work, name="source-noise-history", daemon=True)
        thread.start()
        return thread

    def _warm_meter(self, scene: SceneSound, t: int) -> SoundLevelMeter:
        """Return a meter that has heard the seconds before ``t``: a restart goes on as if there had been none."""
        meter = self._instrument.meter(scene.rate_hz, _NO_RAIL, start=t - _WARM_S)
        for before in range(t - _WARM_S, t):
            meter.push(scene.second(before))
        return meter

    # -- a microphone ------------------------------------------------------------------------------------------

    def _listen(self, source: Source, settle_s: float, stop: threading.Event) -> None:
        rate_hz, instrument = source.rate_hz, self._instrument
        self._tell_calibration()
        make_meter = partial(instrument.meter, rate_hz, source.clip, settle_s=settle_s)
        LiveListener(rate_hz, make_meter, instrument.recorder(rate_hz, self._emit), self._now).run(
            source, stop
        )

    def _tell_calibration(self) -> None:
        """Tell the server which calibration is in force; told again after a restart, it is the same event."""
        calibration = self._instrument.calibration
        if calibration is None:
            log.warning("never calibrated", full_scale_db=self._instrument.full_scale_db)
            return
        detail: dict[str, str | int | float | bool | list[float | None] | None] = {
            "action": "set",
            "full_scale_db": calibration.full_scale_db,
            "calibrator_db": calibration.calibrator_db,
            "calibrator": calibration.calibrator,
            "drift_db": calibration.drift_db,
            "forced": calibration.forced,
        }
        at = calibration.calibrated_at.astimezone(UTC)
        self._emit(EdgeEvent(seq=0, t=at, kind="calibration", detail=detail))

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _check_source(settings: SourceSettings) -> None:
    """Raise :class:`SourceError` for what no waiting would mend."""
    if isinstance(settings, FileSource):
        SoundFileSource(Path(settings.path), channel=settings.channel)
    elif isinstance(settings, SceneSource):
        check_scene(Path(settings.path))
    elif isinstance(settings, PortAudioSource):
        from edge.sound.sources.portaudio import load_portaudio

        load_portaudio()


def _live_source(settings: PortAudioSource | StdinSource, now: Callable[[], float]) -> Source:
    if isinstance(settings, StdinSource):
        return PcmSource(settings, now=now)
    from edge.sound.sources.portaudio import PortAudioInput

    return PortAudioInput(settings, now=now)
