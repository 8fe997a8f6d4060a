"""What a simulated device owes, the packets it speaks in, and the labels of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.simulate import mqtt_packets as packets
from app.simulate import truth
from app.simulate.outstanding import MESSAGE_READINGS, WINDOW, Outstanding
from app.simulate.readings import NoiseReadings, WaterReadings
from app.simulate.scenario import DAY_S, Scenario, sites_for, text_of
from app.simulate.statistics import Lags

START = 1_772_366_400


def test_the_backlog_goes_newest_first_in_messages_and_within_the_window() -> None:
    one = Outstanding()
    one.keep(range(1_000))
    messages = one.take(450)
    assert [(part[0], part[-1]) for part in messages] == [(800, 999), (600, 799), (550, 599)]
    assert one.depth == 550
    one.sent(list(range(10_000, 10_000 + WINDOW - 30)), 0.0, live=True)
    assert sum(map(len, one.take(2_000))) == 30
    assert max(map(len, messages)) == MESSAGE_READINGS


@given(
    st.lists(st.tuples(st.sampled_from(["made", "send", "confirm", "expire", "break"]), st.integers(1, 60)))
)
def test_whatever_happens_a_reading_is_owed_until_it_is_confirmed(
    steps: list[tuple[str, int]],
) -> None:
    one, owed, on_the_way, made = Outstanding(), set[int](), list[int](), 0
    for now_s, (step, count) in enumerate(steps):
        if step == "made":
            one.keep(range(made, made + count))
            owed |= set(range(made, made + count))
            made += count
        elif step == "send":
            for part in one.take(count):
                one.sent(part, float(now_s), live=False)
                on_the_way += part
        elif step == "confirm":
            told = on_the_way[:count]
            gone, late = one.confirmed([(seq, seq) for seq in told])
            assert {seq for seq, _ in gone} <= owed and len(gone) + late == len(owed & set(told))
            owed -= set(told)
            del on_the_way[:count]
        elif step == "expire":
            one.expire(float(now_s), patience_s=float(count))
        else:
            one.disconnected()
        waiting = [seq for first, last in one.waiting for seq in range(first, last + 1)]
        assert len(waiting) == len(set(waiting))
        assert set(waiting) | one.under_way.keys() == owed and one.depth == len(owed)


def test_what_is_not_confirmed_in_time_is_sent_again_and_an_answer_may_come_late() -> None:
    one = Outstanding()
    one.sent([1, 2, 3], 0.0, live=True)
    assert one.expire(29.0) == 0
    assert one.expire(31.0) == 3
    assert one.confirmed([(2, 2)]) == ([], 1)
    assert one.waiting == [(1, 1), (3, 3)]


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.integers(1, 40))
def test_packets_are_cut_alike_however_they_arrive(payloads: list[bytes], piece: int) -> None:
    stream = b"".join(packets.publish(b"qw/v1/s/d/stored", one, 7) for one in payloads)
    parser = packets.Parser()
    found = [
        packets.published(head, body)
        for at in range(0, len(stream), piece)
        for head, body in parser.feed(stream[at : at + piece])
    ]
    assert found == [("qw/v1/s/d/stored", one, 7) for one in payloads]


def test_a_length_that_no_packet_has_is_told() -> None:
    with pytest.raises(packets.BadPacket):
        list(packets.Parser().feed(b"\x30\xff\xff\xff\xff\x01"))


def test_lags_are_told_by_share_and_since_a_moment() -> None:
    lags = Lags()
    for hundredths in range(1, 101):
        lags.add(hundredths / 100 - 0.005)
    assert (lags.below(0.5), lags.below(0.99)) == (pytest.approx(0.5), pytest.approx(0.99))
    before = lags.copy()
    lags.add(7.0)
    assert lags.since(before).total == 1 and lags.since(before).below(0.5) == pytest.approx(7.01)


def test_the_labels_are_whole_files_and_name_what_touches_the_run(tmp_path: Path) -> None:
    scenario = Scenario(5, 3_000, 3_000, sites_for(3_000, 3_000), START)
    noise, water = NoiseReadings(scenario), WaterReadings(scenario)
    count = truth.write(tmp_path, noise, water, (START, START + DAY_S))
    lines = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    assert len(lines) == count
    kinds = {line["kind"] for line in lines}
    assert kinds >= {"construction", "square_dancing", "horns", "night_noise", "outage", "toilet", "drip"}
    for line in lines:
        assert line["from"] < line["to"] and line["from"] < text_of(START + DAY_S), line
        assert (line["kind"] in ("outage", "stuck", "reversed")) == ("size" not in line)
    told = json.loads((tmp_path / "scenario.json").read_text())
    begin, end = told.pop("begin_s"), told.pop("end_s")
    assert Scenario(**told) == scenario and (begin, end) == (START, START + DAY_S)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scenario.json", "truth.jsonl"]
