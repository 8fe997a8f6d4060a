"""The station: what the agent gets of a file, a scene, its past, and a pipe."""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
import soundfile

from contract.clock import CatchUpClock, SystemClock
from contract.codec import decode_reading, encode
from contract.messages import EdgeEvent, NoiseMinute, NoiseSecond, Reading
from edge.sound import history
from edge.sound.calibration import Calibration, CalibrationError, save_calibration
from edge.sound.history import History
from edge.sound.measure import measure
from edge.sound.response import ResponseError
from edge.sound.settings import FileSource, NoiseSettings, PortAudioSource, SceneSource, StdinSource
from edge.sound.sources.base import SourceError
from edge.sound.sources.sound_file import SoundFileSource
from edge.sound.station import Station

NOON = datetime(2026, 5, 13, 4, 0, tzinfo=UTC)


class Hasty(threading.Event):
    """Nobody waits for time to pass: the clock goes on when it is asked."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


class SteppedClock:
    """A clock that goes on by a tenth of a second each time it is asked."""

    speed = 1.0

    def __init__(self, start: datetime, until: datetime, stop: threading.Event) -> None:
        self._now, self._until, self._stop = start, until, stop
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            self._now += timedelta(milliseconds=100)
            if self._now >= self._until:
                self._stop.set()
            return self._now


def split(got: list[Reading]) -> tuple[list[NoiseSecond], list[NoiseMinute], list[EdgeEvent]]:
    kinds = {NoiseSecond: "noise", NoiseMinute: "spectrum", EdgeEvent: "event"}
    for one in got:
        assert decode_reading(kinds[type(one)], encode(one)) == one  # type: ignore[arg-type]
    return tuple([one for one in got if isinstance(one, kind)] for kind in kinds)  # type: ignore[return-value]


def played(settings: NoiseSettings, folder: Path, clock=None) -> list[Reading]:
    got: list[Reading] = []
    Station(settings, clock or SystemClock(), got.append, folder).run(threading.Event())
    return got


@pytest.fixture
def scene_file(tmp_path, recordings) -> Path:
    path = tmp_path / "scene.toml"
    path.write_text(
        f'[[layers]]\nclip = "{recordings}/rain-1.ogg"\nlaeq_db = 48.0\nwander_db = 2.0\n'
        f'[[events]]\nclip = "{recordings}/dog-bark-3.ogg"\nlafmax_db = 75.0\nevery_min = [1, 2]\nrepeat = 2\n'
    )
    return path


# -- files -----------------------------------------------------------------------------------------------------


def test_a_recording_gives_its_whole_seconds_and_what_measure_gives(tmp_path, recordings):
    path = recordings / "dog-bark-3.ogg"
    source = FileSource(path=str(path), pace="fast", start_at=NOON)
    seconds, minutes, _ = split(played(NoiseSettings(source=source, full_scale_db=110.0), tmp_path))
    assert [second.t for second in seconds] == [NOON + timedelta(seconds=k) for k in range(5)]
    offline = list(measure(SoundFileSource(path), full_scale_db=110.0, start=int(NOON.timestamp())))
    assert seconds == [second.reading() for second in offline[:5]]
    (minute,) = minutes
    assert minute.t == NOON and minute.measured_ms == 5000 and minute.flags == ("gap",)
    assert minute.first_band == 11 and len(minute.bands_db) == 32  # at 44.1 kHz there is no whole 20 kHz band


def test_a_start_within_a_second_is_a_partial_second(tmp_path, tone):
    soundfile.write(tmp_path / "a.wav", tone(16_000, 1000, 3), 16_000)
    start = NOON + timedelta(milliseconds=400)
    source = FileSource(path=str(tmp_path / "a.wav"), pace="fast", start_at=start)
    seconds, _, _ = split(played(NoiseSettings(source=source), tmp_path))
    assert [second.measured_ms for second in seconds] == [600, 1000, 1000]
    assert seconds[0].t == NOON and seconds[0].flags == ("gap",)


def test_real_pace_keeps_to_the_clock_and_fast_pace_does_not(tmp_path, tone):
    soundfile.write(tmp_path / "a.wav", tone(16_000, 1000, 30), 16_000)
    source = FileSource(path=str(tmp_path / "a.wav"), loop=True, start_at=NOON)
    stop, got = Hasty(), []
    clock = SteppedClock(NOON, NOON + timedelta(seconds=70), stop)
    Station(NoiseSettings(source=source, spectrum=False), clock, got.append, tmp_path).run(stop)
    seconds, _, _ = split(got)
    assert 65 <= len(seconds) <= 71


def test_without_a_start_it_begins_at_the_next_second(tmp_path, tone):
    soundfile.write(tmp_path / "a.wav", tone(16_000, 1000, 2), 16_000)
    source = FileSource(path=str(tmp_path / "a.wav"), pace="fast")
    clock = SteppedClock(NOON + timedelta(milliseconds=300), NOON + timedelta(days=1), threading.Event())
    seconds, _, _ = split(played(NoiseSettings(source=source), tmp_path, clock))
    assert seconds[0].t == NOON + timedelta(seconds=1) and seconds[0].flags == ()


def test_a_missing_recording_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"none\.wav"):
        played(NoiseSettings(source=FileSource(path=str(tmp_path / "none.wav"))), tmp_path)


# -- scenes ----------------------------------------------------------------------------------------------------


def scene_run(path: Path, folder: Path, start: datetime, seconds: int, **settings) -> list[Reading]:
    stop, got = Hasty(), []
    clock = SteppedClock(start, start + timedelta(seconds=seconds), stop)
    source = SceneSource(path=str(path), **settings)
    Station(NoiseSettings(source=source), clock, got.append, folder).run(stop)
    return got


def test_a_scene_gives_every_second_and_a_restart_goes_on_exactly(tmp_path, scene_file):
    whole = {s.t: s for s in split(scene_run(scene_file, tmp_path, NOON, 100))[0]}
    assert 95 <= len(whole) <= 100
    again = split(scene_run(scene_file, tmp_path, NOON + timedelta(seconds=40), 60))[0]
    assert len(again) >= 55
    for second in again:
        if second.t in whole:
            for key in ("laeq_db", "lafmax_db", "lafmin_db", "lasmax_db"):
                assert getattr(second, key) == pytest.approx(getattr(whole[second.t], key), abs=0.01), key


def test_a_scene_that_cannot_keep_up_leaves_a_gap_and_says_so(tmp_path, scene_file):
    class LateClock(SteppedClock):
        def now(self) -> datetime:
            moment = super().now()
            if moment > NOON + timedelta(seconds=20):
                self._now += timedelta(seconds=30 if not self.late else 0)
                self.late = True
            return moment

        late = False

    stop, got = Hasty(), []
    clock = LateClock(NOON, NOON + timedelta(seconds=80), stop)
    Station(NoiseSettings(source=SceneSource(path=str(scene_file))), clock, got.append, tmp_path).run(stop)
    seconds, _, events = split(got)
    (gap,) = [event for event in events if event.kind == "gap"]
    missing = {NOON + timedelta(seconds=k) for k in range(1, 78)} - {second.t for second in seconds}
    assert 1000 * len(missing) == gap.detail["lost_ms"] and 28 <= len(missing) <= 34


def test_history_is_measured_once_oldest_first_while_the_present_goes_on(tmp_path, scene_file, monkeypatch):
    start = NOON + timedelta(seconds=37)
    wall_now = datetime.now(UTC)
    clock = CatchUpClock(start, wall_now, 5.0)
    settings = NoiseSettings(source=SceneSource(path=str(scene_file), history_h=0.03), spectrum=False)
    got: list[Reading] = []

    def run_until(condition) -> list[datetime]:
        stop = threading.Event()
        got.clear()
        thread = threading.Thread(target=Station(settings, clock, got.append, tmp_path).run, args=(stop,))
        thread.start()
        deadline = time.monotonic() + 120
        while not condition() and time.monotonic() < deadline:
            stop.wait(0.02)
        stop.set()
        thread.join(20)
        assert not thread.is_alive()
        return [second.t for second in split(got)[0]]

    monkeypatch.setattr(history, "_COMMITTED_S", 0.2)
    marker = tmp_path / "noise-history.json"
    heard = run_until(lambda: marker.exists() and json.loads(marker.read_text())["next"] >= start.timestamp())
    first_live = max(b for a, b in itertools.pairwise(sorted(heard)) if b - a == timedelta(seconds=1))
    past = [t for t in heard if t <= start + timedelta(seconds=2)]
    assert min(past) == NOON - timedelta(minutes=2) and first_live >= start
    assert len(heard) == len(set(heard)), "a second twice"
    assert {NOON + timedelta(seconds=k) for k in range(-120, 38)} <= set(past)
    again = run_until(lambda: len(got) > 20)
    assert min(again) > max(heard)


def test_history_goes_on_where_a_restart_left_it(tmp_path, scene_file, monkeypatch):
    monkeypatch.setattr(history, "_COMMITTED_S", 0.2)

    class Stopping(threading.Event):
        """Set after so many questions."""

        left = 130

        def is_set(self) -> bool:
            self.left -= 1
            return self.left < 0 or super().is_set()

    class SilentRecorder:
        def __init__(self) -> None:
            self.t: list[int] = []

        def seconds(self, metered) -> None:
            self.t += [second.t for second in metered]

        def finish(self) -> None:
            pass

    from edge.sound.meter import SoundLevelMeter
    from edge.sound.sources.scene import SceneSound

    sound = SceneSound(scene_file, seed=0, full_scale_db=120.0)
    now, heard = int(NOON.timestamp()), []
    for number in range(9):
        past_hours = History(tmp_path, now=now + 1000 * number, hours=0.1, may_work=lambda: True)
        if past_hours.done:
            break
        recorder = SilentRecorder()
        meter = SoundLevelMeter(sound.rate_hz, start=past_hours.next)
        past_hours.run(sound, meter, recorder, Stopping())  # type: ignore[arg-type]
        heard.append(recorder.t)
    assert len(heard) > 2 and heard[0][0] == now - 360
    assert set().union(*heard) == set(range(now - 360, now))
    assert all(b[0] - a[-1] in range(-60, 2) for a, b in itertools.pairwise(heard))


def test_history_marks_only_what_a_crash_can_no_longer_take(tmp_path, scene_file):
    """The outbox commits every few seconds: what was handed over just now is measured again after a crash."""
    from edge.sound.meter import SoundLevelMeter
    from edge.sound.recorder import Recorder
    from edge.sound.sources.scene import SceneSound

    class Crash(BaseException):
        pass

    class Killed(threading.Event):
        left = 240

        def is_set(self) -> bool:
            self.left -= 1
            if self.left < 0:
                raise Crash
            return False

    sound, now = SceneSound(scene_file, seed=0, full_scale_db=120.0), int(NOON.timestamp())
    ticks = itertools.count()
    past_hours = History(
        tmp_path, now=now, hours=0.1, may_work=lambda: True, monotonic=lambda: next(ticks) * 1.0
    )
    recorder = Recorder(lambda _r: None, rate_hz=sound.rate_hz, full_scale_db=120.0, spectrum=False)
    with pytest.raises(Crash):
        past_hours.run(sound, SoundLevelMeter(sound.rate_hz, start=past_hours.next), recorder, Killed())
    marked = json.loads((tmp_path / "noise-history.json").read_text())["next"]
    assert now - 360 < marked <= past_hours.next - 60


def test_history_waits_while_the_present_is_late(tmp_path):
    stop, asked = threading.Event(), []

    def may_work() -> bool:
        asked.append(1)
        if len(asked) == 3:
            stop.set()
        return False

    past_hours = History(tmp_path, now=int(NOON.timestamp()), hours=1.0, may_work=may_work)
    past_hours.run(None, None, type("R", (), {"finish": lambda _self: None})(), stop)  # type: ignore[arg-type]
    assert len(asked) == 3 and past_hours.next == int(NOON.timestamp()) - 3600


# -- settings --------------------------------------------------------------------------------------------------


def test_a_calibration_takes_the_place_of_the_nominal_sensitivity(tmp_path, tone):
    soundfile.write(tmp_path / "a.wav", tone(16_000, 1000, 2), 16_000)
    save_calibration(
        tmp_path / "own.json",
        Calibration(full_scale_db=131.0, calibrated_at=NOON, calibrator_db=94.0, frequency_hz=1000.0),
    )
    source = FileSource(path="a.wav", pace="fast", start_at=NOON)
    settings = NoiseSettings(source=source, calibration="own.json").resolved(tmp_path)
    seconds, _, _ = split(played(settings, tmp_path))
    assert seconds[1].laeq_db == pytest.approx(131 - 20 - 3.01, abs=0.01)


@pytest.mark.parametrize("content", [None, "{", '{"full_scale_db": "loud"}'])
def test_a_bad_calibration_is_refused_before_anything_runs(tmp_path, content):
    if content is not None:
        (tmp_path / "calibration.json").write_text(content)
    named = str(tmp_path / "calibration.json") if content is None else None
    with pytest.raises(CalibrationError, match="calibration"):
        Station(NoiseSettings(calibration=named, source=PortAudioSource()), SystemClock(), print, tmp_path)


def test_a_response_corrects_levels_and_bands(tmp_path):
    """A microphone that hears 3 dB too much at 4 kHz and 2 dB too little at 100 Hz."""
    rate, time = 48_000, np.arange(8 * 48_000) / 48_000
    (tmp_path / "mic.csv").write_text(
        "# a microphone\nfrequency_hz,response_db\n20,-2\n100,-2\n400,0\n1000,0\n2500,0\n4000,3\n16000,3\n"
    )
    plain, corrected = [], []
    for hz, wrong_db in ((100.0, -2.0), (1000.0, 0.0), (4000.0, 3.0)):
        soundfile.write(tmp_path / "a.wav", 0.1 * np.sin(2 * np.pi * hz * time), rate, subtype="DOUBLE")
        for response, levels in ((None, plain), ("mic.csv", corrected)):
            source = FileSource(path="a.wav", pace="fast", start_at=NOON)
            settings = NoiseSettings(source=source, response=response).resolved(tmp_path)
            seconds, minutes, _ = split(played(settings, tmp_path))
            levels.append((seconds[5].laeq_db, max(minutes[0].bands_db), wrong_db))
    for before, after in zip(plain, corrected, strict=True):
        assert before[0] - after[0] == pytest.approx(before[2], abs=0.15)
        assert before[1] - after[1] == pytest.approx(before[2], abs=0.1)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ("20,0\n1000,0\n", "first line"),
        ("frequency_hz,response_db\n20,0\n1000,x\n20000,0\n", "line 3"),
        ("frequency_hz,response_db\n1000,0\n20,0\n20000,0\n", "rising"),
        ("frequency_hz,response_db\n2000,0\n3000,0\n4000,0\n", "enclose 1000"),
        ("frequency_hz,response_db\n20,99\n1000,0\n20000,0\n", "plausible"),
    ],
)
def test_a_bad_response_file_names_the_cause(tmp_path, content, cause):
    (tmp_path / "mic.csv").write_text(content)
    settings = NoiseSettings(response=str(tmp_path / "mic.csv"))
    with pytest.raises(ResponseError, match=cause):
        Station(settings, SystemClock(), print, tmp_path)


# -- a live source ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("age_days", "overdue"), [(10, False), (400, True), (None, True)])
def test_a_live_source_tells_its_calibration_and_whether_it_is_overdue(
    tmp_path, monkeypatch, age_days, overdue
):
    if age_days is not None:
        at = datetime.now(UTC) - timedelta(days=age_days)
        calibration = Calibration(
            full_scale_db=131.0, calibrated_at=at, calibrator_db=94.0, frequency_hz=1000.0, drift_db=0.1
        )
        save_calibration(tmp_path / "calibration.json", calibration)
    samples = (3276.8 * np.sin(2 * np.pi * 1000 * np.arange(3 * 48_000) / 48_000)).astype("<i2")
    read_end, write_end = os.pipe()
    feeder = threading.Thread(target=lambda: os.fdopen(write_end, "wb").write(samples.tobytes()))
    feeder.start()
    with os.fdopen(read_end, "rb") as pipe:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=pipe))
        seconds, _, events = split(played(NoiseSettings(source=StdinSource()), tmp_path))
    feeder.join()
    assert seconds and all(("calibration_overdue" in second.flags) == overdue for second in seconds)
    told = [event for event in events if event.kind == "calibration"]
    whole = next(
        second for second in seconds if "gap" not in second.flags
    )  # the first may be a few samples long
    if age_days is None:
        assert told == [] and whole.laeq_db == pytest.approx(120 - 23.01, abs=0.1)
    else:
        assert told[0].t == at and told[0].detail["full_scale_db"] == 131.0
        assert whole.laeq_db == pytest.approx(131 - 23.01, abs=0.1)


def test_settings_are_checked_key_by_key():
    good = {"source": {"type": "portaudio", "device": "USB", "channel": 2}, "full_scale_db": 118.5}
    assert msgspec.convert(good, NoiseSettings).source == PortAudioSource(device="USB", channel=2)
    for bad, cause in (
        ({"source": {"type": "radio"}}, "radio"),
        ({"source": {"type": "file"}}, "path"),
        ({"source": {"type": "portaudio", "channel": 3, "channels": 2}}, "channels = 2"),
        ({"source": {"type": "stdin", "format": "s8"}}, "s8"),
        ({"full_scale": 120}, "full_scale"),
        ({"events": {"margin_db": -1}}, "margin_db|>= 3"),
        ({"source": {"type": "file", "path": "a.wav", "loop": True, "pace": "fast"}}, "never end"),
    ):
        with pytest.raises(msgspec.ValidationError, match=cause):
            msgspec.convert(bad, NoiseSettings)


def test_relative_paths_are_taken_from_the_given_folder(tmp_path):
    settings = NoiseSettings(
        source=SceneSource(path="a/scene.toml"), calibration="/etc/c.json", response="mic.csv"
    )
    resolved = settings.resolved(tmp_path)
    assert resolved.source == SceneSource(path=str(tmp_path / "a/scene.toml"))
    assert (resolved.calibration, resolved.response) == ("/etc/c.json", str(tmp_path / "mic.csv"))
