from decimal import Decimal

import pytest

from edge.water import profiles
from edge.water.drivers import decode
from edge.water.profiles import (
    Cjt188Profile,
    LorawanProfile,
    MbusProfile,
    ModbusProfile,
    ProfileError,
    flags_of,
)


@pytest.mark.parametrize("name", profiles.built_in())
def test_every_profile_of_the_product_loads_and_names_its_source(name):
    kinds = (Cjt188Profile, MbusProfile, ModbusProfile, LorawanProfile)
    profile = profiles._load_any(name)
    assert isinstance(profile, kinds)
    assert profile.title
    assert profile.source


def test_no_two_profiles_are_for_one_model():
    claimed = [model for one in profiles._mbus_profiles() for model in one.models]
    assert len(claimed) == len(set(claimed))


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("nothing", MbusProfile, "no profile 'nothing'; there are"),
        ("cjt188", MbusProfile, "is for cjt188, not for mbus"),
        ("/no/such/file.toml", MbusProfile, "cannot be read"),
    ],
)
def test_errors_name_the_profile_and_the_cause(name, kind, text):
    with pytest.raises(ProfileError, match=text):
        profiles.load(name, kind)


BAD = {
    "title": ('driver = "mbus"', "missing required field `title`"),
    "driver": ('driver = "zigbee"\ntitle = "x"', "Invalid value 'zigbee'"),
    "typo": ('driver = "mbus"\ntitle = "x"\nmodel = []', "unknown field `model`"),
    "toml": ("driver = ", "Invalid value"),
    "flag": ('driver = "mbus"\ntitle = "x"\nstatus = [{flag = "leaky", mask = 1}]', "leaky"),
    "layout": ('driver = "cjt188"\ntitle = "x"\nlayout = []', "exactly one field must be the volume"),
    "float": (
        'driver = "modbus"\ntitle = "x"\nvolume = [{register = 0, type = "float32", unit = "m3"}]',
        "needs step_ml",
    ),
    "unit": ('driver = "modbus"\ntitle = "x"\nvolume = [{register = 0, unit = "L/h"}]', "no unit of volume"),
    "scale": (
        'driver = "modbus"\ntitle = "x"\nvolume = [{register = 0, unit = "mL", scale = "0.1"}]',
        "millilitres",
    ),
    "flow": (
        'driver = "modbus"\ntitle = "x"\nvolume = [{register = 0}]\nflow = {register = 2, unit = "L"}',
        "no unit of flow",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files(name, tmp_path):
    text, reason = BAD[name]
    path = tmp_path / f"{name}.toml"
    path.write_text(text)
    with pytest.raises(ProfileError, match=reason):
        profiles._load_any(str(path))


def test_a_new_model_needs_a_file_and_no_code(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('driver = "cjt188"\ntitle = "a meter with litres under 29H"\nunit_29_step_ml = 1000\n')
    frame = "FEFEFEFE6810437632510000008116901F0047700100295148010029202005282058240000A716"
    register = decode("cjt188", bytes.fromhex(frame), profile=str(path))
    assert register.volume_m3 == Decimal("17.047")


def test_rules():
    from edge.water.profiles import StatusRule

    rules = (StatusRule(flag="leak", mask=0x03, value=0x01), StatusRule(flag="dry", mask=0x0C))
    assert flags_of(rules, 0x01) == 1
    assert flags_of(rules, 0x03) == 0
    assert flags_of(rules, 0x0D) == 1 | 8
    assert flags_of(rules, 0x04) == 0
