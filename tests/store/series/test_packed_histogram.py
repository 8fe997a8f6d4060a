"""Packed histograms hold what was packed, in this form and in the earlier one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.series.packed_histogram import PackedBins, PackedCounts, pack
from store.series.packed_ints import PackedInts


@given(st.dictionaries(st.integers(-500, 2000), st.integers(1, 10_000_000), max_size=200))
def test_any_histogram_comes_back(histogram: dict[int, int]) -> None:
    bins = sorted(histogram)
    counts = [histogram[one] for one in bins]
    data = pack(bins, counts) or b""
    assert PackedBins(data) == bins == list(PackedBins(data))
    assert PackedCounts(data) == counts
    assert len(PackedBins(data)) == len(PackedCounts(data)) == len(histogram)
    assert bool(PackedBins(data)) == bool(histogram)


def test_an_hour_takes_two_bytes_a_bin() -> None:
    data = pack(range(400, 460), [480] * 60)
    assert data is not None
    assert len(data) == 3 + 60 * 2


def test_the_earlier_form_is_read() -> None:
    data = PackedInts.of([500, 501, 510]).data + PackedInts.of([1, 70_000, 3]).data
    assert (PackedBins(data), PackedCounts(data)) == ([500, 501, 510], [1, 70_000, 3])
    assert PackedBins(data)[1] == 501
    assert PackedCounts(data)[1:] == [70_000, 3]


@pytest.mark.parametrize(
    ("bins", "counts"), [([2, 1], [1, 1]), ([1, 1], [1, 1]), ([1], [1, 2]), ([0, 9000], [1, 1]), ([1], [-1])]
)
def test_what_is_no_histogram_is_refused(bins: list[int], counts: list[int]) -> None:
    with pytest.raises(ValueError, match="ascending bins"):
        pack(bins, counts)
