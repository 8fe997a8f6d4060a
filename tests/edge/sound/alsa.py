"""A microphone that real ALSA knows: a pipe, fed in real time."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from edge.sound.sources import portaudio
from edge.sound.sources.base import SourceError

RATE = 48_000


@contextmanager
def alsa_microphone(folder: Path, *, amplitude: float = 3276.8) -> Iterator[dict[str, str]]:
    """Yield an environment in which ALSA has a microphone ``qwmic`` that hears 1 kHz; amplitude 0 is a mute one."""
    try:
        portaudio.load_portaudio()
    except SourceError as error:
        pytest.skip(str(error))
    if not Path("/usr/share/alsa/alsa.conf").exists():
        pytest.skip("ALSA is not installed")
    pipe = folder / "microphone"
    os.mkfifo(pipe)
    (folder / "asound.conf").write_text(
        "</usr/share/alsa/alsa.conf>\n"
        f'pcm.qwmic {{ type file slave.pcm "null" file "/dev/null" infile "{pipe}" format "raw" }}\n'
    )
    stop = threading.Event()
    descriptor = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)

    def feed() -> None:
        began = time.monotonic()
        for block in itertools.count(1):
            n = np.arange((block - 1) * 4800, block * 4800)
            with contextlib.suppress(BlockingIOError):  # nobody listens: what a microphone says then is lost
                os.write(
                    descriptor, (amplitude * np.sin(2 * np.pi * 1000 * n / RATE)).astype("<i2").tobytes()
                )
            if stop.wait(max(0.0, began + block * 0.1 - time.monotonic())):
                return

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        yield {**os.environ, "ALSA_CONFIG_PATH": str(folder / "asound.conf")}
    finally:
        stop.set()
        feeder.join(10)
        os.close(descriptor)
