"""SensorThings over the seeded city: entities, links, values equal to the API's own, pages, and who sees what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.app import create_app
from api.context import ApiConfig, ApiContext
from api.ratelimit import Rate
from api.sensorthings import observations
from api.sensorthings.entities import micros
from api.sensorthings.model import KINDS
from api.sensorthings.readings import Seconds, ascending, descending
from store.series.interface import SeriesStore
from tests.api import seeding
from tests.api.conftest import Person

ROOT = "/sensorthings/v1.1"
SITE, DEVICE, METER = seeding.OWN_SITE, "dong-men", "zong-biao"
THING = f"device.{SITE}.{DEVICE}"
LAEQ = f"{ROOT}/Datastreams('{THING}.1s.laeq_db')/Observations"
REGISTER = f"{ROOT}/Datastreams('meter.{SITE}.{METER}.reading.volume_l')/Observations"
HOUR = "phenomenonTime ge 2026-03-02T10:00:00Z and phenomenonTime lt 2026-03-02T11:00:00Z"


@pytest.fixture
def viewer(person: Callable[..., Person]) -> Person:
    return person("viewer")


def found(who: Person, path: str, **options: str) -> dict[str, Any]:
    answer = who.get(path, **{f"${name}": text for name, text in options.items()})
    assert answer.status_code == 200, answer.text
    return answer.json()


def follow(who: Person, page: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a page and those that its links lead to."""
    yield page
    while link := page.get("@iot.nextLink"):
        answer = who.http.get(link)
        assert answer.status_code == 200, answer.text
        yield (page := answer.json())


def everything(who: Person, path: str, **options: str) -> list[dict[str, Any]]:
    return [one for page in follow(who, found(who, path, **options)) for one in page["value"]]


def same(values: list[float | None]) -> Any:
    """Hours are computed anew for each request, by threads whose sums may differ in the last bit."""
    return pytest.approx(values, abs=1e-9)


def briefly(navigation: str) -> str:
    return "Observations($top=1)" if navigation == "Observations" else navigation


def links(entity: dict[str, Any]) -> list[str]:
    return [text for name, text in entity.items() if name.endswith("Link")]


def test_the_root_names_the_eight_sets_and_their_addresses_answer(viewer: Person) -> None:
    root = found(viewer, ROOT)
    assert [one["name"] for one in root["value"]] == list(KINDS)
    for one in root["value"]:
        status = viewer.http.get(one["url"]).status_code
        assert status == (501 if one["name"] == "Observations" else 200), one
    assert found(viewer, f"{ROOT}/") == root
    assert viewer.get(ROOT, site=SITE).status_code == 400


def test_every_link_of_every_kind_leads_somewhere(viewer: Person) -> None:
    first = [found(viewer, f"{ROOT}/{name}", top="1")["value"] for name in KINDS if name != "Observations"]
    first.append(found(viewer, LAEQ, top="1")["value"])
    entities = [one for page in first for one in page]
    assert len(entities) == 7  # a quarter does not move: HistoricalLocations are empty
    for entity in entities:
        own = viewer.http.get(entity["@iot.selfLink"]).json()
        assert own == entity
        for link in links(entity):
            status = viewer.http.get(link).status_code
            across = link.endswith("/Observations") and "FeaturesOfInterest" in link
            assert status == (501 if across else 200), link


def test_a_device_and_a_meter_have_a_stream_for_each_quantity(viewer: Person) -> None:
    def names(thing: str) -> set[str]:
        value = found(viewer, f"{ROOT}/Things('{thing}')/Datastreams")["value"]
        return {one["@iot.id"].removeprefix(thing + ".") for one in value}

    assert names(THING) == {
        *(f"1s.{key}_db" for key in ("laeq", "lafmax", "lafmin", "laf", "lceq", "lcpeak")),
        *(f"1h.{key}_db" for key in ("laeq", "l5", "l10", "l50", "l90", "l95", "lafmax", "lafmin")),
    }
    assert names(f"meter.{SITE}.{METER}") == {"reading.volume_l", "reading.flow_m3h", "1h.volume_l"}
    assert names(f"device.{SITE}.gateway") == set()
    assert viewer.get(f"{ROOT}/Sensors('device.{SITE}.gateway')").status_code == 404


