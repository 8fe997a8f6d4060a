"""The PortAudio source: over real ALSA where PortAudio is installed, and over a fake sounddevice for what no
machine of CI can do: to unplug a microphone and to plug it in again."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge.sound.alsa_cards import card_number, serial_of_card
from edge.sound.settings import PortAudioSource
from edge.sound.sources import portaudio
from edge.sound.sources.base import Gap, Sound, SourceError
from edge.sound.sources.portaudio import InputDevice, PortAudioInput, pick_device
from tests.edge.sound.alsa import alsa_microphone

RATE = 48_000


class FakePortAudio:
    """What is used of sounddevice, with one microphone that the test plugs, feeds and unplugs."""

    class PortAudioError(Exception):
        pass

    def __init__(self) -> None:
        self.plugged = True
        self.known = True
        self.restarts = 0
        self.streams: list[FakeStream] = []
        self.default = SimpleNamespace(device=(0, 0))

    def query_devices(self) -> list[dict[str, Any]]:
        name = "USB Mic: Audio (hw:1,0)"
        return [{"name": name, "max_input_channels": 2, "default_samplerate": 48_000.0}] if self.known else []

    def RawInputStream(self, **settings: Any) -> FakeStream:  # sounddevice's name
        if not self.plugged:
            raise self.PortAudioError("Device unavailable")
        self.streams.append(FakeStream(self, settings))
        return self.streams[-1]

    def _terminate(self) -> None:
        assert not any(stream.active for stream in self.streams), "PortAudio was stopped under an open stream"
        self.restarts += 1

    def _initialize(self) -> None:
        self.known = self.plugged


class FakeStream:
    def __init__(self, owner: FakePortAudio, settings: dict[str, Any]) -> None:
        self.owner, self.settings = owner, settings
        self.active = False
        self.n = 0

    def start(self) -> None:
        self.active = True

    def abort(self) -> None:
        self.active = False
        if not self.owner.plugged:
            raise self.owner.PortAudioError("Unanticipated host error")

    def close(self) -> None:
        pass

    def deliver(self, blocks: int = 1, *, overflow: bool = False) -> None:
        """Do what PortAudio's thread does."""
        frames, channels = self.settings["blocksize"], self.settings["channels"]
        for _ in range(blocks):
            ramp = np.arange(self.n, self.n + frames)
            self.n += frames
            sound = (0.1 * np.sin(2 * np.pi * 1000 * ramp / RATE) * 2**31).astype("<i4")
            data = np.repeat(sound, channels).tobytes()
            times = SimpleNamespace(inputBufferAdcTime=1.0, currentTime=1.0 + frames / RATE)
            self.settings["callback"](data, frames, times, SimpleNamespace(input_overflow=overflow))


@pytest.fixture
def heard(monkeypatch) -> Iterator[tuple[FakePortAudio, list[Sound | Gap], Any]]:
    """Yield a fake, what a source over it has given so far, and a function that waits for a condition."""
    monkeypatch.setattr(portaudio, "_POLL_S", 0.01)
    monkeypatch.setattr(portaudio, "_SILENT_S", 60.0)
    monkeypatch.setattr(portaudio, "_RETRY_FIRST_S", 0.01)
    monkeypatch.setattr(portaudio, "_RETRY_MOST_S", 0.02)
    fake, got, stop = FakePortAudio(), [], threading.Event()
    source = PortAudioInput(PortAudioSource(channel=2, device="usb"), sd=fake)  # type: ignore[arg-type]
    thread = threading.Thread(target=lambda: got.extend_from(source.stream(stop)))

    class Got(list):
        def extend_from(self, items: Iterator[Sound | Gap]) -> None:
            for item in items:
                self.append(item)

    got = Got()
    changed = threading.Event()

    def wait(condition: Any) -> None:
        deadline = time.monotonic() + 90
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            changed.wait(0.005)

    thread.start()
    yield fake, got, wait
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


def sounds(got: list[Sound | Gap]) -> list[Sound]:
    return [item for item in got if isinstance(item, Sound)]


def test_blocks_are_taken_in_order_with_their_time(heard):
    fake, got, wait = heard
    wait(lambda: fake.streams and fake.streams[0].active)
    fake.streams[0].deliver(5)
    wait(lambda: len(sounds(got)) == 5)
    joined = np.concatenate([sound.samples for sound in sounds(got)])
    assert joined == pytest.approx(0.1 * np.sin(2 * np.pi * 1000 * np.arange(len(joined)) / RATE), abs=1e-8)
    assert all(abs((sound.captured_at or 0) - time.time()) < 5 for sound in sounds(got))


