"""The page about scale quotes what the model computes."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.scale_model import MEASURED, Assumed, needs, table

PAGE = Path(__file__).parents[3] / "docs" / "scale.md"


@pytest.mark.parametrize("batch", MEASURED)
def test_the_page_has_the_table_of_the_model(batch: int) -> None:
    rows = [needs(devices, batch, MEASURED[batch], Assumed()) for devices in (1e4, 1e6, 1e8)]
    assert table(rows) in PAGE.read_text()


def test_twice_as_much_work_or_disk_costs_what_it_says() -> None:
    once = needs(1e6, 1, MEASURED[1], Assumed())
    kept_longer = needs(1e6, 1, MEASURED[1], Assumed(keep_days=180))
    assert kept_longer.disk_tb == pytest.approx(2 * once.disk_tb)
    assert kept_longer.month_usd - once.month_usd == pytest.approx(once.disk_tb * 1000 * 0.10)
    assert needs(1e6, 1, MEASURED[1], Assumed(busy=1.0)).ingest_processes == -(-once.ingest_processes // 2)
