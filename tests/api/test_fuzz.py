"""A short run of the fuzzer in every suite; ``make fuzz-api`` runs it longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.series.interface import SeriesStore
from tests.api import seeding
from tests.api.fuzz import city, run

PARTS = 3


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_no_request_of_anybody_makes_us_fail_or_answer_otherwise_than_the_document_says(
    part: int, tmp_path: Path, series: SeriesStore
) -> None:
    with city(tmp_path, series) as app:
        result = run(app, 2, part=part, parts=PARTS)
    assert result.faults == []
    assert result.statuses.total() > 10 * len(seeding.ROLES)
    assert {200, 403} <= {status for _, status in result.statuses}
