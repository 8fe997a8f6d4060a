from decimal import Decimal

import pytest

from contract.flags import WaterFlag
from edge.water import modbus_decode
from edge.water.modbus_map import Span, plan, register_of
from edge.water.profiles import ModbusField, ModbusProfile, ModbusStatus, StatusRule
from edge.water.register import FrameRefused


def profile(**keys):
    keys.setdefault("volume", (ModbusField(register=0),))
    return ModbusProfile(title="test", **keys)


def words(values, start=0, table="holding"):
    return {(table, start + index): value for index, value in enumerate(values)}


@pytest.mark.parametrize(
    ("keys", "values", "volume"),
    [
        ({}, [0x0001, 0xE240], "123.456"),
        ({"word_order": "little"}, [0xE240, 0x0001], "123.456"),
        ({"type": "uint16"}, [1234], "1.234"),
        ({"type": "int32"}, [0xFFFF, 0xFFFF], "-0.001"),
        ({"type": "uint64"}, [0, 0, 1, 0xE240], "123.456"),
        ({"type": "bcd32"}, [0x0012, 0x3456], "123.456"),
        ({"unit": "m3", "scale": "0.01"}, [0x0001, 0xE240], "1234.56"),
        ({"unit": "m3"}, [0, 77], "77"),
        ({"type": "float32", "unit": "m3", "step_ml": 1000}, [0x42F6, 0xE979], "123.456"),
        ({"type": "float64", "unit": "m3", "step_ml": 100}, [0x405E, 0xDD2F, 0x1A9F, 0xBE77], "123.4560"),
    ],
)
def test_types_orders_units_and_scales(keys, values, volume):
    register = register_of(words(values), profile(volume=(ModbusField(register=0, **keys),)))
    assert str(register.volume_m3) == volume


def test_a_register_in_two_parts():
    parts = (ModbusField(register=0, unit="m3"), ModbusField(register=2, type="uint16", unit="L"))
    assert register_of(words([0, 77, 123]), profile(volume=parts)).volume_m3 == Decimal("77.123")


def test_flow_reverse_serial_and_status():
    found = register_of(
        words([0, 1000, 0, 5, 360, 0x00BC, 0x614E, 0b101]),
        profile(
            reverse=(ModbusField(register=2),),
            flow=ModbusField(register=4, type="uint16", unit="L/s", scale="0.001"),
            serial=ModbusField(register=5),
            status=(
                ModbusStatus(
                    register=7, rules=(StatusRule(flag="leak", mask=1), StatusRule(flag="dry", mask=2))
                ),
            ),
        ),
    )
    assert found.flow_m3h == Decimal("1.2960")
    assert found.reverse_m3 == Decimal("0.005")
    assert found.serial == "12345678"
    assert found.flags == WaterFlag.LEAK


@pytest.mark.parametrize(
    ("keys", "values", "reason"),
    [
        ({"type": "bcd32"}, [0x00AB, 0x3456], "not in BCD digits"),
        ({"type": "float32", "step_ml": 1000}, [0x7FC0, 0x0000], "no number"),
        ({"type": "float32", "step_ml": 1000}, [0x7F80, 0x0000], "no number"),
        ({}, [0], "register 0 is not among"),
    ],
)
def test_values_that_make_no_sense_are_refused(keys, values, reason):
    with pytest.raises(FrameRefused, match=reason):
        register_of(words(values), profile(volume=(ModbusField(register=0, **keys),)))


def test_plan_reads_neighbours_together_and_far_ones_apart():
    fields = tuple(ModbusField(register=r) for r in (0, 4, 200, 500))
    assert plan(profile(volume=fields)) == [
        Span("holding", 0, 6),
        Span("holding", 200, 2),
        Span("holding", 500, 2),
    ]
    mixed = (ModbusField(register=0), ModbusField(register=2, table="input"))
    assert plan(profile(volume=mixed)) == [Span("holding", 0, 2), Span("input", 2, 2)]
    wide = tuple(ModbusField(register=r) for r in (0, 8, 16, 24))
    assert plan(profile(volume=wide)) == [Span("holding", 0, 26)]


def rtu(hexadecimal):
    raw = bytes.fromhex(hexadecimal)
    return raw + modbus_decode.crc(raw).to_bytes(2, "little")


def test_crc_of_the_serial_line_guide():
    assert modbus_decode.crc(bytes.fromhex("0207")) == 0x1241


@pytest.mark.parametrize(
    "raw", [rtu("0103040001E240"), bytes.fromhex("000100000007010304") + bytes.fromhex("0001E240")]
)
def test_replies(raw):
    assert modbus_decode.decode(raw, profile()).volume_m3 == Decimal("123.456")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (rtu("010300000002"), "registers make"),
        (rtu("018302"), "illegal data address"),
        (rtu("0104040001E240"), "function 04H"),
        (rtu("0103020001"), "2 registers make"),
        # A zero byte more leaves this CRC right: the length must be, too.
        (rtu("0103040001E240") + b"\x00", "7 bytes of reply"),
        (rtu("0103040001E240") + b"\x01", "CRC is"),
        (rtu("0103040001E240")[:-1] + b"\x00", "CRC is"),
        (b"\x01\x03", "shortest reply"),
    ],
)
def test_refusals(raw, reason):
    with pytest.raises(FrameRefused, match=reason):
        modbus_decode.decode(raw, profile())


def test_a_map_of_several_requests_is_not_in_one_reply():
    with pytest.raises(FrameRefused, match="takes 2 requests"):
        modbus_decode.decode(
            rtu("0103040001E240"), profile(volume=(ModbusField(register=0), ModbusField(register=90)))
        )
