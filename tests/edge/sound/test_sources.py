"""Sound files and raw PCM: every format gives the same numbers, and what cannot be read says why."""

import io
import os
import threading

import numpy as np
import pytest
import soundfile

from edge.sound.settings import StdinSource
from edge.sound.sources.base import Sound, SourceError
from edge.sound.sources.pcm import CLIP, SAMPLE_BYTES, decode
from edge.sound.sources.sound_file import SoundFileSource
from edge.sound.sources.stdin import PcmSource

RATE = 48_000


def all_of(source) -> np.ndarray:
    return np.concatenate(
        [item.samples for item in source.stream(threading.Event()) if isinstance(item, Sound)]
    )


def encoded(samples: np.ndarray, form: str) -> bytes:
    if form == "float32":
        return samples.astype("<f4").tobytes()
    bits = {"s16": 16, "s24": 24, "s24_32": 24, "s32": 32}[form]
    numbers = np.clip(np.round(samples * 2.0 ** (bits - 1)), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1).astype(
        "<i8"
    )
    if form == "s16":
        return numbers.astype("<i2").tobytes()
    if form == "s24":
        return numbers.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    return numbers.astype("<i4").tobytes()


@pytest.mark.parametrize("form", SAMPLE_BYTES)
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_pcm_of_every_format_and_channel(form, channels):
    frames = np.random.default_rng(0).uniform(-1, 1, (500, channels))
    for channel in range(1, channels + 1):
        got = decode(encoded(frames.reshape(-1), form), form, channels, channel)
        assert got == pytest.approx(frames[:, channel - 1], abs=2.0**-15)


@pytest.mark.parametrize("form", ["s16", "s24", "s24_32", "s32"])
def test_pcm_at_the_rail_is_seen_as_clipped(form):
    assert abs(decode(encoded(np.array([1.0]), form), form, 1, 1)[0]) >= CLIP
    assert abs(decode(encoded(np.array([-1.0]), form), form, 1, 1)[0]) >= CLIP
    assert abs(decode(encoded(np.array([0.99]), form), form, 1, 1)[0]) < CLIP


def test_s24_in_four_bytes_ignores_the_top_byte():
    assert (
        decode(b"\x00\x00\x40\xff", "s24_32", 1, 1)[0]
        == decode(b"\x00\x00\x40\x00", "s24_32", 1, 1)[0]
        == 0.5
    )


def test_pcm_that_ends_within_a_frame_is_refused():
    with pytest.raises(ValueError, match="whole number of frames"):
        decode(b"\x00" * 7, "s24", 1, 1)


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        ("a.wav", "PCM_16"),
        ("a.wav", "PCM_24"),
        ("a.wav", "PCM_32"),
        ("a.wav", "FLOAT"),
        ("a.flac", "PCM_24"),
        ("a.ogg", "VORBIS"),
    ],
)
def test_files_of_every_format(tmp_path, name, subtype, tone):
    samples = tone(RATE, 440, 2.3)
    soundfile.write(tmp_path / name, samples, RATE, subtype=subtype)
    source = SoundFileSource(tmp_path / name)
    got = all_of(source)
    assert source.rate_hz == RATE and source.frames == len(samples) == len(got)
    assert got == pytest.approx(samples, abs=0.02 if subtype == "VORBIS" else 1e-4)


def test_a_channel_is_chosen_and_a_missing_one_refused(tmp_path, tone):
    stereo = np.stack([tone(RATE, 440, 1), tone(RATE, 880, 1)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, RATE, subtype="FLOAT")
    assert all_of(SoundFileSource(tmp_path / "a.wav", channel=2)) == pytest.approx(stereo[:, 1], abs=1e-6)
    with pytest.raises(SourceError, match=r"2 channel.*channel 3"):
        SoundFileSource(tmp_path / "a.wav", channel=3)


def test_a_stereo_stream_stored_as_mono_is_taken_apart(recordings):
    path = recordings / "calibrator-94dB-1kHz.flac"
    literal, taken = all_of(SoundFileSource(path)), all_of(SoundFileSource(path, deinterleave=True))
    assert len(literal) == 2 * len(taken) and np.array_equal(literal[::2], taken)
    crossings = np.count_nonzero(np.diff(np.signbit(taken[:RATE] - taken[:RATE].mean())))
    assert crossings == pytest.approx(2000, abs=4)


def test_only_the_first_seconds(tmp_path, tone):
    soundfile.write(tmp_path / "a.wav", tone(RATE, 440, 3), RATE)
    assert len(all_of(SoundFileSource(tmp_path / "a.wav", first_s=2))) == 2 * RATE


def test_a_loop_goes_on_until_it_is_stopped(tmp_path, tone):
    soundfile.write(tmp_path / "a.wav", tone(RATE, 440, 1.5), RATE)
    stop, total = threading.Event(), 0
    for item in SoundFileSource(tmp_path / "a.wav", loop=True).stream(stop):
        total += len(item.samples)
        if total > 10 * RATE:
            stop.set()
    assert 10 * RATE < total < 12 * RATE


def test_what_is_no_sound_file_says_so(tmp_path):
    (tmp_path / "text.wav").write_text("no sound")
    soundfile.write(tmp_path / "empty.wav", np.empty(0), RATE)
    for name, cause in (
        ("text.wav", "cannot be read"),
        ("empty.wav", "no sound"),
        ("none.wav", "does not exist"),
    ):
        with pytest.raises(SourceError, match=cause):
            SoundFileSource(tmp_path / name)


@pytest.mark.parametrize("form", SAMPLE_BYTES)
def test_a_pipe_gives_what_was_put_in(form, tone):
    samples = tone(RATE, 440, 1.2)
    read_end, write_end = os.pipe()
    data = encoded(np.repeat(samples, 2), form) + b"\x01"

    def write() -> None:
        with os.fdopen(write_end, "wb") as pipe:
            for start in range(0, len(data), 7777):
                pipe.write(data[start : start + 7777])

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(read_end, "rb") as pipe:
        got = all_of(PcmSource(StdinSource(rate_hz=RATE, format=form, channels=2, channel=2), pipe))
    writer.join()
    assert got == pytest.approx(samples, abs=2.0**-15)


def test_a_buffer_without_a_descriptor_can_be_read_too(tone):
    samples = tone(RATE, 440, 0.5)
    got = all_of(PcmSource(StdinSource(), io.BytesIO(encoded(samples, "s16"))))
    assert got == pytest.approx(samples, abs=2.0**-15)


def test_a_silent_pipe_notices_the_stop():
    read_end, write_end = os.pipe()
    stop, done = threading.Event(), threading.Event()

    def listen() -> None:
        with os.fdopen(read_end, "rb") as pipe:
            list(PcmSource(StdinSource(), pipe).stream(stop))
        done.set()

    threading.Thread(target=listen).start()
    assert not done.wait(0.05)
    stop.set()
    assert done.wait(60)
    os.close(write_end)
