import gzip
import threading
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from contract.clock import CatchUpClock
from edge.water.poller import Poller
from edge.water.register import NoAnswer
from edge.water.replay import Replay, ReplaySeries
from edge.water.replay_clean import cleaned
from edge.water.replay_data import ReplayDataError, epoch_us, load_tracks
from edge.water.settings import ReplaySettings, WaterConfigError, WaterSettings
from tests.edge.water.bench import Output, wait_until
from tests.edge.water.vectors import DATA

EXCERPT = DATA / "daiad_excerpt.csv"
ANCHOR = datetime(2026, 6, 1, tzinfo=UTC)
WEEK = timedelta(days=7)


class SetClock:
    """A clock that a test sets."""

    speed = 1000.0

    def __init__(self, t):
        self.t = t

    def now(self):
        return self.t


def excerpt(**keys):
    return ReplaySettings(name="demo", file=str(EXCERPT), anchor=ANCHOR, **keys)


def series_of(settings):
    return ReplaySeries(load_tracks(settings), settings)


def played(series, start, end):
    return list(series.between(epoch_us(start), epoch_us(end)))


def test_the_data_is_mapped_onto_the_clock_by_its_anchor():
    series = series_of(excerpt())
    first = next(series.between(epoch_us(ANCHOR) - 1, epoch_us(ANCHOR) + 10**10))
    # The data begins on Monday 2016-10-24 at 00:24:27 with meter M012 or M040, and is played on a Monday.
    raw = sorted(line.split(",")[1] for line in EXCERPT.read_text().splitlines()[1:])[0]
    offset = datetime.fromisoformat(raw) - datetime(2016, 10, 24)  # noqa: DTZ001
    assert first.t_us == epoch_us(ANCHOR + offset)
    assert series.meters == ["m012", "m040"]


def test_a_cycle_is_the_whole_weeks_of_the_data_and_the_register_goes_on():
    series = series_of(excerpt())
    one = played(series, ANCHOR, ANCHOR + 3 * WEEK)
    two = played(series, ANCHOR + 3 * WEEK, ANCHOR + 6 * WEEK)
    assert len(one) == len(two) == sum(1 for _ in EXCERPT.open()) - 1
    for name in series.meters:
        a, b = ([p for p in part if p.meter == name] for part in (one, two))
        span = a[-1].volume_steps - a[0].volume_steps
        assert [p.volume_steps + span for p in a] == [p.volume_steps for p in b]
        assert [p.t_us + 3 * 7 * 86_400 * 10**6 for p in a] == [p.t_us for p in b]
        assert b[0].volume_steps == a[-1].volume_steps


@pytest.mark.parametrize("weeks", [-7, -1, 0, 5, 52])
def test_the_register_never_falls_but_where_the_data_does(weeks):
    series = series_of(excerpt())
    start = ANCHOR + weeks * WEEK
    falls = 0
    for name in series.meters:
        own = [p.volume_steps for p in played(series, start, start + 3 * WEEK) if p.meter == name]
        falls += sum(b < a for a, b in pairwise(own))
    assert falls == 1  # the recorded one, once a cycle


def test_what_is_played_depends_on_the_time_alone():
    series = series_of(excerpt())
    whole = played(series, ANCHOR, ANCHOR + 2 * WEEK)
    parts, at = [], ANCHOR
    while at < ANCHOR + 2 * WEEK:
        parts += played(series, at, min(ANCHOR + 2 * WEEK, at + timedelta(hours=5.3)))
        at += timedelta(hours=5.3)
    assert parts == whole
    assert series_of(excerpt()).at("m012", epoch_us(ANCHOR + WEEK)) == series.at(
        "m012", epoch_us(ANCHOR + WEEK)
    )


def test_reading_at_any_time_gives_the_newest_register(tmp_path):
    replay = Replay(excerpt(), SetClock(ANCHOR), lambda _: None, tmp_path)
    reader = replay.reader("m012")
    own = [p for p in played(replay.series, ANCHOR - 3 * WEEK, ANCHOR + 3 * WEEK) if p.meter == "m012"]
    times = [p.t_us for p in own]
    for hours in (0, 1, 100, 503):
        at = ANCHOR + timedelta(hours=hours)
        reading = reader.read(at)
        assert reading.volume_steps == own[bisect_right(times, epoch_us(at)) - 1].volume_steps
        assert reading.t <= at
    once = Replay(excerpt(repeat=False), SetClock(ANCHOR), lambda _: None, tmp_path)
    with pytest.raises(NoAnswer):
        once.reader("m012").read(ANCHOR - timedelta(hours=1))


