import json
from decimal import Decimal

import msgspec
import pytest

from edge.water import wmbus_telegram
from edge.water.mbus_compact import CompactFormats
from edge.water.mbus_security import crc16
from edge.water.mbus_transport import Secrets
from edge.water.profiles import MbusProfile, load
from edge.water.register import FrameRefused
from tests.edge.water import vectors

PROFILE = load("mbus", MbusProfile)
ANY = msgspec.structs.replace(PROFILE, any_medium=True)
OMS = json.loads((vectors.DATA / "oms_annex_n.json").read_text())
KEY = bytes.fromhex(OMS["key"])
MORE = json.loads((vectors.DATA / "wmbus_more.json").read_text())


def decode(raw, key=None, profile=PROFILE):
    return wmbus_telegram.decode(raw, profile, Secrets(key))


@pytest.mark.parametrize("form", ["stripped", "format_a"])
def test_security_profile_b(form):
    register = decode(bytes.fromhex(OMS[form]), KEY, ANY)
    assert (register.serial, register.volume_m3) == (OMS["serial"], Decimal(str(OMS["volume_m3"])))


def test_a_changed_message_is_refused_by_its_mac():
    raw = bytearray(bytes.fromhex(OMS["stripped"]))
    raw[-1] ^= 1
    with pytest.raises(FrameRefused, match="MAC is wrong"):
        decode(bytes(raw), KEY, ANY)


@pytest.mark.parametrize(
    ("key", "reason"),
    [(None, "needs the meter's key"), (bytes(16), "MAC is wrong"), (b"short", "has 5 bytes")],
)
def test_keys(key, reason):
    with pytest.raises(FrameRefused, match=reason):
        decode(bytes.fromhex(OMS["stripped"]), key, ANY)


def test_a_wrong_key_in_mode_5_is_refused():
    vector = vectors.by_id("wmbus", "waterstarm-0")
    with pytest.raises(FrameRefused, match="key does not fit"):
        decode(bytes.fromhex(vector["hex"]), bytes(16))
    with pytest.raises(FrameRefused, match="needs the meter's key"):
        decode(bytes.fromhex(vector["hex"]))


def test_every_crc_of_format_a_is_checked():
    raw = bytes.fromhex(OMS["format_a"])
    for place in range(1, len(raw)):
        broken = raw[:place] + bytes([raw[place] ^ 0x10]) + raw[place + 1 :]
        with pytest.raises(FrameRefused, match=r"CRC is|bytes"):
            decode(broken, KEY, ANY)


@pytest.mark.parametrize("count", [16, 100, 150, 200])
def test_format_b(count):
    """A telegram of that many bytes after its length, with the CRCs of format B, which the length counts."""
    body = bytes.fromhex("44EE4678563412010778041301000000").ljust(count, b"\x2f")
    crcs = 2 if count < 126 else 4
    raw = bytes([count + crcs]) + body
    if crcs == 2:
        raw += crc16(raw).to_bytes(2, "big")
    else:
        first, second = raw[:126], raw[126:]
        raw = first + crc16(first).to_bytes(2, "big") + second + crc16(second).to_bytes(2, "big")
    assert wmbus_telegram.without_crcs(raw)[1:] == body
    assert decode(raw).volume_steps == 1


@pytest.mark.parametrize(
    ("telegram", "reason"),
    [
        ("0F53EE46785634120107780413010000 00", "no telegram of a meter"),
        ("0F44EE46785634120107A204130100 0000", "manufacturer's own format"),
        ("0F44EE467856341201047804130100 0000", "not water"),
        ("0B44EE467856341201078D00", "extended link layer"),
        ("0B44EE467856341201079000", "authentication layer"),
        ("0B44EE467856341201077A00", "header"),
        ("0B44EE467856341201077900", "compact frame"),
        ("0B44EE46785634120107FF00", "CI FFH"),
    ],
)
def test_refusals(telegram, reason):
    raw = bytes.fromhex(telegram)
    with pytest.raises(FrameRefused, match=reason):
        decode(bytes([len(raw) - 1]) + raw[1:])


def test_a_full_frame_teaches_the_format_of_compact_ones():
    headers, data = bytes.fromhex("0413423B"), bytes.fromhex("010000000200")
    full = bytes.fromhex("041301000000423B0200")
    compact = crc16(headers).to_bytes(2, "little") + crc16(full).to_bytes(2, "little") + data
    link = bytes.fromhex("44EE46785634120107")
    raw = bytes([len(link) + 1 + len(compact)]) + link + b"\x79" + compact
    secrets = Secrets(None, CompactFormats())
    with pytest.raises(FrameRefused, match="unknown format"):
        wmbus_telegram.decode(raw, PROFILE, secrets)
    secrets.formats.learn(full)
    assert wmbus_telegram.decode(raw, PROFILE, secrets).volume_steps == 1
    broken = raw[:-1] + b"\x03"
    with pytest.raises(FrameRefused, match="checksum of the compact frame"):
        wmbus_telegram.decode(broken, PROFILE, secrets)


def test_what_telegrams_teach_is_bounded():
    formats = CompactFormats()
    for number in range(400):
        formats.learn(bytes([0x84, number & 0x3F | 0x80, number >> 6, 0x13, 0, 0, 0, 0]))
    assert len(formats._headers) == 100


def test_ids_of_the_radio_module_and_of_the_meter_behind_it():
    gwf = wmbus_telegram.without_crcs(bytes.fromhex(vectors.by_id("wmbus", "gwfwater-1")["hex"]))
    assert wmbus_telegram.ids_of(gwf) == ["10154446", "19680750"]


@pytest.mark.parametrize("vector", MORE["vectors"], ids=lambda one: one["id"])
def test_more_makers(vector):
    found = decode(bytes.fromhex(vector["hex"]), vectors.key_of(vector))
    assert (found.serial, found.volume_m3) == (vector["serial"], Decimal(vector["volume_m3"]))
    if "meter_time" in vector:
        assert found.meter_time == vector["meter_time"]
    if "reverse_m3" in vector:
        assert found.reverse_m3 == Decimal(vector["reverse_m3"])


@pytest.mark.parametrize("vector", MORE["refused"], ids=lambda one: one["id"])
def test_telegrams_without_a_present_register(vector):
    with pytest.raises(FrameRefused):
        decode(bytes.fromhex(vector["hex"]))
