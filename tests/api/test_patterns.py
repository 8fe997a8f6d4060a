"""The profile of the day and the mean spectrum."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest

from analysis.patterns import day_profile, mean_spectrum, nominal_hz
from contract.flags import NoiseFlag
from contract.sitetime import SiteClock
from store.series.interface import NoiseHour, SpectrumMinute
from tests.api import seeding
from tests.api.conftest import Person

HERE = {"site": seeding.OWN_SITE, "device": "dong-men"}
START = datetime(2026, 2, 28, 16, 0, tzinfo=UTC)
"""Midnight of 1 March in Beijing."""


def hour(
    n: int,
    laeq: float | None,
    *,
    share: float = 1.0,
    bins: tuple[int, ...] = (),
    counts: tuple[int, ...] = (),
) -> NoiseHour:
    return NoiseHour(
        "s", "d", START + timedelta(hours=n), laeq, None, None, None, None, None, None, None, None,
        3600.0 * share, share, 3600.0, 3600, "histogram", bins, counts,
    )  # fmt: skip


def test_hours_of_the_day_are_energy_means_and_percentiles_of_merged_histograms() -> None:
    rows = [
        hour(0, 40.0, bins=(400,), counts=(100,)),
        hour(24, 50.0, bins=(500,), counts=(300,)),
        hour(48, 90.0, share=0.5, bins=(900,), counts=(900,)),
        hour(1, None),
    ]
    profile = day_profile(rows, SiteClock(), lambda day: True)
    assert [one.hour for one in profile] == list(range(24))
    assert profile[0].laeq_db == pytest.approx(47.404, abs=0.001)
    assert profile[0].hours == 2
    assert profile[0].l10_db == pytest.approx(50.1, abs=0.1)
    assert profile[0].l90_db == pytest.approx(40.06, abs=0.05)
    assert (profile[1].laeq_db, profile[1].l50_db, profile[1].hours) == (None, None, 0)


def test_dates_are_the_sites_own() -> None:
    rows = [hour(0, 40.0), hour(23, 60.0)]
    second_of_march = day_profile(rows, SiteClock(), lambda day: day == date(2026, 3, 2))
    assert all(one.hours == 0 for one in second_of_march)
    first_of_march = day_profile(rows, SiteClock(), lambda day: day == date(2026, 3, 1))
    assert [one.hour for one in first_of_march if one.hours] == [0, 23]


def test_spectra_are_averaged_by_energy_and_time_without_invalid_minutes() -> None:
    minutes = [
        SpectrumMinute(START, 20, (50.0, 30.0), 60_000, 0),
        SpectrumMinute(START + timedelta(minutes=1), 20, (60.0, 30.0), 60_000, 0),
        SpectrumMinute(START + timedelta(minutes=2), 20, (90.0, 90.0), 60_000, int(NoiseFlag.RAIN)),
        SpectrumMinute(START + timedelta(minutes=3), 20, (), 60_000, 0),
    ]
    bands, counted = mean_spectrum(minutes)
    assert counted == 2
    assert [(one.band, one.nominal_hz) for one in bands] == [(20, 100.0), (21, 125.0)]
    assert bands[0].leq_db == pytest.approx(57.404, abs=0.001)
    assert bands[1].leq_db == pytest.approx(30.0)
    assert mean_spectrum([]) == ([], 0)


def test_bands_have_the_nominal_frequencies_of_iec_61260() -> None:
    assert [nominal_hz(n) for n in (11, 12, 13, 14, 15, 17, 30, 33, 41, 43)] == [
        12.5, 16.0, 20.0, 25.0, 31.5, 50.0, 1000.0, 2000.0, 12500.0, 20000.0,
    ]  # fmt: skip


def test_the_api_tells_working_days_and_days_of_rest_apart(person: Callable[..., Person]) -> None:
    answer = person("viewer").get("/noise/profile", **HERE, first="2026-02-01", last="2026-02-28").json()
    assert (answer["day_limit_db"], answer["night_limit_db"]) == (55.0, 45.0)
    # The Spring Festival of 2026 (15 to 23 February) and its swapped working days are known.
    assert answer["workdays"][12]["hours"] + answer["restdays"][12]["hours"] == 28
    assert answer["restdays"][12]["hours"] > 8
    assert answer["workdays"][12]["laeq_db"] > answer["workdays"][2]["laeq_db"]


def test_the_api_gives_the_spectrum_of_the_last_hour(person: Callable[..., Person]) -> None:
    answer = person("viewer").get("/noise/spectrum", **HERE).json()
    assert 59 <= answer["minutes"] <= 60
    assert answer["bands"][0] == {"band": 14, "nominal_hz": 25.0, "leq_db": pytest.approx(53.6, abs=0.3)}
    assert len(answer["bands"]) == 30


def test_days_of_months_have_verdicts(person: Callable[..., Person]) -> None:
    answer = person("viewer").get("/noise/days", **HERE, first="2026-01-01", last="2026-02-28").json()
    verdicts = {one["night"]["verdict"] for one in answer["days"]}
    assert len(answer["days"]) == 59 and "pass" in verdicts
    for one in answer["days"]:
        assert one["night"]["margin_db"] == pytest.approx(one["night"]["laeq_db"] - 45.0)
