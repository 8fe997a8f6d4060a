"""Sound events: from when to when, how loud, and what they look like."""

from __future__ import annotations

import math

import numpy as np
import pytest
import soundfile

from contract.codec import decode_reading, encode
from contract.messages import EdgeEvent, NoiseMinute, NoiseSecond, Reading
from edge.sound.meter import SoundLevelMeter
from edge.sound.recorder import Recorder
from edge.sound.settings import SoundEventSettings

RATE = 16_000
QUIET = 10 ** ((45 - 120) / 20)


def noise(seconds: float, level_db: float = 45.0, seed: int = 0) -> np.ndarray:
    """Return noise whose LAeq at full scale 120 dB is about the level."""
    white = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return 10 ** ((level_db - 120) / 20) * white


def events_of(sound: np.ndarray, *, spectrum: bool = True, rate: int = RATE, **settings) -> list[EdgeEvent]:
    got: list[Reading] = []
    recorder = Recorder(
        got.append,
        rate_hz=rate,
        full_scale_db=120.0,
        spectrum=spectrum,
        events=SoundEventSettings(**settings),
    )
    meter = SoundLevelMeter(rate)
    for part in np.array_split(sound, max(1, len(sound) // rate)):
        recorder.seconds(meter.push(part))
    recorder.seconds(meter.finish())
    recorder.finish()
    events = [one for one in got if isinstance(one, EdgeEvent)]
    for event in events:
        assert decode_reading("event", encode(event)) == event
    assert len([one for one in got if isinstance(one, NoiseSecond)]) == math.ceil(len(sound) / rate)
    assert all(len(one.bands_db) > 20 for one in got if isinstance(one, NoiseMinute)) or not spectrum
    return [event for event in events if event.kind == "sound_event"]


def with_tone(
    begins: float, lasts: float, level_db: float, *, total: float = 120.0, hz: float = 1000.0
) -> np.ndarray:
    sound = noise(total)
    burst = (
        math.sqrt(2)
        * 10 ** ((level_db - 120) / 20)
        * np.sin(2 * np.pi * hz * np.arange(round(lasts * RATE)) / RATE)
    )
    start = round(begins * RATE)
    sound[start : start + len(burst)] += burst
    return sound


@pytest.mark.parametrize("lasts", [1.0, 4.0, 17.3])
def test_an_event_has_its_start_duration_and_exposure(lasts):
    (event,) = events_of(with_tone(80.35, lasts, 75.0))
    assert event.t.timestamp() == pytest.approx(80.35, abs=0.05)
    # It ends when LAF has fallen from 75 dB to the threshold, at 34.7 dB/s.
    threshold = event.detail["background_db"] + 12
    assert event.detail["duration_s"] == pytest.approx(lasts + (75 - threshold) / 34.7, abs=0.1)
    assert event.detail["lae_db"] == pytest.approx(75 + 10 * math.log10(lasts), abs=0.15)
    assert event.detail["lafmax_db"] == pytest.approx(75.0, abs=0.2)
    assert event.detail["ending"] == "faded"


def test_its_spectrum_is_its_own():
    sound = with_tone(80, 10, 75.0, hz=2000.0)
    sound[: 60 * RATE] += with_tone(0, 60, 56.0, total=60, hz=125.0) - noise(60)
    (event,) = events_of(sound, background_s=30, at_least_db=60)
    bands = event.detail["bands_db"]
    assert event.detail["first_band"] == 11
    assert 11 + int(np.argmax(bands)) == 33  # 2 kHz
    assert bands[33 - 11] == pytest.approx(75.0 - 1.2, abs=1.2)  # Z, over the seconds that the event touches
    assert bands[21 - 11] < 45
    assert event.detail["shape_centroid_hz"] == pytest.approx(2000, rel=0.1)
    assert event.detail["shape_tonality_db"] > 15


def test_a_short_click_is_no_event_and_a_longer_one_is():
    assert events_of(with_tone(80, 0.05, 70.0)) == []
    assert len(events_of(with_tone(80, 0.6, 70.0))) == 1


@pytest.mark.parametrize(("level", "found"), [(53.0, 0), (62.0, 1)])
def test_the_margin_decides(level, found):
    assert len(events_of(with_tone(80, 5, level))) == found


def test_softer_than_the_least_level_is_no_event():
    quiet = with_tone(80, 5, 75.0) * 10 ** (-30 / 20)
    assert events_of(quiet, at_least_db=50) == []
    assert len(events_of(quiet, at_least_db=30)) == 1


def test_barks_in_a_row_are_one_event_and_far_apart_are_two():
    together = with_tone(80, 0.6, 75.0) + with_tone(82, 0.6, 75.0) + with_tone(84, 0.6, 75.0) - 2 * noise(120)
    (event,) = events_of(together)
    assert event.detail["duration_s"] == pytest.approx(5.3, abs=0.4) and event.detail["shape_bursts"] == 3
    apart = with_tone(80, 0.6, 75.0) + with_tone(90, 0.6, 75.0) - noise(120)
    assert len(events_of(apart)) == 2


def test_what_lasts_too_long_is_cut():
    (event, *_) = events_of(with_tone(70, 40, 75.0), longest_s=10)
    assert event.detail["ending"] == "too_long" and event.detail["duration_s"] == pytest.approx(10, abs=0.1)


def test_an_overload_interrupts_an_event():
    sound = with_tone(80, 20, 75.0)
    sound[round(90.5 * RATE)] = 1.0
    first, *_ = events_of(sound)
    assert first.detail["ending"] == "interrupted" and first.detail["duration_s"] == pytest.approx(
        10, abs=0.2
    )


def test_nothing_is_an_event_before_the_background_is_known():
    assert events_of(with_tone(20, 5, 75.0, total=59)) == []


def test_events_can_be_switched_off():
    assert events_of(with_tone(80, 5, 75.0), enabled=False) == []


def test_without_a_spectrum_the_course_is_still_described():
    (event,) = events_of(with_tone(80, 5, 75.0), spectrum=False)
    assert "bands_db" not in event.detail and event.detail["shape_onset_db_per_s"] > 50


def test_a_real_dog_in_a_quiet_yard(recordings):
    bark, rate = soundfile.read(recordings / "dog-bark-3.ogg")
    sound = 1e-4 * np.random.default_rng(0).standard_normal(100 * rate)
    sound[70 * rate : 70 * rate + len(bark)] += 0.05 * bark
    (event,) = events_of(sound, rate=rate)
    heard = [s for s in SoundLevelMeter(rate).push(sound) if 70 <= s.t < 76]
    assert event.t.timestamp() == pytest.approx(70, abs=5)
    assert event.detail["lafmax_db"] == pytest.approx(max(s.lafmax_db for s in heard), abs=0.1)
    exposure = 10 * math.log10(sum(10 ** (s.lae_db / 10) for s in heard))
    assert event.detail["lae_db"] == pytest.approx(exposure, abs=0.3)
