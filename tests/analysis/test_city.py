import pytest

from analysis.city import PointTime, area_mean_db, grade, hit_rates, road_mean_db


def _points(period: str, counts: list[tuple[int, int]]) -> list[PointTime]:
    return [
        PointTime(str(zone), period, n < passed)  # type: ignore[arg-type]
        for zone, (passed, measured) in enumerate(counts)
        for n in range(measured)
    ]


def test_the_hit_rates_of_dazhou() -> None:
    rates = hit_rates(
        _points("day", [(1, 1), (4, 6), (9, 13), (1, 1), (7, 8)])
        + _points("night", [(1, 1), (5, 6), (9, 13), (1, 1), (5, 8)])
    )
    day, night = rates["all", "day"], rates["all", "night"]
    assert (day.passed, day.measured, day.percent) == (22, 29, 75.9)
    assert (night.passed, night.measured, night.percent) == (21, 29, 72.4)
    assert (rates["1", "day"].percent, rates["1", "night"].percent) == (66.7, 83.3)


def test_the_hit_rates_of_hunan() -> None:
    rates = hit_rates(_points("day", [(151, 156)]) + _points("night", [(139, 156)]))
    assert (rates["all", "day"].percent, rates["all", "night"].percent) == (96.8, 89.1)
    assert hit_rates([]) == {}


@pytest.mark.parametrize(
    ("level", "what", "period", "name"),
    [
        (54.5, "area", "day", "较好"), (46.1, "area", "night", "一般"), (59.3, "road", "day", "好"),
        (51.4, "road", "night", "好"), (50.0, "area", "day", "好"), (50.1, "area", "day", "较好"),
        (50.04, "area", "day", "好"), (65.1, "area", "day", "差"), (74.0, "road", "day", "较差"),
    ],
)  # fmt: skip
def test_grades_of_a_city(level: float, what: str, period: str, name: str) -> None:
    assert grade(level, what, period)[1] == name  # type: ignore[arg-type]


def test_means_of_hj_640() -> None:
    assert area_mean_db([50.0, 60.0]) == 55.0
    assert road_mean_db([(70.0, 1.0), (60.0, 3.0)]) == 62.5
    for empty in (lambda: area_mean_db([]), lambda: road_mean_db([(60.0, 0.0)])):
        with pytest.raises(ValueError):
            empty()
