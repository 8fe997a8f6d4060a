"""Signals and small tools that several tests of the sound part ask for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from edge.sound.meter import SoundLevelMeter
from edge.sound.second import MeteredSecond

FloatArray = npt.NDArray[np.float64]
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Return the folder of real recordings."""
    return ROOT / "tests" / "data" / "noise"


@pytest.fixture(scope="session")
def tone() -> Callable[..., FloatArray]:
    """Return a function that makes a sine."""

    def make(rate_hz: int, hz: float, seconds: float, amplitude: float = 0.1) -> FloatArray:
        return amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)

    return make


@pytest.fixture(scope="session")
def metered() -> Callable[..., list[MeteredSecond]]:
    """Return a function that measures a whole signal."""

    def measure(rate_hz: int, samples: FloatArray, **settings: object) -> list[MeteredSecond]:
        meter = SoundLevelMeter(rate_hz, **settings)  # type: ignore[arg-type]
        return meter.push(samples) + meter.finish()

    return measure


@pytest.fixture
def edge_command() -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Return a function that runs ``quietwater edge ...`` as a process of its own."""

    def run(*arguments: object, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "app", "edge", *map(str, arguments)],
            input=stdin, capture_output=True, timeout=120, check=False,
        )  # fmt: skip

    return run


@pytest.fixture(scope="session")
def json_lines() -> Callable[[bytes], list[dict]]:
    """Return a function that parses lines of JSON."""
    return lambda data: [json.loads(line) for line in data.splitlines()]
