"""Noise by the API equals the store: present, series, seconds, hours, days."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from analysis.limits import present_limit
from api.noise_steps import MOST_POINTS, STEPS_S, limit_steps, step_for
from api.present import PresentBoard, judge_level
from api.routes.noise import SecondsOut, SeriesOut
from store.registry.models import Site
from store.series.interface import NoiseWindow, SeriesStore
from tests.api import seeding
from tests.api.conftest import Person

SITE, DEVICE = seeding.OWN_SITE, "dong-men"
HERE = {"site": SITE, "device": DEVICE}


def energy_mean(levels: list[float]) -> float:
    return 10.0 * math.log10(sum(10.0 ** (one / 10.0) for one in levels) / len(levels))


def test_a_site_tells_its_present_level_against_the_night_limit(
    person: Callable[..., Person], series: SeriesStore
) -> None:
    site = person("bureau").get(f"/sites/{SITE}").json()
    assert (site["limit"]["value_db"], site["limit"]["period"]) == (45.0, "night")
    assert site["limit"]["standard"] == "GB 3096-2008"
    # Five minutes into the night: the window must not reach back into the day.
    assert site["window_s"] == 320.0
    start = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
    seconds = series.noise_seconds(SITE, DEVICE, start, seeding.NOW)
    expected = energy_mean(list(seconds.laeq_db))
    level = next(one for one in site["levels"] if one["device"] == DEVICE)
    assert level["laeq_db"] == pytest.approx(expected, abs=0.001)
    assert level["margin_db"] == pytest.approx(expected - 45.0, abs=0.001)
    assert site["worst"]["device"] == DEVICE
    assert site["state"] == level["state"] == "above"
    assert site["alerts"] == {"unanswered": 2, "acknowledged": 0, "pending": 0}
    assert site["devices"] == {"online": 3, "total": 3}
    assert site["indicative"] is True


def test_a_type_approved_meter_is_not_indicative(person: Callable[..., Person]) -> None:
    who = person("bureau")
    assert who.get("/sites/shu-yuan").json()["indicative"] is False
    assert who.get("/noise/hours", site="shu-yuan", device="lin-jie").json()["indicative"] is False
    assert who.get("/noise/hours", **HERE).json()["indicative"] is True


def limit(zone: str = "1", t: datetime = seeding.NOW):
    site = Site(
        name="x",
        label_zh="",
        label_en="",
        zone_class=zone,
        timezone="Asia/Shanghai",
        day_starts_h=6,
        night_starts_h=22,
    )
    return present_limit(site, t)


@pytest.mark.parametrize(
    ("level", "valid_s", "state"),
    [
        (45.0, 600.0, "near"), (45.04, 600.0, "near"), (45.06, 600.0, "above"), (42.1, 600.0, "near"),
        (42.0, 600.0, "below"), (60.0, 1.0, "no_data"), (None, 0.0, "no_data"),
    ],
)  # fmt: skip
def test_a_level_is_judged_by_the_standards_rounding(level: float | None, valid_s: float, state: str) -> None:
    assert judge_level(level, valid_s, limit()) == state


def test_however_many_pages_look_the_store_is_asked_once_in_two_seconds() -> None:
    asked: list[tuple[datetime, datetime]] = []

    class Counting:
        def noise_windows(self, start: datetime, end: datetime, **_more: object) -> list[NoiseWindow]:
            asked.append((start, end))
            return []

    wall = [0.0]
    board = PresentBoard(Counting(), monotonic=lambda: wall[0])  # type: ignore[arg-type]
    site = Site(
        name="x",
        label_zh="",
        label_en="",
        zone_class="1",
        timezone="Asia/Shanghai",
        day_starts_h=6,
        night_starts_h=22,
    )
    for _ in range(50):
        assert board.present([site], {"x": ["a"]}, seeding.NOW)["x"].state == "no_data"
    assert len(asked) == 1
    wall[0] = 2.1
    board.present([site], {"x": ["a"]}, seeding.NOW)
    assert len(asked) == 2


def test_hours_equal_what_the_seconds_say(person: Callable[..., Person], series: SeriesStore) -> None:
    t = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
    answer = person("viewer").get(
        "/noise/hours", **HERE, start=t.isoformat(), end=(t + timedelta(hours=1)).isoformat()
    )
    (hour,) = answer.json()["hours"]
    seconds = series.noise_seconds(SITE, DEVICE, t, t + timedelta(hours=1))
    assert len(seconds.t) == hour["seconds"] == 3600
    assert hour["t"] == "2026-03-02T10:00:00Z"
    assert hour["laeq_db"] == pytest.approx(energy_mean(list(seconds.laeq_db)), abs=0.001)
    assert hour["lafmax_db"] == pytest.approx(max(seconds.lafmax_db), abs=0.001)
    assert hour["l90_db"] < hour["l50_db"] < hour["l10_db"] < hour["lafmax_db"]
    assert (hour["valid_share"], hour["period"], hour["limit_db"]) == (1.0, "day", 55.0)


def test_hours_of_invalid_time_say_so(person: Callable[..., Person]) -> None:
    hours = person("viewer").get("/noise/hours", **HERE).json()["hours"]
    rainy = [one for one in hours if one["excluded_s"].get("rain")]
    assert sum(one["excluded_s"]["rain"] for one in rainy) == 2400.0
    assert all(one["valid_s"] + one["excluded_s"]["rain"] <= 3600.0 for one in rainy)
    assert min(one["valid_share"] for one in rainy) < 0.75
    assert len(hours) == 25


def test_hours_are_widened_to_whole_ones(person: Callable[..., Person]) -> None:
    answer = person("viewer").get(
        "/noise/hours", **HERE, start="2026-03-02T10:20:00Z", end="2026-03-02T11:05:00Z"
    )
    assert [one["t"][11:16] for one in answer.json()["hours"]] == ["10:00", "11:00"]


def test_the_series_has_a_step_for_its_range_and_the_limits_line(person: Callable[..., Person]) -> None:
    answer = person("viewer").get("/noise/series", **HERE).json()
    assert answer["step_s"] == 60
    assert 1300 <= len(answer["t"]) <= MOST_POINTS
    assert (
        len(answer["t"]) == len(answer["laeq_db"]) == len(answer["lafmax_db"]) == len(answer["valid_share"])
    )
    assert [(one["period"], one["value_db"]) for one in answer["limits"]] == [
        ("night", 45.0),
        ("day", 55.0),
        ("night", 45.0),
    ]
    assert answer["limits"][0]["end"] == answer["limits"][1]["start"] == "2026-03-01T22:00:00Z"
    raining = [
        level for level, share in zip(answer["laeq_db"], answer["valid_share"], strict=True) if share == 0.0
    ]
    # 40 minutes of rain that begin 20 seconds into a minute: 39 whole ones.
    assert len(raining) == 39 and set(raining) == {None}
    SeriesOut.model_validate(answer)


def test_a_step_may_be_asked_for_and_is_bounded(person: Callable[..., Person]) -> None:
    who = person("viewer")
    day = {"start": "2026-03-01T14:00:00Z", "end": "2026-03-02T14:00:00Z"}
    assert who.get("/noise/series", **HERE, **day, step_s=3600).json()["step_s"] == 3600
    assert who.get("/noise/series", **HERE, **day, step_s=1).json()["step_s"] == 5


def test_steps_and_limit_lines() -> None:
    assert step_for(600) == 1
    assert step_for(86_400) == 60
    assert step_for(7 * 86_400) == 600
    assert step_for(10 * 365 * 86_400) == STEPS_S[-1]
    site = Site(
        name="x",
        label_zh="",
        label_en="",
        zone_class="4a",
        timezone="Asia/Shanghai",
        day_starts_h=6,
        night_starts_h=22,
    )
    start = datetime(2026, 3, 1, 21, 30, tzinfo=UTC)
    steps = limit_steps(site, start, start + timedelta(days=2))
    assert [one.value_db for one in steps] == [55.0, 70.0, 55.0, 70.0, 55.0]
    assert steps[0].start == start and steps[-1].end == start + timedelta(days=2)
    assert all(a.end == b.start for a, b in itertools.pairwise(steps))
    assert limit_steps(site, start, start) == []


def test_seconds_come_in_pages_that_meet(person: Callable[..., Person]) -> None:
    who = person("viewer")
    window = {"start": "2026-03-02T13:00:00Z", "end": "2026-03-02T13:10:00Z"}
    whole = who.get("/noise/seconds", **HERE, **window, limit=3600).json()
    assert len(whole["t"]) == 600 and whole["next"] is None
    SecondsOut.model_validate(whole)
    paged: list[str] = []
    start = window["start"]
    while start:
        page = who.get("/noise/seconds", **HERE, start=start, end=window["end"], limit=250).json()
        paged += page["t"]
        start = page["next"]
    assert paged == whole["t"]


def test_invalid_seconds_are_shown_with_their_flag(person: Callable[..., Person]) -> None:
    raining = seeding.NOW - timedelta(hours=seeding.HISTORY_H - 9)
    page = person("viewer").get("/noise/seconds", **HERE, start=raining.isoformat(), limit=10).json()
    bit = 1 << page["flag_names"].index("rain")
    assert page["flags"] == [bit] * 10


def test_days_have_verdicts_and_the_night_that_begins_on_the_date(
    person: Callable[..., Person], series: SeriesStore
) -> None:
    answer = person("viewer").get("/noise/days", **HERE, first="2026-03-01", last="2026-03-02").json()
    assert [one["date"] for one in answer["days"]] == ["2026-03-01", "2026-03-02"]
    assert answer["day_limit"]["id"] == "gb3096.class1.day"
    assert answer["days"][1]["night"]["reason"] == "not_over"
    assert answer["days"][1]["night"]["verdict"] == "incomplete"
    assert {one["day"]["limit_db"] for one in answer["days"]} == {55.0}


def test_the_trend_is_the_loudest_of_the_quarter(person: Callable[..., Person], series: SeriesStore) -> None:
    trend = person("viewer").get("/noise/trend", site=SITE).json()
    assert trend["step_s"] == 600 and 140 <= len(trend["t"]) <= 145
    t = trend["t"][100]
    start = datetime.fromisoformat(t)
    each = [
        series.noise_series(SITE, device, start, start + timedelta(minutes=10), step_s=600)[0].laeq_db
        for device, *_ in seeding.DEVICES[SITE]
    ]
    assert trend["laeq_db"][100] == pytest.approx(max(each), abs=0.001)


def test_latest_is_the_newest_stored_second_and_reading(person: Callable[..., Person]) -> None:
    latest = person("viewer").get(f"/sites/{SITE}/latest").json()
    assert {one["device"] for one in latest["noise"]} == {"dong-men", "zhong-ting"}
    assert {one["t"] for one in latest["noise"]} == {"2026-03-02T14:05:19Z"}
    assert len(latest["water"]) == seeding.METERS
    assert all(one["register_ml"] % 1000 == 0 for one in latest["water"])


def test_devices_tell_their_health(person: Callable[..., Person]) -> None:
    items = person("bureau").get("/sites/hu-pan/devices").json()["items"]
    by_name = {one["name"]: one for one in items}
    assert by_name["bei-men"]["health"]["state"] == "online"
    assert by_name["bei-men"]["health"]["temperature_c"] == 48.5
    assert by_name["gateway"]["health"] == {
        **by_name["gateway"]["health"],
        "state": "never_seen",
        "last_seen": None,
    }
    assert len(by_name["gateway"]["meters"]) == seeding.METERS
    gone = person("bureau").get("/sites/shu-yuan/devices").json()["items"]
    assert next(one for one in gone if one["name"] == "gateway")["health"]["state"] == "offline"


def test_events_are_told_in_both_languages(person: Callable[..., Person]) -> None:
    items = person("viewer").get(f"/sites/{SITE}/events").json()["items"]
    told = [one for one in items if one["kind"] != "sound_event"]
    assert [one["kind"] for one in told] == ["overload", "calibration", "restart"]
    assert told[1]["label"] == {"zh": "校准", "en": "Calibration"}
    assert items[0]["label"] == {"zh": "声事件", "en": "Sound event"}


def test_calibrations_tell_their_age_and_what_is_not_on_record(person: Callable[..., Person]) -> None:
    who = person("viewer")
    found = {one["device"]: one for one in who.get(f"/sites/{seeding.OWN_SITE}/calibrations").json()["items"]}
    assert found["dong-men"]["age_days"] == 0 and found["dong-men"]["action"] == "set"
    others = [one for name, one in found.items() if name != "dong-men"]
    assert others and all(one["t"] is None and one["age_days"] is None for one in others)
    assert "gateway" not in found