def test_seconds_are_those_of_the_api(viewer: Person) -> None:
    span = {"start": "2026-03-02T10:00:00Z", "end": "2026-03-02T11:00:00Z"}
    own = viewer.get("/noise/seconds", site=SITE, device=DEVICE, **span).json()
    told = everything(viewer, LAEQ, filter=HOUR, orderby="id", top="1000")
    assert len(told) == len(own["t"]) == 3600
    assert [one["result"] for one in told] == own["laeq_db"]
    assert [one["phenomenonTime"].split("/")[0] for one in told] == own["t"]
    first = told[0]
    assert first["phenomenonTime"] == "2026-03-02T10:00:00Z/2026-03-02T10:00:01Z"
    assert first["resultTime"] == "2026-03-02T10:00:01Z"
    assert first["resultQuality"] == {"indicative": True, "valid": True, "flags": []}
    assert first["parameters"] == {"measured_ms": 1000}


def test_seconds_that_do_not_count_say_so(viewer: Person) -> None:
    rain = seeding.NOW - timedelta(hours=seeding.HISTORY_H) + timedelta(hours=9)
    condition = f"phenomenonTime eq {rain:%Y-%m-%dT%H:%M:%SZ}"
    (second,) = found(viewer, LAEQ, filter=condition)["value"]
    assert second["resultQuality"] == {"indicative": True, "valid": False, "flags": ["rain"]}


@pytest.mark.parametrize("key", ["laeq_db", "l10_db", "lafmin_db"])
def test_hours_are_those_of_the_api(viewer: Person, key: str) -> None:
    span = {"start": "2026-03-01T12:00:00Z", "end": "2026-03-02T15:00:00Z"}
    own = viewer.get("/noise/hours", site=SITE, device=DEVICE, **span).json()["hours"]
    path = f"{ROOT}/Datastreams('{THING}.1h.{key}')/Observations"
    told = everything(viewer, path, filter="phenomenonTime ge 2026-03-01T12:00:00Z", orderby="id", top="10")
    assert len(own) == len(told) == 27
    assert [one["result"] for one in told] == same([one[key] for one in own])
    for mine, theirs in zip(told, own, strict=True):
        assert mine["phenomenonTime"].split("/")[0] == theirs["t"]
        assert mine["resultQuality"]["valid_share"] == theirs["valid_share"]
        assert mine["resultQuality"]["not_counted"] == theirs["not_counted"]
        assert mine["resultQuality"]["valid"] == (theirs["not_counted"] == "")
        assert mine["resultQuality"]["excluded_s"] == theirs["excluded_s"]
    assert not all(one["resultQuality"]["valid"] for one in told)


def test_hours_of_months_ago_come_from_the_stored_rows(viewer: Person) -> None:
    span = {"start": "2025-12-01T00:00:00Z", "end": "2025-12-08T00:00:00Z"}
    own = viewer.get("/noise/hours", site=SITE, device=DEVICE, **span).json()["hours"]
    path = f"{ROOT}/Datastreams('{THING}.1h.laeq_db')/Observations"
    week = "phenomenonTime ge 2025-12-01T00:00:00Z and phenomenonTime lt 2025-12-08T00:00:00Z"
    told = everything(viewer, path, filter=week, orderby="phenomenonTime desc", top="50")
    assert [one["result"] for one in told] == [one["laeq_db"] for one in own][::-1]
    assert found(viewer, path, filter=week, count="true", top="0")["@iot.count"] == len(own) > 100


def test_time_left_out_by_hand_is_left_out_here_too(person: Callable[..., Person]) -> None:
    admin = person("admin")
    body = {"reason": "rain", "starts_at": "2026-03-02T12:10:00Z", "ends_at": "2026-03-02T12:40:00Z"}
    assert admin.send("POST", f"/noise/exclusions?site={SITE}", body).status_code == 201
    own = admin.get(
        "/noise/hours", site=SITE, device=DEVICE, start="2026-03-02T12:00:00Z", end="2026-03-02T13:00:00Z"
    )
    (hour,) = own.json()["hours"]
    for key in ("laeq_db", "l10_db"):
        path = f"{ROOT}/Datastreams('{THING}.1h.{key}')/Observations"
        (told,) = found(admin, path, filter="phenomenonTime eq 2026-03-02T12:00:00Z")["value"]
        assert [told["result"]] == same([hour[key]])
        assert told["resultQuality"]["valid_share"] == hour["valid_share"] == 0.5
    assert hour["l10_db"] is None


