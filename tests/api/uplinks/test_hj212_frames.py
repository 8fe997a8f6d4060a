"""Frames and segments against packets that others published, and against everything that is no packet."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.uplinks.hj212.frame import MOST_SEGMENT, BadFrame, Deframer, SegmentTooLong, crc, encode
from api.uplinks.hj212.message import BadSegment, Message, build, parse

MN = "010000A8900016F000169DC0"
PUBLISHED = {
    "annex A of HJ 212-2017": (
        f"##0101QN=20160801085857223;ST=32;CN=1062;PW=100000;MN={MN};Flag=5;CP=&&RtdInterval=30&&1C80"
    ),
    "a public test, style of 2005, lower case": (
        "##0178ST=32;CN=2011;PW=123456;MN=0873HHMZWSLH02;CP=&&DataTime=20160103133030;060-Rtd=3.0943,060-Flag=N;"
        "011-Rtd=18.0412,011-Flag=N;001-Rtd=8.2137,001-Flag=N;B01-Rtd=10.9890,B01-Flag=N&&a9c1"
    ),
    "noise beside dust": (
        "##0379QN=20180427125809000;ST=22;CN=2011;PW=123456;MN=LXHB0CS0306310;Flag=5;CP=&&DataTime=20180427125809;"
        "a34004-Rtd=75600.000,a34004-Flag=N;a34002-Rtd=140600.000,a34002-Flag=N;a34001-Rtd=178000.000,a34001-Flag=N;"
        "a01001-Rtd=24.8,a01001-Flag=N;a01002-Rtd=46.8,a01002-Flag=N;a01006-Rtd=101.380,a01006-Flag=N;"
        "a01007-Rtd=0.0,a01007-Flag=N;a01008-Rtd=25,a01008-Flag=N;LA-Rtd=57.9,LA-Flag=N&&5440"
    ),
    "empty MN, leading zero of the CRC": (
        "##0116QN=20220814021304000;ST=22;CN=2011;PW=123456;MN=;Flag=5;CP=&&DataTime=20220814021304;"
        "a50001-Rtd=0.00,a50001-Flag=B&&06C0"
    ),
}  # fmt: skip
COMPUTED = {
    "live noise": (
        f"##0132QN=20240601120000000;ST=23;CN=2011;PW=123456;MN={MN};Flag=5;"
        "CP=&&DataTime=20240601120000;LA-Rtd=50.1,LA-Flag=N&&0F00"
    ),
    "an hour": (
        f"##0194QN=20240601130000000;ST=23;CN=2061;PW=123456;MN={MN};Flag=5;CP=&&DataTime=20240601120000;"
        "Leq-Data=52.3;L10-Data=55.4;L50-Data=50.2;L90-Data=46.8;LMx-Data=71.9;LMn-Data=43.0&&B101"
    ),
    "a day": (
        f"##0146QN=20240602000500000;ST=23;CN=2031;PW=123456;MN={MN};Flag=5;CP=&&DataTime=20240601000000;"
        "Leq-DayData=53.7;Leq-NightData=44.2&&A3C1"
    ),
    "an answer": f"##0087QN=20240601120000000;ST=91;CN=9014;PW=123456;MN={MN};Flag=4;CP=&&&&4400",
}  # fmt: skip
WRONG = (
    "##0136ST=32;CN=2011;PW=123456;MN=LD130133000015;CP=&&DataTime=20160824003817;B01-Rtd=36.91;011-Rtd=231.0,"
    "011-Flag=N;060-Rtd=1.803,060-Flag=N&&4980"
)
"""A published example whose CRC belongs to another packet: 3C00 would be right."""


@pytest.mark.parametrize("packet", [*PUBLISHED.values(), *COMPUTED.values()], ids=[*PUBLISHED, *COMPUTED])
def test_a_known_packet_is_read_and_made_again_as_it_was(packet: str) -> None:
    (segment,) = Deframer().feed(packet.encode() + b"\r\n")
    assert isinstance(segment, str)
    assert encode(segment).decode().upper() == (packet + "\r\n").upper()
    assert parse(segment).cn in segment


@pytest.mark.parametrize("packet", [*list(PUBLISHED.values())[:1], *COMPUTED.values()])
def test_a_segment_of_2017_is_built_as_it_was(packet: str) -> None:
    (segment,) = Deframer().feed(packet.encode() + b"\r\n")
    assert isinstance(segment, str) and build(parse(segment)) == segment


def test_a_wrong_crc_is_refused_and_the_next_packet_is_read() -> None:
    good = COMPUTED["an hour"].encode() + b"\r\n"
    first, second = Deframer().feed(WRONG.encode() + b"\r\n" + good)
    assert isinstance(first, BadFrame) and first.fault == "crc"
    assert isinstance(second, str) and "CN=2061" in second
    assert crc(WRONG[6:-4].encode()) == 0x3C00


def test_the_crc_is_not_modbus() -> None:
    segment = COMPUTED["live noise"][6:-4].encode()
    modbus = 0xFFFF
    for byte in segment:
        modbus ^= byte
        for _ in range(8):
            modbus = (modbus >> 1) ^ 0xA001 if modbus & 1 else modbus >> 1
    assert crc(segment) == 0x0F00 != modbus


@pytest.mark.parametrize(
    ("raw", "faults"),
    [
        (b"hello\r\n", ["noise"]),
        (b"##12x4QN=1", ["length", "noise"]),
        (b"##9999", ["length", "noise"]),
        (b"##0004abcd0000\n\n", ["end", "noise"]),
        (b"\r\n\r\n", []),
    ],
)
def test_what_is_no_frame_is_told(raw: bytes, faults: list[str]) -> None:
    found = list(Deframer().feed(raw))
    assert [one.fault for one in found if isinstance(one, BadFrame)] == faults


def test_without_a_beginning_memory_stays_bounded() -> None:
    deframer = Deframer()
    for _ in range(200):
        list(deframer.feed(b"##0999" + b"x" * 900))
        list(deframer.feed(b"\r\n" * 900))
        assert len(deframer._buffer) < MOST_SEGMENT + 12


def test_many_frames_in_one_piece_all_come_out() -> None:
    packet = COMPUTED["an answer"]
    found = list(Deframer().feed(b"\r\n" + (packet.encode() + b"\r\n") * 1_000))
    assert found == [packet[6:-4]] * 1_000


def test_a_segment_that_is_too_long_is_refused() -> None:
    assert len(encode("x" * MOST_SEGMENT)) == MOST_SEGMENT + 12
    with pytest.raises(SegmentTooLong):
        encode("x" * (MOST_SEGMENT + 1))


@settings(max_examples=150, deadline=None)
@given(
    packets=st.lists(st.sampled_from([*PUBLISHED.values(), *COMPUTED.values()]), max_size=6),
    cuts=st.lists(st.integers(1, 60), min_size=1, max_size=40),
)
def test_frames_come_out_whole_however_tcp_cuts_them(packets: list[str], cuts: list[int]) -> None:
    stream = b"".join(one.encode() + b"\r\n" for one in packets)
    deframer, found = Deframer(), []
    for n in range(10_000):
        if not stream:
            break
        size = cuts[n % len(cuts)]
        found += list(deframer.feed(stream[:size]))
        stream = stream[size:]
    assert found == [one[6:-4] for one in packets]


@settings(max_examples=300, deadline=None)
@given(raw=st.binary(max_size=300))
def test_any_bytes_are_taken(raw: bytes) -> None:
    for one in Deframer().feed(raw):
        if isinstance(one, str):
            try:
                parse(one)
            except BadSegment as error:
                assert str(error)


@pytest.mark.parametrize(
    "segment", ["", "ST=23;CN=2011;CP=&&", "QN=1;CP=&&&&", "CN=2011;Flag=x;CP=&&&&", "CN=2011;CP=LA-Rtd=1"]
)
def test_a_segment_without_command_or_content_is_refused(segment: str) -> None:
    with pytest.raises(BadSegment):
        parse(segment)


def test_keys_are_found_whatever_their_case() -> None:
    message = parse("QN=1;st=23;Cn=2011;PW=1;MN=;Flag=5;CP=&&DataTime=2024;La-Rtd=50.1,LA-Flag=N&&")
    assert (message.st, message.cn, message.value("LA-RTD")) == ("23", "2011", "50.1")
    assert isinstance(message, Message) and message.answer_wanted
