"""The instrument as configured: sensitivity, limits and microphone correction, the same for every meter made of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import structlog

from contract.messages import Reading
from edge.health import clock_synced
from edge.sound.calibration import Calibration, find_calibration
from edge.sound.meter import Limits, SecondLengths, SoundLevelMeter
from edge.sound.recorder import Recorder
from edge.sound.response import Correction, design_correction, read_response
from edge.sound.settings import NoiseSettings, PortAudioSource, StdinSource
from edge.sound.validity import DeviceFlags

log = structlog.get_logger(__name__)


class Instrument:
    """Makes meters and recorders. Raises ``ValueError`` for a calibration or response file that cannot be used."""

    def __init__(self, settings: NoiseSettings, folder: Path) -> None:
        self.settings = settings
        self.live = isinstance(settings.source, PortAudioSource | StdinSource)
        self.calibration = self._found_calibration(folder)
        self.full_scale_db = (
            settings.full_scale_db if self.calibration is None else self.calibration.full_scale_db
        )
        self._response = None if settings.response is None else read_response(Path(settings.response))
        self._corrections: dict[int, Correction] = {}

    def meter(
        self, rate_hz: int, clip: float, *, start: int = 0, first_offset: int = 0,
        lengths: SecondLengths | None = None, settle_s: float = 0.0,
    ) -> SoundLevelMeter:  # fmt: skip
        """Return a new meter for a source's rate and the magnitude of its rail."""
        settings, correction = self.settings, self.correction(rate_hz)
        return SoundLevelMeter(
            rate_hz, full_scale_db=self.full_scale_db, start=start, first_offset=first_offset, lengths=lengths,
            limits=Limits(clip, settings.overload_db, settings.self_noise_db), settle_s=settle_s,
            correction=None if correction is None else correction.sections,
        )  # fmt: skip

    def recorder(self, rate_hz: int, emit: Callable[[Reading], object]) -> Recorder:
        """Return a new recorder."""
        settings, correction = self.settings, self.correction(rate_hz)
        flags = DeviceFlags(self.calibration, settings.calibration_interval_days, clock_synced)
        return Recorder(
            emit, rate_hz=rate_hz, full_scale_db=self.full_scale_db, flags=flags if self.live else None,
            spectrum=settings.spectrum, offsets_db=None if correction is None else correction.offsets_db,
            events=settings.events, watch_calibrator=self.live,
        )  # fmt: skip

    def correction(self, rate_hz: int) -> Correction | None:
        """Return the microphone's correction at a rate, if there is anything to correct."""
        if self._response is None:
            return None
        if rate_hz not in self._corrections:
            found = design_correction(*self._response, rate_hz)
            log.info("microphone response corrected", rate_hz=rate_hz, worst_db=round(found.worst_db, 2))
            self._corrections[rate_hz] = found
        found = self._corrections[rate_hz]
        return found if len(found.sections) else None

    def _found_calibration(self, folder: Path) -> Calibration | None:
        """Return the calibration. A recording or a scene has none of its own unless one is configured."""
        if not self.live and self.settings.calibration is None:
            return None
        return find_calibration(self.settings.calibration, folder)
