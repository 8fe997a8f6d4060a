"""Microphones over real ALSA, and what the doctor says of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import tomli_w

from app.doctor import microphone
from edge.sound.calibration import FILE_NAME, Calibration, save_calibration
from edge.sound.settings import FileSource, NoiseSettings
from tests.edge.sound.alsa import alsa_microphone

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def _found(folder: Path, environment: dict[str, str], **source: object) -> dict[str, dict[str, str]]:
    """Return what the command finds of a device with this source, by key."""
    config = {
        "site": "yard", "device": "gate", "data": str(folder), "mqtt": {"url": "mqtt://127.0.0.1:9"},
        "noise": {"source": {"type": "portaudio", "format": "s16", **source}},
    }  # fmt: skip
    (folder / "edge.toml").write_text(tomli_w.dumps(config))
    done = subprocess.run(
        [sys.executable, "-m", "app", "doctor", "--json", "--config", str(folder / "edge.toml")],
        env=environment, capture_output=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr  # the broker at least is not there
    return {one["key"]: one for one in json.loads(done.stdout)}


@pytest.mark.system
@pytest.mark.parametrize(("amplitude", "key"), [(3000.0, "microphone"), (0.0, "microphone_mute")])
def test_it_listens(tmp_path: Path, amplitude: float, key: str) -> None:
    with alsa_microphone(tmp_path, amplitude=amplitude) as environment:
        found = _found(tmp_path, environment, device="qwmic")
    assert {one for one in found if one.startswith(("microphone", "sound_"))} == {key}
    assert "calibration_missing" in found


@pytest.mark.system
def test_a_name_that_no_microphone_has(tmp_path: Path) -> None:
    with alsa_microphone(tmp_path) as environment:
        missing = _found(tmp_path, environment, device="Umik")
        assert "qwmic" in missing["microphone_missing"]["text"]


def test_a_machine_without_any(tmp_path: Path) -> None:
    if Path("/proc/asound/cards").exists() and "no soundcards" not in Path("/proc/asound/cards").read_text():
        pytest.skip("this machine has a sound card")
    found = _found(tmp_path, {**os.environ})
    assert found.keys() & {"microphone_missing", "sound_library_missing"}


@pytest.mark.parametrize(
    ("said", "key", "level"),
    [
        ("Device unavailable [PaErrorCode -9985]", "microphone_held", "warning"),
        ("Invalid sample rate [PaErrorCode -9997]", "microphone_refused", "error"),
        ("Invalid number of channels [PaErrorCode -9998]", "microphone_refused", "error"),
    ],
)
def test_a_device_that_does_not_open(said: str, key: str, level: str) -> None:
    finding = microphone._refused(f"the sound device cannot be opened: {said}")
    assert (finding.key, finding.level) == (key, level)


def test_a_recording_that_is_not_there(tmp_path: Path) -> None:
    settings = NoiseSettings(source=FileSource(path=str(tmp_path / "none.wav")))
    assert [one.key for one in microphone.microphone(settings, tmp_path, NOW)] == ["sound_file_missing"]
    (tmp_path / "none.wav").touch()
    assert [one.key for one in microphone.microphone(settings, tmp_path, NOW)] == ["sound_file"]


@pytest.mark.parametrize(
    ("age_days", "key"),
    [(10, "calibration"), (500, "calibration_overdue"), (None, "calibration_missing")],
)
def test_calibrations(tmp_path: Path, age_days: int | None, key: str) -> None:
    if age_days is not None:
        made = Calibration(
            full_scale_db=120.0, calibrated_at=NOW - timedelta(days=age_days), calibrator_db=94.0,
            frequency_hz=1000.0,
        )  # fmt: skip
        save_calibration(tmp_path / FILE_NAME, made)
    assert microphone._calibration(NoiseSettings(), tmp_path, NOW).key == key


def test_a_damaged_calibration(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("{")
    assert microphone._calibration(NoiseSettings(), tmp_path, NOW).key == "calibration_unreadable"
