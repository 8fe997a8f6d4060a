from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.flags import NOISE_EXCLUDED, NoiseFlag, WaterFlag, names, parse
from contract.messages import NoiseFlagName, WaterFlagName


@pytest.mark.parametrize(("kind", "wire"), [(NoiseFlag, NoiseFlagName), (WaterFlag, WaterFlagName)])
def test_the_wire_knows_exactly_the_flags_of_the_enum_in_its_order(kind, wire):
    assert [str(flag.name).lower() for flag in kind] == list(get_args(wire))


@given(st.sets(st.sampled_from(get_args(NoiseFlagName))))
def test_flags_come_back_as_they_were(wire):
    assert set(names(parse(NoiseFlag, wire))) == wire


def test_an_unknown_flag_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown flag 'lek'; known: leak, burst"):
        parse(WaterFlag, ["leak", "lek"])


def test_each_flag_is_one_bit_and_fits_a_small_integer():
    for kind in (NoiseFlag, WaterFlag):
        assert [flag.value for flag in kind] == [1 << bit for bit in range(len(kind))]
        assert max(flag.value for flag in kind) < 2**15


def test_quiet_late_and_partly_measured_seconds_count():
    for flag in (NoiseFlag.UNDER_RANGE, NoiseFlag.GAP, NoiseFlag.LATE, NoiseFlag.CALIBRATION_OVERDUE):
        assert not flag & NOISE_EXCLUDED