def test_registers_and_litres_are_those_of_the_api(viewer: Person) -> None:
    newest = found(viewer, REGISTER, orderby="phenomenonTime desc", top="1")["value"][0]
    own = next(one for one in viewer.get(f"/sites/{SITE}/latest").json()["water"] if one["meter"] == METER)
    assert (newest["phenomenonTime"], newest["parameters"]["register_ml"]) == (own["t"], own["register_ml"])
    assert newest["result"] == own["register_ml"] / 1000
    hours = viewer.get(
        "/water/hours", site=SITE, meter=METER, start="2026-03-01T00:00:00Z", end="2026-03-02T14:00:00Z"
    ).json()["hours"]
    path = f"{ROOT}/Datastreams('meter.{SITE}.{METER}.1h.volume_l')/Observations"
    range_ = "phenomenonTime ge 2026-03-01T00:00:00Z and phenomenonTime lt 2026-03-02T14:00:00Z"
    told = everything(viewer, path, filter=range_, orderby="phenomenonTime")
    assert [one["result"] for one in told] == same([one["volume_l"] for one in hours])
    assert len(told) == 38


def test_a_quantity_that_was_not_sent_is_no_observation(viewer: Person) -> None:
    for stream in (f"{THING}.1s.lceq_db", f"meter.{SITE}.{METER}.reading.flow_m3h"):
        answer = found(viewer, f"{ROOT}/Datastreams('{stream}')/Observations", filter=HOUR, count="true")
        assert answer == {"@iot.count": 0, "value": []}


@pytest.mark.parametrize("order", ["phenomenonTime asc", "phenomenonTime desc", "id desc"])
@pytest.mark.parametrize(("path", "top"), [(LAEQ, "700"), (REGISTER, "7")])
def test_pages_hold_each_observation_once(
    viewer: Person, series: SeriesStore, order: str, path: str, top: str
) -> None:
    start = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
    condition = "phenomenonTime ge 2026-03-02T09:30:00Z and phenomenonTime le 2026-03-02T11:00:00Z"
    until = start + timedelta(minutes=90, microseconds=1)
    if path == LAEQ:
        times = list(series.noise_seconds(SITE, DEVICE, start, until).t)
    else:
        times = [one.t for one in series.water_readings(SITE, METER, start, until)]
    told = everything(viewer, path, filter=condition, orderby=order, top=top)
    expected = [micros(t) for t in (reversed(times) if "desc" in order else times)]
    assert [int(one["@iot.id"].rpartition(".")[2]) for one in told] == expected
    assert len(expected) in (5401, 7)


def test_readings_that_arrive_between_two_pages_are_not_told_twice(app: FastAPI, viewer: Person) -> None:
    clock = app.state.context.clock
    newest = found(viewer, LAEQ, orderby="phenomenonTime desc", top="3")
    clock.t += timedelta(minutes=5)
    following = viewer.http.get(newest["@iot.nextLink"]).json()
    ids = [one["@iot.id"] for page in (newest, following) for one in page["value"]]
    assert len(set(ids)) == len(ids) == 6


def test_all_observations_are_told_from_first_to_last_without_a_range(
    viewer: Person, series: SeriesStore
) -> None:
    stored = series.water_readings(SITE, METER, datetime(2000, 1, 1, tzinfo=UTC), seeding.NOW + timedelta(1))
    for order in ("id", "id desc"):
        assert len(everything(viewer, REGISTER, orderby=order, top="60")) == len(stored) > 200
    assert found(viewer, REGISTER, count="true", top="0") == {"@iot.count": len(stored), "value": []}
    count = found(viewer, LAEQ, count="true", top="1")["@iot.count"]
    assert count == series.count("noise", site=SITE, source=DEVICE)