def test_unplugging_and_replugging_recovers_by_itself(heard):
    fake, got, wait = heard
    wait(lambda: fake.streams and fake.streams[0].active)
    fake.streams[0].deliver(3)
    wait(lambda: len(sounds(got)) == 3)
    fake.plugged = False
    fake.streams[0].active = False
    wait(lambda: fake.restarts >= 3)
    assert any(isinstance(item, Gap) and item.lost and "gone away" in item.reason for item in got)
    assert any(isinstance(item, Gap) and "no sound device" in item.reason for item in got)
    fake.plugged = True
    wait(lambda: len(fake.streams) == 2 and fake.streams[1].active)
    fake.streams[1].deliver(2)
    wait(lambda: len(sounds(got)) == 5)


def test_a_driver_that_falls_silent_is_taken_to_be_gone(heard, monkeypatch):
    fake, got, wait = heard
    monkeypatch.setattr(portaudio, "_SILENT_S", 0.05)
    wait(lambda: len(fake.streams) == 2)
    assert any(isinstance(item, Gap) and "does not deliver" in item.reason for item in got)


def test_an_overflow_of_the_driver_is_a_gap_before_the_block(heard):
    fake, got, wait = heard
    wait(lambda: fake.streams and fake.streams[0].active)
    fake.streams[0].deliver(1)
    fake.streams[0].deliver(1, overflow=True)
    wait(lambda: len(sounds(got)) == 2)
    kinds = [type(item) for item in got[:3]]
    assert kinds == [Sound, Gap, Sound] and got[1].samples is None and not got[1].lost


def test_a_full_queue_drops_counts_and_tells():
    opened = portaudio._Opened(time.time, RATE)
    times, status = (
        SimpleNamespace(inputBufferAdcTime=0, currentTime=0),
        SimpleNamespace(input_overflow=False),
    )
    for _ in range(200 + 7):
        opened.callback(b"\0" * 4, 4800, times, status)
    taken = [opened.next_block(0) for _ in range(200)]
    assert opened.next_block(0) is None and all(block and block.dropped == 0 for block in taken)
    opened.callback(b"\0" * 4, 4800, times, status)
    block = opened.next_block(0)
    assert block is not None and block.dropped == 7 * 4800


DEVICES = [
    InputDevice(0, "USB Mic: Audio (hw:1,0)", 1, 48_000, "A1", True),
    InputDevice(3, "USB Mic: Audio (hw:2,0)", 1, 48_000, "B2", False),
    InputDevice(5, "I2S: mems (hw:0,0)", 2, 48_000, None, False),
]


@pytest.mark.parametrize(
    ("wanted", "number"), [(None, None), (3, 3), ("B2", 3), ("i2s", 5), ("USB Mic: Audio (hw:1,0)", 0)]
)
def test_a_device_is_picked_by_number_serial_or_name(wanted, number):
    assert pick_device(wanted, DEVICES) == number


@pytest.mark.parametrize(
    ("wanted", "cause"), [("usb", "several"), ("none", "no sound device"), (9, "no sound device")]
)
def test_a_device_that_cannot_be_picked_names_what_there_is(wanted, cause):
    with pytest.raises(SourceError, match=cause) as error:
        pick_device(wanted, DEVICES)
    assert "USB Mic" in str(error.value)


def test_serial_numbers_come_from_the_kernel(tmp_path):
    usb = tmp_path / "devices" / "usb1" / "1-1"
    (usb / "1-1:1.0").mkdir(parents=True)
    (usb / "serial").write_text("4242\n")
    (tmp_path / "card1").mkdir()
    (tmp_path / "card1" / "device").symlink_to(usb / "1-1:1.0")
    assert serial_of_card(1, tmp_path) == "4242"
    assert serial_of_card(2, tmp_path) is None
    assert card_number("USB Mic: Audio (hw:12,0)") == 12 and card_number("default") is None


def test_missing_portaudio_names_the_cure(monkeypatch):
    class Missing:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    with pytest.raises(SourceError, match="apt-get install libportaudio2"):
        portaudio.load_portaudio()


@pytest.mark.system
def test_a_microphone_over_real_alsa(tmp_path):
    command = [sys.executable, "-m", "app", "edge"]
    with alsa_microphone(tmp_path) as environment:
        listed = subprocess.run(
            [*command, "devices", "--json"], env=environment, capture_output=True, timeout=60, check=True
        )
        assert "qwmic" in [device["name"] for device in json.loads(listed.stdout)]
        measured = subprocess.run(
            [*command, "measure", "--device", "qwmic", "--format", "s16", "--seconds", "4", "--json"],
            env=environment, capture_output=True, timeout=60, check=True,
        )  # fmt: skip
    *seconds, summary = [json.loads(line) for line in measured.stdout.splitlines()]
    assert len(seconds) == 4 and summary["summary"]["seconds"] == 4
    for second in seconds[1:]:
        assert second["laeq_db"] == pytest.approx(96.99, abs=0.1) and second["flags"] == []
