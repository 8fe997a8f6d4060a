"""Scenes: any second at any time the same, levels as asked, times of day as asked."""

import itertools
from datetime import UTC, datetime

import numpy as np
import pytest

from edge.sound.levels import energy_mean_db
from edge.sound.meter import SoundLevelMeter
from edge.sound.sources.base import SourceError
from edge.sound.sources.scene import SceneSound
from edge.sound.sources.scene_file import Window, load_scene

NOON = int(datetime(2026, 5, 13, 4, 0, tzinfo=UTC).timestamp())  # 12:00 in Shanghai, a Wednesday
HOUR = 3600


@pytest.fixture
def scene(tmp_path, recordings):
    """Return a function that makes a scene of TOML text, with the recordings beside it."""
    for clip in recordings.glob("*.ogg"):
        (tmp_path / clip.name).symlink_to(clip)

    def make(text: str, *, seed: int = 0, full_scale_db: float = 120.0) -> SceneSound:
        path = tmp_path / "scene.toml"
        path.write_text(text)
        return SceneSound(path, seed=seed, full_scale_db=full_scale_db)

    return make


def heard(sound: SceneSound, t: int, seconds: int, full_scale_db: float = 120.0):
    meter = SoundLevelMeter(sound.rate_hz, full_scale_db=full_scale_db, start=t)
    return [second for k in range(seconds) for second in meter.push(sound.second(t + k))]


LAYER = '[[layers]]\nclip = "rain-1.ogg"\nlaeq_db = 47.5\n'
DOG = '[[events]]\nclip = "dog-bark-3.ogg"\nlafmax_db = 71.0\n'


@pytest.mark.parametrize("full_scale_db", [120.0, 140.0])
def test_a_layer_has_its_level(scene, full_scale_db):
    seconds = heard(scene(LAYER, full_scale_db=full_scale_db), NOON, 30, full_scale_db)
    assert energy_mean_db([s.laeq_db for s in seconds]) == pytest.approx(47.5, abs=0.1)


def test_an_event_has_its_maximum(scene):
    sound = scene(LAYER.replace("47.5", "20.0") + DOG + 'at = ["12:00:05"]\n')
    seconds = heard(sound, NOON, 15)
    assert max(s.lafmax_db for s in seconds) == pytest.approx(71.0, abs=0.05)
    assert max(s.lafmax_db for s in seconds[:5]) < 40
    assert max(s.lafmax_db for s in heard(sound, NOON + HOUR, 15)) < 40


def test_an_event_has_its_average(scene):
    sound = scene('[[events]]\nclip = "baby-cry-1.ogg"\nlaeq_db = 60.0\nat = ["12:00:00"]\n')
    seconds = heard(sound, NOON, 5)
    assert energy_mean_db([s.laeq_db for s in seconds]) == pytest.approx(60.0, abs=0.1)


def test_any_second_is_the_same_whenever_it_is_made(scene):
    text = LAYER + "wander_db = 3.0\n" + DOG + "every_min = [0.1, 0.5]\nrepeat = [1, 3]\nspread_db = 4.0\n"
    forwards, anew = scene(text), scene(text)
    times = [NOON + k for k in range(60)]
    made = {t: forwards.second(t) for t in times}
    for t in reversed(times):
        assert np.array_equal(anew.second(t), made[t])
    assert np.array_equal(forwards.second(NOON - 400 * 86_400), anew.second(NOON - 400 * 86_400))


def test_seconds_join_without_a_step(scene):
    sound = scene(LAYER + "wander_db = 6.0\nwander_s = 5.0\n")
    joined = np.concatenate([sound.second(NOON + k) for k in range(30)])
    steps = np.abs(np.diff(joined))
    at_joins = steps[sound.rate_hz - 1 :: sound.rate_hz]
    assert at_joins.max() <= steps.max() and at_joins.mean() < 3 * steps.mean()


def test_another_seed_is_another_arrangement(scene):
    text = LAYER + DOG + "every_min = [0.2, 1.0]\n"
    one, other = scene(text, seed=1), scene(text, seed=2)
    assert not np.array_equal(one.second(NOON), other.second(NOON))
    when = [[s.lafmax_db > 60 for s in heard(sound, NOON, 120)] for sound in (one, other)]
    assert when[0] != when[1] and any(when[0]) and any(when[1])


