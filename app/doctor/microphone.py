"""Checks of what a device hears with: library, microphone, calibration. They listen for two seconds."""

from __future__ import annotations

import re
import threading
import time
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Final

import numpy as np

from app.doctor.finding import Finding, error, ok, warning
from edge.sound.calibration import CalibrationError, find_calibration, overdue
from edge.sound.settings import FileSource, NoiseSettings, PortAudioSource, SceneSource
from edge.sound.sources.base import Gap, SourceError
from edge.sound.sources.portaudio import PortAudioInput, input_devices, load_portaudio, pick_device

LISTEN_S: Final = 2.0
_NO_ANSWER_S: Final = 10.0
_CODE: Final = re.compile(r"PaErrorCode (-\d+)")
_UNAVAILABLE: Final = "-9985"
"""``paDeviceUnavailable`` of ``portaudio.h``: another process has the device."""
_LIST: Final = "`quietwater edge devices` lists what there is"


def microphone(settings: NoiseSettings, data: Path, now: datetime) -> list[Finding]:
    """Say whether what ``settings`` name can be heard with, and how far its levels can be trusted."""
    source = settings.source
    if isinstance(source, PortAudioSource):
        return [_sound_device(source), _calibration(settings, data, now)]
    if isinstance(source, FileSource | SceneSource):
        return [_file(Path(source.path))]
    return []


def _file(path: Path) -> Finding:
    try:
        with path.open("rb"):
            return ok("sound_file", f"{path} can be read")
    except OSError as problem:
        return error("sound_file_missing", f"{path}: {problem.strerror}", "correct noise.source.path")


def _sound_device(source: PortAudioSource) -> Finding:
    try:
        sd = load_portaudio()
    except SourceError as problem:
        return error("sound_library_missing", str(problem), "sudo apt-get install libportaudio2")
    devices = input_devices(sd)
    if not devices:
        cure = "plug it in; `arecord -l` shows what the kernel knows; the service's user must be of the group audio"
        return error("microphone_missing", "there is no sound device that can listen", cure)
    try:
        pick_device(source.device, devices)
    except SourceError as problem:
        return error(
            "microphone_missing", str(problem), f"plug it in, or correct noise.source.device; {_LIST}"
        )
    return _listen(source, sd)


def _listen(source: PortAudioSource, sd: ModuleType) -> Finding:
    """Open the device as the agent does, and look at what comes."""
    stop, began = threading.Event(), time.monotonic()
    lowest, highest, heard_s = np.inf, -np.inf, 0.0
    stream = PortAudioInput(source, sd=sd).stream(stop)
    try:
        for part in stream:
            if isinstance(part, Gap):
                if part.lost:
                    return _refused(part.reason)
            elif part.samples.size:
                heard_s += part.samples.size / source.rate_hz
                lowest = min(lowest, float(part.samples.min()))
                highest = max(highest, float(part.samples.max()))
            if heard_s >= LISTEN_S or time.monotonic() - began > _NO_ANSWER_S:
                break
    finally:
        stop.set()
        stream.close()  # type: ignore[attr-defined]  it is a generator
    if highest <= lowest:
        cure = "take the mute off (alsamixer, F4), check the plug and, for a MEMS microphone, its wiring"
        return error("microphone_mute", f"not one sample changed in {heard_s:.1f} s", cure)
    return ok("microphone", f"sound comes, {source.rate_hz} Hz")


def _refused(reason: str) -> Finding:
    code = _CODE.search(reason)
    if code is not None and code[1] == _UNAVAILABLE:
        cure = "right if the agent runs; else end the process that `sudo fuser -v /dev/snd/*` names"
        return warning("microphone_held", reason, cure)
    return error(
        "microphone_refused",
        reason,
        f"set rate_hz, channels and format of noise.source to what the device can; {_LIST}",
    )


def _calibration(settings: NoiseSettings, data: Path, now: datetime) -> Finding:
    calibrate = "put a calibrator onto the microphone: quietwater edge calibrate"
    try:
        found = find_calibration(settings.calibration, data)
    except CalibrationError as problem:
        return error("calibration_unreadable", str(problem), calibrate)
    if found is None:
        text = f"never calibrated: levels rest on full_scale_db = {settings.full_scale_db:g}"
        return warning("calibration_missing", text, calibrate)
    age_days = (now - found.calibrated_at).days
    if overdue(found, now, settings.calibration_interval_days):
        text = f"calibrated {age_days} days ago, more than {settings.calibration_interval_days}"
        return warning("calibration_overdue", text, calibrate)
    return ok("calibration", f"calibrated {age_days} days ago")
