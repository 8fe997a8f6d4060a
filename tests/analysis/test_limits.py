from datetime import UTC, datetime

import pytest

from analysis.limits import present_limit
from store.registry.models import Site

SITE = Site(name="garden", zone_class="1", timezone="Asia/Shanghai", day_starts_h=6, night_starts_h=22)


@pytest.mark.parametrize(
    ("utc", "period", "value"),
    [
        (datetime(2026, 2, 28, 21, 59, 59, tzinfo=UTC), "night", 45.0),  # 05:59:59 in Shanghai
        (datetime(2026, 2, 28, 22, 0, 0, tzinfo=UTC), "day", 55.0),  # 06:00:00
        (datetime(2026, 3, 1, 13, 59, 59, tzinfo=UTC), "day", 55.0),  # 21:59:59
        (datetime(2026, 3, 1, 14, 0, 0, tzinfo=UTC), "night", 45.0),  # 22:00:00
        (datetime(2025, 12, 31, 16, 30, 0, tzinfo=UTC), "night", 45.0),  # 00:30 on New Year's Day
    ],
)
def test_day_and_night_change_on_the_second(utc: datetime, period: str, value: float) -> None:
    limit = present_limit(SITE, utc)
    assert (limit.period, limit.value_db) == (period, value)
    assert limit.since <= utc < limit.until
    assert (limit.standard, limit.verified) == ("GB 3096-2008", "V")


def test_a_night_begins_on_the_evening_before() -> None:
    limit = present_limit(SITE, datetime(2025, 12, 31, 16, 30, tzinfo=UTC))
    assert limit.since == datetime(2025, 12, 31, 14, tzinfo=UTC)
    assert limit.until == datetime(2025, 12, 31, 22, tzinfo=UTC)
