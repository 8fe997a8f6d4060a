import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from contract import codec
from contract.messages import MAX_PAYLOAD_BYTES, MAX_READINGS, NoiseSecond
from contract.schema import payload_schemas
from contract.topics import READING_KINDS
from tests.contract import strategies as some

_VALIDATORS = {kind: Draft202012Validator(schema) for kind, schema in payload_schemas().items()}


@given(st.lists(some.readings, min_size=1, max_size=5), st.sampled_from(READING_KINDS))
def test_readings_come_back_as_they_were_and_fit_the_published_schema(tagged, kind):
    readings = [reading for its_kind, reading in tagged if its_kind == kind]
    payload = codec.encode_array([codec.encode(reading) for reading in readings])
    decoded = codec.decode_readings(kind, payload)
    if not readings:
        assert "array of 0 readings" in decoded.bad[0].reason
        return
    assert decoded.readings == readings
    assert decoded.bad == []
    _VALIDATORS[kind].validate(json.loads(payload))


@given(some.answers, some.statuses, some.configs)
def test_answers_statuses_and_configurations_come_back_as_they_were(stored, status, config):
    assert codec.decode_stored(codec.encode(stored)) == stored
    assert codec.decode_status(codec.encode(status)) == status
    assert codec.decode_config(codec.encode(config)) == config
    for kind, message in (("stored", stored), ("status", status), ("config", config)):
        _VALIDATORS[kind].validate(json.loads(codec.encode(message)))


GOOD = json.loads(codec.encode(some.SECOND))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"laeq_db": "51"}, "Expected `float`, got `str`"),
        ({"laeq_db": None}, "Expected `float`, got `null`"),
        ({"laeq_db": 201}, "Expected `float` <= 200"),
        ({"laeq_db": -50.1}, "Expected `float` >= -50"),
        ({"measured_ms": 0}, "Expected `int` >= 1"),
        ({"seq": -1}, "Expected `int` >= 0"),
        ({"seq": 2**53}, "Expected `int` <= 9007199254740991"),
        ({"seq": True}, "Expected `int`, got `bool`"),
        ({"t": "2026-03-01T12:00:00+08:00"}, "must be UTC"),
        ({"t": "2026-03-01T12:00:00"}, "timezone"),
        ({"t": "2026-03-01T12:00:00.5Z"}, "start of a whole second"),
        ({"t": "2026-03-01T24:00:00Z"}, "Invalid RFC3339"),
        ({"t": 1772366400}, "Expected `datetime`, got `int`"),
        ({"flags": ["loud"]}, "Invalid enum value 'loud'"),
        ({"flags": "gap"}, "Expected `array`, got `str`"),
        ({"colour": "red"}, "unknown field `colour`"),
    ],
)
def test_a_bad_second_is_told_with_its_reason_and_its_neighbours_are_kept(change, reason):
    bad = {**GOOD, "seq": 7, **change}
    decoded = codec.decode_readings("noise", json.dumps([GOOD, bad, {**GOOD, "seq": 9}]).encode())
    assert [reading.seq for reading in decoded.readings] == [1, 9]
    (told,) = decoded.bad
    assert told.index == 1
    assert reason in told.reason
    assert json.loads(told.raw) == bad
    assert told.seq == (7 if bad["seq"] == 7 else None)


@pytest.mark.parametrize("missing", ["seq", "t", "laeq_db", "laf_db"])
def test_a_second_without_what_it_must_have_is_refused(missing):
    payload = json.dumps([{key: value for key, value in GOOD.items() if key != missing}]).encode()
    assert f"missing required field `{missing}`" in codec.decode_readings("noise", payload).bad[0].reason


@pytest.mark.parametrize(
    "payload",
    [b"", b"null", b"{}", b"[", b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b"hello", b"[NaN]", b"NaN",
     b'[{"seq":1,"t":"2026-03-01T12:00:00Z","laeq_db":NaN}]', b'["\xc3\x28"]', b'["\\ud800"]', b"[]",
     json.dumps([GOOD] * (MAX_READINGS + 1)).encode(), b"1" * (MAX_PAYLOAD_BYTES + 1)],
)  # fmt: skip
@pytest.mark.parametrize("kind", READING_KINDS)
def test_what_is_no_array_of_readings_is_bad_and_never_raises(kind, payload):
    decoded = codec.decode_readings(kind, payload)
    assert decoded.readings == []
    assert decoded.bad
    assert all(one.reason for one in decoded.bad)


@settings(max_examples=300)
@given(st.binary(max_size=200), st.sampled_from(READING_KINDS))
def test_no_bytes_make_decoding_raise(payload, kind):
    decoded = codec.decode_readings(kind, payload)
    assert decoded.bad or decoded.readings


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=15,
))  # fmt: skip
def test_no_json_makes_decoding_raise(value):
    for payload in (json.dumps(value), json.dumps([value]), json.dumps([{**GOOD, "lceq_db": value}])):
        for kind in READING_KINDS:
            codec.decode_readings(kind, payload.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("field", ["meter", "kind"])
def test_a_name_with_a_line_break_at_its_end_is_refused(field):
    event = {"seq": 1, "t": "2026-03-01T12:00:00Z", "kind": "tamper", "meter": "m1"}
    assert codec.decode_readings("event", json.dumps([event]).encode()).readings
    event[field] += "\n"
    assert "matching regex" in codec.decode_readings("event", json.dumps([event]).encode()).bad[0].reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"laf_bins": [500, 500], "laf_counts": [1, 1]}, "ascend"),
        ({"laf_bins": [500], "laf_counts": [1, 1]}, "one length"),
        ({"bands_db": [40.0]}, "first_band"),
        ({"t": "2026-03-01T12:00:01Z"}, "whole minute"),
    ],
)
def test_a_minute_that_contradicts_itself_is_refused(change, reason):
    minute = {"seq": 1, "t": "2026-03-01T12:00:00Z", "laf_bins": [1, 2], "laf_counts": [3, 4], **change}
    assert reason in codec.decode_readings("spectrum", json.dumps([minute]).encode()).bad[0].reason


@given(some.noise_seconds)
def test_the_first_of_several_equal_keys_never_mixes_with_the_last(second):
    raw = codec.encode(second)
    doubled = b'{"seq":1,' + raw[1:]
    assert codec.decode_reading("noise", doubled) == second


def test_a_reading_that_is_no_reading_raises_with_the_reason():
    with pytest.raises(msgspec.DecodeError, match="missing required field"):
        codec.decode_reading("noise", b"{}")
    assert isinstance(codec.decode_reading("noise", codec.encode(some.SECOND)), NoiseSecond)
