import msgspec

from contract.messages import LEVEL_FLOOR_DB, NoiseSecond, WaterReading
from contract.quantities import QUANTITIES


def test_every_level_of_a_second_is_a_row_of_the_table():
    fields = {field.name for field in msgspec.structs.fields(NoiseSecond) if field.name.endswith("_db")}
    assert fields <= QUANTITIES.keys()
    assert {field.name for field in msgspec.structs.fields(WaterReading)} & {"flow_m3h"} <= QUANTITIES.keys()


def test_keys_end_with_their_unit_and_ranges_are_ranges():
    suffixes = {"dB": "_db", "L": "_l", "m³/h": "_m3h", "L/h": "_lph"}
    for key, row in QUANTITIES.items():
        assert key == row.key
        assert key.endswith(suffixes[row.unit])
        assert row.lowest < row.highest
        assert row.zh
        assert row.en


def test_levels_share_the_floor_of_the_messages():
    assert {row.lowest for row in QUANTITIES.values() if row.unit == "dB"} == {LEVEL_FLOOR_DB}
    assert all(row.averaging in ("energy", "none") for row in QUANTITIES.values() if row.unit == "dB")