def test_a_layer_comes_and_goes_by_the_local_time_of_day(scene):
    sound = scene(LAYER + 'from = "06:00"\nto = "22:00"\nfade_min = 20\n')
    level = lambda t: energy_mean_db([s.laeq_db for s in heard(sound, t, 6)][1:])  # noqa: E731
    assert level(NOON) == pytest.approx(47.5, abs=0.5)
    assert level(NOON - 6 * HOUR) == pytest.approx(44.5, abs=0.6)  # half of the power at 06:00
    assert level(NOON - 6 * HOUR - 660) < -20
    assert level(NOON + 10 * HOUR + 660) < -20


def test_a_window_spans_midnight(scene):
    sound = scene(LAYER + 'from = "22:00"\nto = "06:00"\nfade_min = 1\n')
    quiet = [np.abs(sound.second(NOON + h * HOUR)).max() == 0.0 for h in (0, 9, 11, 13, 17, 19)]
    assert quiet == [True, True, False, False, False, True]


def test_days_are_those_on_which_a_window_begins(scene):
    sound = scene(LAYER + 'from = "22:00"\nto = "06:00"\nfade_min = 1\ndays = ["wed"]\n')
    silent = lambda h: np.abs(sound.second(NOON + h * HOUR)).max() == 0.0  # noqa: E731
    assert not silent(11) and not silent(14)  # Wednesday night, and its small hours on Thursday
    assert silent(-12 + 2) and silent(24 + 11)


def test_random_events_keep_to_their_hours_and_intervals(scene):
    sound = scene(LAYER.replace("47.5", "10.0") + DOG + 'every_min = [4, 6]\nfrom = "12:00"\nto = "13:00"\n')
    loud = [t for t in range(NOON - 600, NOON + HOUR + 600) if np.abs(sound.second(t)).max() > 1e-4]
    assert loud and NOON <= loud[0] <= NOON + 360 and loud[-1] <= NOON + HOUR + 10
    starts = [t for k, t in enumerate(loud) if k == 0 or t - loud[k - 1] > 20]
    assert 9 <= len(starts) <= 15
    assert all(235 <= b - a <= 365 for a, b in itertools.pairwise(starts))


def test_another_rate_is_resampled(scene):
    sound = scene("rate_hz = 16000\n" + LAYER)
    assert sound.rate_hz == 16_000 and len(sound.second(NOON)) == 16_000
    assert energy_mean_db([s.laeq_db for s in heard(sound, NOON, 20)]) == pytest.approx(47.5, abs=0.1)


@pytest.mark.parametrize(
    ("start", "end", "seconds"),
    [("06:00", "22:00", 57_600), ("22:00", "06:00", 28_800), ("00:00", "24:00", 86_400)],
)
def test_windows_have_their_length(start, end, seconds):
    window = Window(from_=start, to=end)
    assert window.ends_s - window.starts_s == seconds


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "needs"),
        ("[[layers]]\nclip = 'a.ogg'\n", "laeq_db"),
        (LAYER + "zone = 'Asia/Nowhere'", "zone|unknown field"),
        ("zone = 'Asia/Nowhere'\n" + LAYER, "zone"),
        (LAYER + "from = '25:00'", "from"),
        (DOG, "either at or every_min"),
        (DOG + "at = ['06:00']\nlaeq_db = 3.0", "either laeq_db or lafmax_db"),
        (DOG + "every_min = [5, 2]", "every_min"),
        (DOG + "at = ['06:00']\nrepeat = 0", "repeat"),
        ("[[layers", "not valid TOML"),
    ],
)
def test_a_bad_scene_file_names_the_cause(tmp_path, text, cause):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(SourceError, match=cause):
        load_scene(path)


def test_a_missing_clip_is_named(scene):
    with pytest.raises(SourceError, match=r"nowhere\.ogg"):
        scene(LAYER.replace("rain-1", "nowhere"))


def test_a_missing_scene_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"none\.toml"):
        load_scene(tmp_path / "none.toml")
