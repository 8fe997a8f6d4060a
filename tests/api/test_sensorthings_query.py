"""Paths and query options of SensorThings, parsed: what is understood, and that all else is named and no failure."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from api.sensorthings.conditions import Condition, parse_filter
from api.sensorthings.entities import micros, observation_names, source_names, stream_names, time_of
from api.sensorthings.faults import BadQuery, Fault, NotOffered
from api.sensorthings.model import ID, KINDS
from api.sensorthings.paths import Segment, parse_path, quoted
from api.sensorthings.query import MOST, Order, parse_options

OBSERVATIONS, THINGS, STREAMS = KINDS["Observations"], KINDS["Things"], KINDS["Datastreams"]
MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)


def test_a_filter_is_comparisons_that_all_hold() -> None:
    text = "phenomenonTime ge 2026-03-01T08:00:00+08:00 and (result gt 45.5 and 60 ge result)"
    assert parse_filter(text, OBSERVATIONS) == (
        Condition("phenomenonTime", "ge", MIDNIGHT),
        Condition("result", "gt", 45.5),
        Condition("result", "le", 60.0),
    )
    assert parse_filter("name eq 'it''s and (so)'", THINGS) == (Condition("name", "eq", "it's and (so)"),)
    assert parse_filter("id eq 'x'", THINGS) == parse_filter("@iot.id eq 'x'", THINGS)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("result gt 1 or result lt 0", "'or'"),
        ("not result gt 1", "'not'"),
        ("startswith(name,'a')", "function 'startswith'"),
        ("result add 1 gt 2", "'add'"),
        ("result gt 1 mul 2", "'mul'"),
        ("result eq null", "'null'"),
        ("result gt phenomenonTime", "two properties"),
        ("resultTime gt 2026-03-01T00:00:00Z", "not by 'resultTime'"),
        ("Datastream/name eq 'x'", "not by 'Datastream/name'"),
        ("phenomenonTime ne 2026-03-01T00:00:00Z", "is compared by eq, gt, ge, lt, le"),
    ],
)
def test_what_the_standard_knows_and_we_do_not_offer_is_named(text: str, named: str) -> None:
    with pytest.raises(NotOffered, match=named):
        parse_filter(text, OBSERVATIONS)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "empty"),
        ("result", "too early"),
        ("result like 3", "'like'"),
        ("result gt 'loud'", "a number"),
        ("result gt 3)", "not expected"),
        ("(result gt 3", "too early"),
        ("(" * 50 + "result gt 3", "brackets within each other"),
        ("loudness gt 3", "not by 'loudness'"),
        ("3 gt 2", "needs a property"),
        ("result gt 3 §", "not understood at '§'"),
        ("phenomenonTime ge 2026-03-01T00:00:00", "no zone"),
        ("phenomenonTime ge 2026-13-01T00:00:00Z", "no time"),
        ("phenomenonTime ge 0001-01-01T00:00:00+14:00", "no time"),
    ],
)
def test_what_makes_no_sense_is_named(text: str, named: str) -> None:
    with pytest.raises(BadQuery, match=named):
        parse_filter(text, OBSERVATIONS)


def test_options_are_read() -> None:
    options = parse_options(
        [
            ("$top", "5000"), ("$skip", "3"), ("$count", "true"), ("$orderby", "name desc, id"),
            ("$select", "id,name,Thing"),
            ("$expand", "Thing($select=name),Observations($top=1;$orderby=phenomenonTime desc;$filter=result gt 3)"),
        ],
        STREAMS, collection=True,
    )  # fmt: skip
    assert (options.top, options.page(), options.skip, options.count) == (5000, MOST, 3, True)
    assert options.orders == (Order("name", True), Order(ID))
    assert options.select == (ID, "name", "Thing")
    thing, observations = options.expands
    assert (thing.name, thing.options.select) == ("Thing", ("name",))
    assert observations.options.top == 1
    assert observations.options.orders == (Order("phenomenonTime", True),)
    assert observations.options.conditions == (Condition("result", "gt", 3.0),)


@pytest.mark.parametrize(
    ("items", "fault", "named"),
    [
        ([("$search", "x")], NotOffered, r"\$search"),
        ([("$resultFormat", "dataArray")], NotOffered, r"\$resultFormat"),
        ([("$expand", "Observations/Datastream")], NotOffered, "one level"),
        ([("$expand", "Thing($expand=Locations)")], NotOffered, "one level"),
        ([("$orderby", "description")], NotOffered, "'description'"),
        ([("$select", "properties/site")], NotOffered, "whole properties"),
        ([("site", "x")], BadQuery, "'site'"),
        ([("$top", "1"), ("$top", "2")], BadQuery, "twice"),
        ([("$top", "-1")], BadQuery, "not negative"),
        ([("$top", "٣")], BadQuery, "whole number"),
        ([("$skip", "10001")], BadQuery, "10000 at most"),
        ([("$count", "yes")], BadQuery, "true or false"),
        ([("$orderby", "name up")], BadQuery, "asc or desc"),
        ([("$orderby", "loudness")], BadQuery, "'loudness'"),
        ([("$select", "name,,id")], BadQuery, "empty"),
        ([("$select", "loudness")], BadQuery, "'loudness'"),
        ([("$expand", "Things")], BadQuery, "'Things'"),
        ([("$expand", "Thing,Thing")], BadQuery, "twice"),
        ([("$expand", "Thing($top=1)")], BadQuery, "single entity"),
        ([("$expand", "Observations($top=1")], BadQuery, "do not close"),
        ([("$expand", "Observations(5)")], BadQuery, "not an option"),
    ],
)
def test_an_option_that_we_do_not_take_is_named(
    items: list[tuple[str, str]], fault: type[Fault], named: str
) -> None:
    with pytest.raises(fault, match=named):
        parse_options(items, STREAMS, collection=True)


def test_options_of_collections_are_refused_for_one_entity() -> None:
    for name in ("$top", "$skip", "$count", "$orderby", "$filter", "$skiptoken"):
        with pytest.raises(BadQuery, match="single entity"):
            parse_options([(name, "1")], STREAMS, collection=False)


def test_paths_are_read() -> None:
    assert parse_path("Things('a''b/c')/Datastreams/") == [Segment("Things", "a'b/c"), Segment("Datastreams")]
    assert parse_path("Things(7)/$ref") == [Segment("Things", "7"), Segment("$ref")]
    for bad in ("", "/Things", "Things(", "Things('a)", "Things//x", "x/" * 13, "Thi ngs"):
        with pytest.raises(BadQuery):
            parse_path(bad)


_WORDS = st.sampled_from(
    [
        "result", "phenomenonTime", "name", "id", "@iot.id", "gt", "eq", "and", "or", "not", "(", ")", ",", ";", "=",
        "/", "$", "'x'", "'", "3", "-1e9", "1e999", "2026-03-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "null",
        "Observations", "Thing", "Datastreams", "$top", "$filter", "$expand", "asc", "desc", "true", " ",
    ]
)  # fmt: skip
_TEXTS = st.one_of(
    st.text(max_size=60), st.lists(_WORDS, max_size=14).map(" ".join), st.lists(_WORDS).map("".join)
)
_NAMES = st.sampled_from(
    ["$top", "$skip", "$count", "$orderby", "$filter", "$select", "$expand", "$skiptoken"]
)
_ITEMS = st.lists(st.tuples(st.one_of(_NAMES, st.text(max_size=12)), _TEXTS), max_size=4)


@settings(deadline=None)
@given(items=_ITEMS, kind=st.sampled_from(sorted(KINDS)), collection=st.booleans())
@example(items=[("$expand", "Thing()")], kind="Datastreams", collection=True)
@example(items=[("$filter", "'")], kind="Things", collection=True)
def test_any_options_are_understood_or_a_fault_that_names_a_part(
    items: list[tuple[str, str]], kind: str, collection: bool
) -> None:
    try:
        options = parse_options(items, KINDS[kind], collection=collection)
    except Fault as fault:
        assert str(fault) and len(str(fault)) < 1000
    else:
        assert options.raw == tuple(items)
        assert 0 <= options.page() <= MOST


@settings(deadline=None)
@given(path=_TEXTS)
def test_any_path_is_understood_or_a_fault(path: str) -> None:
    try:
        steps = parse_path(path)
    except BadQuery:
        return
    assert "/".join(map(str, steps)) == "/".join(map(str, parse_path("/".join(map(str, steps)))))


@settings(deadline=None)
@given(key=st.text(min_size=1, max_size=30))
def test_an_id_survives_its_quotes(key: str) -> None:
    assert parse_path(f"Things({quoted(key)})") == [Segment("Things", key)]


@settings(deadline=None)
@given(text=st.one_of(st.text(max_size=40), st.from_regex(r"device\.a\.b\.1s\.laeq_db\.\d{1,20}")))
def test_any_text_is_an_id_or_none(text: str) -> None:
    for read in (source_names, stream_names, observation_names):
        assert read(text) is None or isinstance(read(text), tuple)


@settings(deadline=None)
@given(t=st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_time_survives_an_id(t: datetime) -> None:
    assert time_of(micros(t)) == t
    assert observation_names(f"device.a.b.1s.laeq_db.{micros(t)}") == ("device.a.b.1s.laeq_db", t)
