"""The uplink against a platform over real TCP whose connection is cut again and again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from analysis.days import noise_days
from analysis.exclusions import Span
from analysis.limits import site_clock
from api.uplinks.config import BadUplinks, Hj212Config, read_uplinks
from api.uplinks.hj212.message import Message
from api.uplinks.hj212.profile import NoSuchProfile, profile_of
from api.uplinks.hj212.queue import Row, UplinkQueue
from api.uplinks.hj212.rows import Station, day_rows, hour_rows, minute_row
from api.uplinks.hj212.service import Hj212Uplink
from store.registry.database import Registry
from store.registry.models import Site
from store.series.interface import SeriesStore
from tests.api import seeding
from tests.api.conftest import SetClock
from tests.api.uplinks.platform import Platform

MN = "010000A8900016F000169DC0"
STATION = f"{seeding.OWN_SITE}/dong-men"


def wait_for(condition: Callable[[], object], timeout_s: float = 90.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@contextmanager
def uplink(
    platform: Platform,
    folder: Path,
    series: SeriesStore,
    registry: Registry,
    clock: SetClock,
    **changes: object,
) -> Iterator[Hj212Uplink]:
    config = Hj212Config(
        host="127.0.0.1", port=platform.port, password="123456", stations={STATION: MN}, **changes,  # type: ignore[arg-type]
    )  # fmt: skip
    part = Hj212Uplink(
        "city", config, folder, series, registry, clock, feed_every_s=0.05, over_time_s=0.3, backoff_s=0.01
    )
    part.start()
    try:
        yield part
    finally:
        part.stop()


def unruly(number: int, message: Message) -> str:
    for every, what in ((17, "cut_before"), (19, "cut_after"), (23, "silent"), (29, "cut_after_answer")):
        if number % every == 0:
            return what
    return "answer"


def test_each_hour_arrives_once_however_often_the_connection_is_cut(
    series: SeriesStore, registry: Registry, tmp_path: Path
) -> None:
    end = seeding.NOW.replace(minute=0, second=0)
    expected = {
        f"{one.t + timedelta(hours=8):%Y%m%d%H%M%S}": one
        for one in series.noise_rollups(
            end - timedelta(days=15), end, site=seeding.OWN_SITE, source="dong-men"
        )
        if one.laeq_db is not None
    }
    assert len(expected) > 300
    clock = SetClock()
    with Platform(unruly) as platform:
        # The server too is stopped in the middle: the file goes on where it was.
        with uplink(platform, tmp_path, series, registry, clock, live=False):
            wait_for(lambda: len(platform.arrived) > 100)
        with uplink(platform, tmp_path, series, registry, clock, live=False) as part:
            wait_for(lambda: part.queue.counts()["waiting"] == 0 and not part.feed(deep=True))
            hours = {key[2]: copies for key, copies in platform.arrived.items() if key[1] == "2061"}
            assert part.queue.counts()["dropped"] == 0
    assert platform.cuts > 20 and platform.bad == []
    assert hours.keys() == expected.keys()
    # A copy that goes out again because its answer was lost has the same number and the same words.
    assert all(len(set(copies)) == 1 for copies in hours.values())
    assert any(len(copies) > 1 for copies in hours.values())
    t, one = next(iter(expected.items()))
    assert f"Leq-Data={one.laeq_db:.1f},Leq-Flag=N" in hours[t][0][1]
    assert f"LMx-Data={one.lafmax_db:.1f}" in hours[t][0][1]
    assert hours[t][0][1].startswith("QN=") and ";ST=23;CN=2061;PW=123456;" in hours[t][0][1]


def test_days_and_minutes_go_out_and_live_levels_need_no_answer(
    series: SeriesStore, registry: Registry, tmp_path: Path
) -> None:
    clock = SetClock()
    with Platform() as platform, uplink(platform, tmp_path, series, registry, clock) as part:
        wait_for(lambda: platform.of("2011") and sum(key[1] == "2051" for key in list(platform.arrived)) == 6)
        wait_for(lambda: part.queue.counts()["waiting"] == 0)
        days = sorted(key[2] for key in platform.arrived if key[1] == "2031")
        minutes = sorted(key[2] for key in platform.arrived if key[1] == "2051")
        (live, *_) = platform.of("2011")
    # 22:05 in Beijing on the 2nd: the night of the 1st is over, that of the 2nd is not.
    assert days[-1] == "20260301000000" and len(days) >= 14
    assert minutes == [f"20260302{h:02d}{m:02d}00" for h, m in [*((21, m) for m in range(0, 60, 10))]]
    assert not live.answer_wanted and live.value("LA-Rtd") and live.value("LA-Flag") == "N"
    day = platform.arrived[MN, "2031", days[-3]][0][1]
    assert "Leq-DayData=" in day and "Ld-Data=" in day and "Ln-Data=" in day


def test_the_platforms_requests_are_answered(series: SeriesStore, registry: Registry, tmp_path: Path) -> None:
    with Platform() as platform:
        with uplink(platform, tmp_path, series, registry, SetClock(), live=False) as part:
            wait_for(lambda: part.client.connected and platform._current is not None)

            def asked(
                cn: str, qn: str, cp: dict[str, str] | None = None, **more: str
            ) -> dict[str, list[Message]]:
                platform.ask(cn, cp, **{"mn": MN, **more}, qn=qn)
                refused = lambda: [one for one in platform.of("9011", qn) if one.value("QnRtn") != "1"]  # noqa: E731
                wait_for(lambda: refused() or platform.of("9012", qn))
                return {one: platform.of(one, qn) for one in ("9011", cn, "9012")}

            told = asked("1011", "1")
            assert told["9011"][0].value("QnRtn") == "1" and told["9011"][0].st == "91"
            assert told["1011"][0].value("SystemTime") == "20260302220520" and told["1011"][0].st == "23"
            assert told["9012"][0].value("ExeRtn") == "1"
            assert asked("1012", "2", {"SystemTime": "20260101000000"})["9011"][0].value("QnRtn") == "2"
            assert asked("1061", "3")["1061"][0].value("RtdInterval") == "60"
            assert asked("1062", "4", {"RtdInterval": "30"})["9012"][0].value("ExeRtn") == "1"
            assert asked("1061", "5")["1061"][0].value("RtdInterval") == "30"
            assert asked("1062", "6", {"RtdInterval": "5"})["9012"][0].value("ExeRtn") == "2"
            assert asked("1063", "7")["1063"][0].value("MinInterval") == "10"
            assert asked("1064", "8", {"MinInterval": "5"})["9012"][0].value("ExeRtn") == "1"
            assert asked("1064", "9", {"MinInterval": "7"})["9012"][0].value("ExeRtn") == "2"
            assert platform.of("2011") == []
            assert asked("2011", "10")["9012"][0].value("ExeRtn") == "1"
            wait_for(lambda: platform.of("2011"))
            assert asked("2012", "11")["9012"][0].value("ExeRtn") == "1" and not part.client.talk.live
            assert asked("3020", "12")["9011"][0].value("QnRtn") == "8"
            assert asked("1011", "13", pw="000000")["9011"][0].value("QnRtn") == "3"
            assert asked("1011", "14", mn="ANOTHER")["9011"][0].value("QnRtn") == "4"
            platform.send_raw(b"noise\r\n##0004abcd0000\r\n")
            wait_for(lambda: part.client.stats.bad_frames >= 2)
        with uplink(platform, tmp_path, series, registry, SetClock()) as part:
            talk = part.client.talk  # what the platform set outlives a restart
            assert (talk.live_interval_s, talk.minute_interval_min, talk.live) == (30, 5, False)


def test_the_queue_keeps_hours_longest_and_counts_what_had_to_go(tmp_path: Path) -> None:
    queue = UplinkQueue(tmp_path / "q.sqlite3", most=5)
    minutes = [Row(MN, "2051", f"2026030200{n:02d}00", "DataTime=1", 1) for n in range(5)]
    hours = [Row(MN, "2061", f"20260302{n:02d}0000", "DataTime=1", 0) for n in range(3)]
    assert queue.put(minutes) == 5 and queue.put(minutes) == 0
    assert queue.put(hours) == 3
    waiting = queue.next(10)
    assert [one.row.cn for one in waiting] == ["2061"] * 3 + ["2051"] * 2
    assert [one.row.data_time for one in waiting[3:]] == ["20260302000300", "20260302000400"]
    queue.sent(waiting[0].id, "77")
    queue.sent(waiting[0].id, "88")
    assert queue.next(1)[0].qn == "77"
    queue.acknowledge(waiting[0].id)
    queue.close()
    again = UplinkQueue(tmp_path / "q.sqlite3", most=5)
    assert again.counts() == {"waiting": 4, "acknowledged": 1, "dropped": 3}
    assert again.put(hours[:1]) == 0
    again.forget("20260303000000")
    assert again.put(hours[:1]) == 1
    again.close()


def test_what_is_left_out_flags_its_hours_and_takes_no_part_in_days(
    series: SeriesStore, registry: Registry
) -> None:
    station, profile = Station(seeding.OWN_SITE, "dong-men", MN), profile_of("hj212-2017")
    end = datetime(2026, 2, 27, 12, tzinfo=UTC)
    rain = Span(end - timedelta(hours=6), end - timedelta(hours=4), "rain")
    rows = list(hour_rows(profile, series, station, end - timedelta(hours=8), end, [rain]))
    flags = {row.data_time: "Leq-Flag=D" in row.cp for row in rows}
    assert [flags[at] for at in sorted(flags)] == [False, False, True, True, False, False, False, False]
    with registry.reader() as session:
        site = session.get_one(Site, seeding.OWN_SITE)
    days = day_rows(profile, series, station, site, seeding.NOW, 5, [rain])
    (sent,) = [row for row in days if row.data_time.startswith("20260227")]

    def ld_db(*left_out: Span) -> float:
        on = date(2026, 2, 27)
        (day,) = noise_days(
            series, site_clock(site), site, "dong-men", on, on, now=seeding.NOW, exclusions=left_out
        )
        assert day.ld_db is not None
        return day.ld_db

    assert ld_db(rain) != ld_db()
    assert f"Ld-Data={ld_db(rain):.1f}" in sent.cp


def test_a_minutes_levels_are_those_of_its_seconds(series: SeriesStore) -> None:
    start = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
    row = minute_row(profile_of("hj212-2017"), series, Station(seeding.OWN_SITE, "dong-men", MN), start, 10)
    (window,) = [
        one
        for one in series.noise_windows(start, start + timedelta(minutes=10), site=seeding.OWN_SITE)
        if one.source == "dong-men"
    ]
    assert row is not None and f"Leq-Data={window.laeq_db:.1f}," in row.cp
    assert f"LMx-Data={window.lafmax_db:.1f}," in row.cp


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[hj212.city]\nport = 1", "host"),
        ("[hj212.city", "uplinks.toml"),
        ('[hj212.city]\nhost="h"\nport=1\npassword="a;b"\nstations={}', "password"),
        ('[hj212.city]\nhost="h"\nport=1\npassword="1"\nstations={"a"="1"}', "site/device"),
        ('[hj212.city]\nhost="h"\nport=1\npassword="1"\nstations={"a/b"="1","a/c"="1"}', "same MN"),
        ('[hj212.city]\nhost="h"\nport=1\npassword="1"\nstations={}\nminute_interval_min=7', "divide"),
    ],
)
def test_a_file_that_cannot_be_understood_says_where(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "uplinks.toml").write_text(text)
    with pytest.raises(BadUplinks, match=told):
        read_uplinks(tmp_path)


def test_without_a_file_nothing_goes_out(tmp_path: Path) -> None:
    assert read_uplinks(tmp_path).hj212 == {}
    with pytest.raises(NoSuchProfile, match="hj212-2017"):
        profile_of("hj212-1900")


def test_a_platform_that_is_away_is_waited_for(
    series: SeriesStore, registry: Registry, tmp_path: Path
) -> None:
    with Platform() as away:
        port = away.port
    config = Hj212Config(host="127.0.0.1", port=port, password="1", stations={STATION: MN}, live=False)
    part = Hj212Uplink("city", config, tmp_path, series, registry, SetClock(), backoff_s=0.01)
    thread = threading.Thread(target=part.client.run, args=(part._stop,))
    thread.start()
    assert part.feed(deep=True) > 300 and not part.client.connected
    part._stop.set()
    thread.join(10)
    assert not thread.is_alive() and part.numbers()["waiting"] > 300
    part.queue.close()