def test_conditions_on_the_result_and_skip_go_through_pages(viewer: Person) -> None:
    all_of_them = [one["result"] for one in everything(viewer, LAEQ, filter=HOUR, orderby="id", top="1000")]
    border = sorted(all_of_them)[-100]
    loud = [one for one in all_of_them if one >= border]
    condition = f"{HOUR} and result ge {border!r}"
    told = [
        one["result"] for one in everything(viewer, LAEQ, filter=condition, orderby="id", top="9", skip="4")
    ]
    assert told == loud[4:]
    assert found(viewer, LAEQ, filter=condition, count="true", top="0")["@iot.count"] == len(loud)


def test_a_search_that_takes_long_goes_on_by_its_link(
    viewer: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observations, "_MOST_READ", 500)
    border = 55.0
    plain = everything(viewer, LAEQ, filter=HOUR, orderby="id", top="1000")
    loud = [one["@iot.id"] for one in plain if one["result"] > border]
    pages = list(
        follow(
            viewer,
            found(
                viewer,
                LAEQ,
                filter=f"phenomenonTime lt 2026-03-02T11:00:00Z and result gt {border}",
                orderby="id",
                skip="3",
            ),
        )
    )
    told = [one["@iot.id"] for page in pages for one in page["value"]]
    assert loud and len(pages) > 20 and len(set(told)) == len(told)
    assert told[-len(loud) :] == loud
    monkeypatch.setattr(observations, "MOST_COUNTED", 1000)
    answer = viewer.get(LAEQ, **{"$count": "true"})
    assert (answer.status_code, answer.json()["errors"][0]["where"]) == (400, "$count")


def test_stretches_cover_a_range_however_much_lies_in_it(viewer: Person, series: SeriesStore) -> None:
    class Fake(Seconds):
        """Ten readings at once, of which there are many, none, and many again."""

        times = [seeding.NOW + timedelta(seconds=n) for n in (*range(300), *range(90_000, 90_200))]

        def read(self, start: datetime, end: datetime):
            inside = [t for t in self.times if start <= t < end]
            return inside[:70], inside[70] if len(inside) > 70 else end

    fake = Fake(series, None, usual=timedelta(minutes=1))  # type: ignore[arg-type]
    low, high = datetime(2000, 1, 1, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)
    assert [t for points, _ in ascending(fake, low, high) for t in points] == fake.times
    assert [t for points, _ in descending(fake, low, high) for t in points] == fake.times[::-1]


def test_expand_select_and_order(viewer: Person) -> None:
    page = found(
        viewer, f"{ROOT}/Things('{THING}')/Datastreams", select="name,Observations", orderby="id", top="2",
        expand="Thing($select=name),Observations($top=2;$select=result;$count=true)",
    )  # fmt: skip
    first = page["value"][0]
    assert set(first) == {
        "name", "Observations@iot.navigationLink", "Thing", "Observations", "Observations@iot.nextLink",
        "Observations@iot.count",
    }  # fmt: skip
    assert first["Thing"] == {"name": f"{SITE}/{DEVICE}"}
    assert [set(one) for one in first["Observations"]] == [{"result"}, {"result"}]
    following = viewer.http.get(first["Observations@iot.nextLink"]).json()
    assert len(following["value"]) == 2 and following["@iot.count"] == first["Observations@iot.count"]
    names = [one["@iot.id"] for one in everything(viewer, f"{ROOT}/Things", orderby="name desc", top="4")]
    assert names == sorted(names, key=lambda one: one.split(".")[2], reverse=True) and len(names) == 15
    (only,) = found(viewer, f"{ROOT}/Things", filter=f"name eq '{SITE}/{DEVICE}'", count="true")["value"]
    assert only["@iot.id"] == THING


def test_properties_values_and_references(viewer: Person) -> None:
    assert found(viewer, f"{ROOT}/Things('{THING}')/name") == {"name": f"{SITE}/{DEVICE}"}
    bare = viewer.get(f"{ROOT}/Things('{THING}')/name/$value")
    assert (bare.text, bare.headers["content-type"]) == (f"{SITE}/{DEVICE}", "text/plain; charset=utf-8")
    references = everything(viewer, f"{ROOT}/Things/$ref", top="4")
    assert len(references) == 15 and all(set(one) == {"@iot.selfLink"} for one in references)
    sensor = found(viewer, f"{ROOT}/Datastreams('{THING}.1h.l10_db')/Sensor")
    assert "not for enforcement" in sensor["metadata"]


