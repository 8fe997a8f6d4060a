"""Night flow, by hand."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from analysis.water.night import night_flow, night_flows
from contract.sitetime import SiteClock
from store.series.interface import WaterHour

CLOCK = SiteClock("Asia/Shanghai")
FIRST = datetime(2026, 3, 1, tzinfo=ZoneInfo("Asia/Shanghai"))


def hour(day: int, of_day: int, volume_l: float | None, meter: str = "in") -> WaterHour:
    return WaterHour("q", meter, FIRST + timedelta(days=day, hours=of_day), volume_l, 4)


def test_it_is_the_smallest_hour_of_the_night_over_all_master_meters() -> None:
    rows = [hour(0, n, 100.0) for n in range(24) if n not in (2, 3)]
    rows += [hour(0, 2, 30.0), hour(0, 3, 20.0), hour(0, 2, 5.0, "second"), hour(0, 3, 40.0, "second")]
    rows += [hour(0, 2, 0.0, "flat"), hour(0, 3, 0.0, "flat")]
    assert night_flows(rows, ["in"], CLOCK) == {date(2026, 3, 1): 20.0}
    assert night_flows(rows, ["in", "second"], CLOCK) == {date(2026, 3, 1): 35.0}


def test_a_night_counts_where_every_meter_is_known() -> None:
    rows = [hour(0, 2, 30.0), hour(1, 2, 30.0), hour(1, 3, None), hour(2, 2, 50.0), hour(2, 3, 60.0)]
    rows += [hour(3, 2, 10.0), hour(3, 3, 12.0)]
    found = night_flow(rows, ["in"], CLOCK)
    assert found is not None
    assert (found.date, found.newest_lph, found.median_lph, found.nights) == (date(2026, 3, 4), 10.0, 30.0, 2)
    assert night_flow(rows, [], CLOCK) is None and night_flow([], ["in"], CLOCK) is None