def test_defects_stay_unless_they_are_to_be_mended():
    tracks = load_tracks(excerpt())
    defects = [_defects(one) for one in tracks]
    assert sum(fall for fall, _double, _gap in defects) == 1
    assert sum(double for _fall, double, _gap in defects) == 2
    assert sum(gap for _fall, _double, gap in defects) == 5
    for one in tracks:
        mended = cleaned(one, 1000)
        assert _defects(mended) == (0, 0, 0)
        assert mended.times_us[0] == one.times_us[0]
        assert set(one.times_us) <= set(mended.times_us)
        gains = sum(max(0, b - a) for a, b in pairwise(one.steps))
        assert abs((mended.steps[-1] - mended.steps[0]) - gains) <= 6  # what a duplicate gained counts later


def _defects(track):
    times = list(pairwise(track.times_us))
    falls = sum(b < a for a, b in pairwise(track.steps))
    return falls, sum(a == b for a, b in times), sum(b - a > 5_500_000_000 for a, b in times)


def test_a_gap_is_filled_as_the_week_before_was(tmp_path):
    lines, register = ["t,meter,reading_l"], 0
    start = datetime(2026, 1, 5)  # noqa: DTZ001
    for hour in range(14 * 24):
        t = start + timedelta(hours=hour)
        register += 10 if t.hour == 7 else 0
        if not (7 * 24 + 2 <= hour < 7 * 24 + 20):
            lines.append(f"{t.isoformat()},A,{register}")
    path = tmp_path / "gap.csv"
    path.write_text("\n".join(lines))
    (track,) = load_tracks(ReplaySettings(name="g", file=str(path)))
    mended = cleaned(track, 1000)
    assert len(mended.times_us) == 14 * 24
    steps_at = dict(zip(mended.times_us, mended.steps, strict=True))
    day = start + timedelta(days=7)
    assert steps_at[epoch_us(day + timedelta(hours=6))] == 70
    assert steps_at[epoch_us(day + timedelta(hours=7))] == 80


def test_first_run_plays_history_then_what_comes(tmp_path):
    clock, output = SetClock(ANCHOR + WEEK), Output()
    stop = threading.Event()
    thread = threading.Thread(target=Replay(excerpt(history_h=24), clock, output, tmp_path).run, args=(stop,))
    thread.start()
    series = series_of(excerpt())
    past = played(series, ANCHOR + WEEK - timedelta(hours=24), ANCHOR + WEEK)
    wait_until(lambda: len(output.items) == len(past))
    assert [(one.meter, epoch_us(one.t), one.volume_steps) for one in output.readings] == [
        (one.meter, one.t_us, one.volume_steps) for one in past
    ]
    clock.t += timedelta(hours=3)
    wait_until(lambda: len(output.items) == len(past) + 6)
    stop.set()
    thread.join(timeout=60)
    # The device is away for a week, and then emits what was missed, once.
    clock.t += WEEK
    again = Output()
    stop.clear()
    thread = threading.Thread(target=Replay(excerpt(history_h=24), clock, again, tmp_path).run, args=(stop,))
    thread.start()
    missed = played(series, ANCHOR + WEEK + timedelta(hours=3), clock.t)
    wait_until(lambda: len(again.items) == len(missed))
    stop.set()
    thread.join(timeout=60)
    assert [epoch_us(one.t) for one in again.readings] == [one.t_us for one in missed]


def test_stopping_amid_a_long_past_loses_and_doubles_nothing(tmp_path):
    clock = SetClock(ANCHOR + 20 * WEEK)
    settings = excerpt(history_h=24 * 7 * 20)
    everything: list = []
    for limit in (1000, 2500, None):
        stop = threading.Event()

        def emit(reading, stop=stop, limit=limit):
            everything.append(reading)
            if limit is not None and len(everything) >= limit:
                stop.set()

        thread = threading.Thread(target=Replay(settings, clock, emit, tmp_path).run, args=(stop,))
        thread.start()
        expected = played(series_of(settings), ANCHOR, clock.t)
        if limit is None:
            wait_until(lambda expected=expected: len(everything) >= len(expected))
            stop.set()
        thread.join(timeout=60)
    assert [(one.meter, epoch_us(one.t)) for one in everything] == [(one.meter, one.t_us) for one in expected]