def test_levels_of_a_type_approved_meter_are_not_indicative(person: Callable[..., Person]) -> None:
    path = f"{ROOT}/Datastreams('device.shu-yuan.lin-jie.1s.laeq_db')"
    stream = found(person("bureau"), path, expand="Observations($top=1)")
    assert stream["properties"]["indicative"] is False
    assert stream["Observations"][0]["resultQuality"]["indicative"] is False


OTHER = f"device.{seeding.OTHER_SITE}.bei-men"
OTHERS = [
    f"Things('{OTHER}')", f"Things('{OTHER}')/Datastreams", f"Sensors('{OTHER}')", f"Locations('{seeding.OTHER_SITE}')",
    f"FeaturesOfInterest('{seeding.OTHER_SITE}')", f"Datastreams('{OTHER}.1s.laeq_db')",
    f"Datastreams('{OTHER}.1s.laeq_db')/Observations", f"Datastreams('{OTHER}.1h.l10_db')/Thing/name",
    f"Observations('{OTHER}.1s.laeq_db.{micros(seeding.NOW) - 60_000_000}')",
    f"Things('meter.{seeding.OTHER_SITE}.{METER}')", f"Locations('{SITE}')/Things('{OTHER}')",
    f"Things('{THING}')/Datastreams('{OTHER}.1s.laeq_db')",
    f"ObservedProperties('laeq_db')/Datastreams('{OTHER}.1s.laeq_db')",
]  # fmt: skip


@pytest.mark.parametrize("role", ["manager", "viewer"])
def test_ids_of_other_quarters_are_not_there(person: Callable[..., Person], role: str) -> None:
    who, bureau = person(role), person("bureau")
    for path in OTHERS:
        strange = who.get(f"{ROOT}/{path}")
        missing = who.get(
            f"{ROOT}/{path}".replace(seeding.OTHER_SITE, "no-where").replace("bei-men", "no-one")
        )
        assert strange.status_code == missing.status_code == 404, path
        assert strange.json()["code"] == missing.json()["code"] == "not_found"
        crossed = SITE in path
        assert bureau.get(f"{ROOT}/{path}").status_code == (404 if crossed else 200), path


@pytest.mark.parametrize("role", ["committee", "viewer"])
def test_no_collection_and_no_expansion_tells_of_other_quarters(
    person: Callable[..., Person], role: str
) -> None:
    who = person(role)
    others = [word for site, labels in seeding.SITES.items() if site != SITE for word in (site, *labels[:2])]
    for kind in KINDS.values():
        if kind.plural == "Observations":
            continue
        plain = everything(who, f"{ROOT}/{kind.plural}")
        across = kind.plural == "FeaturesOfInterest"
        wide = (
            []
            if across
            else everything(who, f"{ROOT}/{kind.plural}", expand=",".join(map(briefly, kind.navigations)))
        )
        for word in others:
            assert word not in str(plain) + str(wide), (kind.plural, word)
    everyone = found(person("bureau"), f"{ROOT}/Things", count="true", top="0")["@iot.count"]
    assert (found(who, f"{ROOT}/Things", count="true", top="0")["@iot.count"], everyone) == (15, 44)


def test_nobody_and_a_token_without_the_scope_are_refused(person: Callable[..., Person]) -> None:
    assert person().get(f"{ROOT}/Things").status_code == 401
    owner = person("bureau")
    program = person()
    for scopes, status in ((["metrics"], 403), (["read"], 200)):
        made = owner.send("POST", "/me/tokens", {"name": "city hub", "scopes": scopes}).json()
        program.http.headers["Authorization"] = f"Bearer {made['text']}"
        assert program.get(f"{ROOT}/Things").status_code == status
    assert program.http.post(f"/api/v1{ROOT}/Things", json={}).status_code == 405


