import itertools

from hypothesis import given
from hypothesis import strategies as st

from contract.seqranges import to_ranges


@given(st.lists(st.integers(0, 200)))
def test_ranges_hold_exactly_the_numbers_and_are_as_few_as_can_be(seqs):
    ranges = to_ranges(seqs)
    assert [n for first, last in ranges for n in range(first, last + 1)] == sorted(set(seqs))
    assert all(second[0] > first[1] + 1 for first, second in itertools.pairwise(ranges))


def test_an_example():
    assert to_ranges([3, 1, 2, 7]) == ((1, 3), (7, 7))
    assert to_ranges([]) == ()