def test_a_clock_that_was_set_back_goes_on_playing(tmp_path):
    for at in (ANCHOR + 5 * WEEK, ANCHOR + WEEK):
        clock, output, stop = SetClock(at), Output(), threading.Event()
        thread = threading.Thread(target=Replay(excerpt(), clock, output, tmp_path).run, args=(stop,))
        thread.start()
        wait_until(lambda clock=clock, at=at: clock.t == at)
        clock.t += timedelta(hours=2)
        wait_until(lambda output=output: len(output.items) >= 2)
        stop.set()
        thread.join(timeout=60)


def test_at_a_thousand_times_the_speed(tmp_path):
    now = datetime.now(UTC)
    clock, output, stop = CatchUpClock(now - timedelta(hours=20), now, 3600), Output(), threading.Event()
    poller = Poller(WaterSettings(replays=(excerpt(),)), clock, output, tmp_path)
    thread = threading.Thread(target=poller.run, args=(stop,))
    thread.start()
    wait_until(lambda: len(output.items) >= 16)
    stop.set()
    thread.join(timeout=60)
    times = [one.t for one in output.readings]
    assert times == sorted(times)
    assert times[0] > now - timedelta(hours=20)


def test_a_recording_that_is_not_repeated_comes_to_its_end(tmp_path):
    output = Output()
    clock = SetClock(ANCHOR + 4 * WEEK)
    settings = excerpt(repeat=False, history_h=24 * 7 * 10)
    Poller(WaterSettings(replays=(settings,)), clock, output, tmp_path).run(threading.Event())
    assert len(output.items) == sum(1 for _ in EXCERPT.open()) - 1


def test_gzip_wide_layout_units_and_names(tmp_path):
    path = tmp_path / "quarter.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write(
            "time,master,A7\n1780272000,1000.5,12\n1780275600,1001.25,\n2026-06-01T02:00:00Z,1002,13.9\n"
        )
    settings = ReplaySettings(
        name="q", file=str(path), layout="wide", time_column="time", unit_ml=1_000_000, step_ml=10_000, repeat=False,
        meters={"master": "main", "A7": "flat-7"}, anchor=ANCHOR,
    )  # fmt: skip
    series = series_of(settings)
    found = [(one.meter, one.volume_steps) for one in played(series, ANCHOR - WEEK, ANCHOR + WEEK)]
    assert found == [
        ("main", 100_050),
        ("flat-7", 1200),
        ("main", 100_125),
        ("main", 100_200),
        ("flat-7", 1390),
    ]


@pytest.mark.parametrize(
    ("text", "keys", "reason"),
    [
        (None, {}, "cannot be read"),
        ("", {}, "time_column: no column 't'; the header has nothing"),
        ("t,meter,litres\n", {}, "volume_column: no column 'reading_l'; the header has t, meter, litres"),
        ("t,meter,reading_l\n", {}, "holds no reading"),
        ("t,meter,reading_l\nyesterday,A,1\n", {}, "line 2: 'yesterday' is no time"),
        ("t,meter,reading_l\n2026-01-01,A,many\n", {}, "'many' no number"),
        ("t,meter,reading_l\n2026-01-01,A\n", {}, "line 2 has 2 columns, not 3"),
        ("t,meter,reading_l\n2026-01-01,Flat 1,1\n", {}, "'flat 1' cannot name a meter"),
        ("t,meter,reading_l\n2026-01-01,A,1\n", {"meters": {"B": "b"}}, "meters: no reading for b"),
        ("t,meter,reading_l\n2026-01-01,A,1\n", {"data_anchor": datetime(2030, 1, 1)}, "data_anchor"),  # noqa: DTZ001
        ("t,meter,reading_l\n2026-01-01,A,nan\n", {}, "no number"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_played(text, keys, reason, tmp_path):
    path = tmp_path / "x.csv"
    if text is not None:
        path.write_text(text)
    settings = ReplaySettings(name="x", file=str(path), **keys)
    with pytest.raises(ReplayDataError, match=reason):
        Replay(settings, SetClock(ANCHOR), lambda _: None, tmp_path)
    with pytest.raises(WaterConfigError, match=r"water\.replays: file"):
        Poller(WaterSettings(replays=(settings,)), SetClock(ANCHOR), lambda _: None, tmp_path)