NOT_OFFERED: list[tuple[str, dict[str, str], int, str]] = [
    ("Observations", {}, 501, "path"),
    (f"FeaturesOfInterest('{SITE}')/Observations", {}, 501, "path"),
    ("FeaturesOfInterest", {"$expand": "Observations"}, 501, "path"),
    ("Things", {"$filter": "name eq 'a' or name eq 'b'"}, 501, "$filter"),
    ("Things", {"$search": "gate"}, 501, "$search"),
    (f"Things('{THING}')/properties/$value", {}, 501, "path"),
    (f"Things('{THING}')/Datastreams/$count", {}, 501, "path"),
    ("Things", {"$skiptoken": "3"}, 400, "$skiptoken"),
    ("Things/Datastreams", {}, 400, "path"),
    (f"Things('{THING}')", {"$top": "1"}, 400, "$top"),
    (f"Things('{THING}')/name", {"$select": "name"}, 400, "$select"),
    (f"Things('{THING}')/name/more", {}, 400, "path"),
    (f"Datastreams('{THING}.1h.l10_db')/Thing('{THING}')", {}, 400, "path"),
    ("Things/$ref", {"$select": "name"}, 400, "$ref"),
    ("Things/$value", {}, 400, "path"),
    ("Things", {"wanted": "all"}, 400, "wanted"),
]


def test_what_is_not_offered_is_said(viewer: Person) -> None:
    for path, options, status, where in NOT_OFFERED:
        answer = viewer.get(f"{ROOT}/{path}", **options)
        kind = answer.headers["content-type"]
        assert (answer.status_code, kind) == (status, "application/problem+json"), (path, options)
        problem = answer.json()
        assert problem["code"] == ("not_offered" if status == 501 else "bad_query")
        assert problem["errors"][0]["where"] == where


def test_what_is_not_there_is_not_found(viewer: Person) -> None:
    for path in (
        "Cities", "Things(7)", f"Things('{THING}')/Colour", "Datastreams('x')", "HistoricalLocations('x')",
        f"Datastreams('{THING}.1s.l10_db')", f"Observations('{THING}.1s.laeq_db.1')",
        f"Observations('{THING}.1s.laeq_db.99999999999999999')",
    ):  # fmt: skip
        assert viewer.get(f"{ROOT}/{path}").status_code == 404, path


def test_links_bear_the_address_that_people_use(context: ApiContext) -> None:
    app = create_app(replace(context, config=ApiConfig(base_url="https://quiet.example/")))
    root = found(Person(app, "viewer"), ROOT)
    assert root["value"][0]["url"] == "https://quiet.example/api/v1/sensorthings/v1.1/Things"


_STEPS = st.sampled_from(
    [
        *KINDS, "Thing", "Sensor", "name", "result", "$value", "$ref", "$count", f"Things('{THING}')", "Things(1)",
        f"Datastreams('{THING}.1h.l10_db')", f"Datastreams('{OTHER}.1h.l10_db')", f"Locations('{SITE}')", "''", "(",
    ]
)  # fmt: skip
_VALUES = st.sampled_from(
    [
        "0", "3", "99999999999999999", "true", "name", "id desc", "phenomenonTime desc", "result lt 50", "name eq 'x'",
        "phenomenonTime gt 2026-03-02T14:00:00Z", "phenomenonTime lt 0001-01-02T00:00:00Z", "Thing", "Datastreams",
        "phenomenonTime gt 9999-12-31T23:59:59Z", "Observations($top=1;$orderby=id desc)", "Things,Datastreams", "",
    ]
)  # fmt: skip
_NAMES = st.sampled_from(
    ["$top", "$skip", "$count", "$orderby", "$filter", "$select", "$expand", "$skiptoken", "$apply", "site"]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_STEPS, min_size=1, max_size=4), options=st.dictionaries(_NAMES, _VALUES, max_size=3))
def test_no_path_and_no_option_makes_us_fail(
    context: ApiContext, steps: list[str], options: dict[str, str]
) -> None:
    who = _unbounded(context)
    answer = who.get(f"{ROOT}/{'/'.join(steps)}", **options)
    assert answer.status_code in (200, 400, 404, 501), answer.text
    told = answer.text.replace(OTHER, "")
    assert seeding.OTHER_SITE not in told


_people: dict[int, Person] = {}


def _unbounded(context: ApiContext) -> Person:
    """A viewer whose requests are not bounded, logged in once a test."""
    if id(context) not in _people:
        config = ApiConfig(user_rate=Rate(1e9, 1e9), address_rate=Rate(1e9, 1e9))
        _people.clear()
        _people[id(context)] = Person(create_app(replace(context, config=config)), "viewer")
    return _people[id(context)]
