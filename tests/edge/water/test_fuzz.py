"""The short form of the fuzzing; ``python -m tests.edge.water.fuzz_codecs`` runs a million frames a codec."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.edge.water import fuzz_codecs
from tests.edge.water.fuzz_codecs import CODECS, Broken, Tally, check, codec, fuzz


@pytest.mark.parametrize("name", CODECS)
def test_mutated_frames(name):
    tally = fuzz(name, 5_000, seed=1)
    assert tally.frames > 5_000
    # The check must not pass because nothing gets through, or everything does.
    assert tally.readings > 20
    assert tally.refused > 2_000
    assert len(tally.reasons) >= 5


@pytest.mark.parametrize("name", CODECS)
@settings(max_examples=300, deadline=None)
@given(raw=st.binary(max_size=120), mend=st.booleans())
def test_any_bytes(name, raw, mend):
    one = codec(name)
    check(one, one.mend(raw) if mend else raw, None, Tally())


def test_the_check_can_fail():
    one = codec("mbus")
    raw, key = one.seeds[0]
    with pytest.raises(Broken, match="a reading from a broken frame"):
        check(
            fuzz_codecs.Codec(one.name, one.seeds, one.decode, lambda _raw: False, one.mend),
            raw,
            key,
            Tally(),
        )

    def crash(_raw, _key):
        raise IndexError("list index out of range")

    with pytest.raises(Broken, match="IndexError"):
        check(fuzz_codecs.Codec(one.name, one.seeds, crash, one.is_whole, one.mend), raw, key, Tally())


def test_mutated_lines_of_wmbusmeters():
    assert fuzz_codecs.fuzz_json(3_000, seed=1) > 100
