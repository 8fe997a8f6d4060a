"""Measured facts from stored hours, against figures worked out from the hours by other means."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from analysis.dossier.assess import assess
from analysis.dossier.gather import measured_facts, usual_period
from analysis.dossier.standard import standard_of
from analysis.water.account import quarter
from store.registry.database import Registry
from store.registry.models import Device, Meter, Site
from store.registry.provisioning import add_meter
from store.series.duckdb_store import DuckDbStore
from store.series.interface import NoiseHour, WaterHour
from tests.analysis.quarter import NOON

FIRST, DAYS = date(2026, 2, 1), 10
LAST = FIRST + timedelta(days=DAYS - 1)
START = datetime(2026, 1, 31, 16, tzinfo=UTC)
"""Midnight of the first date in Shanghai."""
NOW = datetime(2026, 2, 20, 4, tzinfo=UTC)


def hour(device: str, n: int, level: float, highest: float) -> NoiseHour:
    t = START + timedelta(hours=n)
    bins = [round(level * 10)]
    return NoiseHour(
        "garden", device, t, level, level, level, level, level, level, highest, level - 3, 0.0, 3600.0, 1.0, 3600.0,
        3600, "histogram", bins, [3600],
    )  # fmt: skip


def noise(series: DuckDbStore) -> None:
    """Gate: 50 dB by day, 44 at night, 46 in the first three nights; roof: 47 and 38, the last two dates missing."""
    rows = []
    for n in range(24 * (DAYS + 1)):
        local, night = n % 24, (n - 22) // 24
        by_day = 6 <= local < 22
        gate = 50.0 if by_day else 46.0 if n >= 22 and night < 3 else 44.0
        rows.append(hour("gate", n, gate, 61.0 if n == 26 else 55.0))
        if n < 24 * (DAYS - 2):
            rows.append(hour("roof", n, 47.0 if by_day else 38.0, 55.0))
    series.write_rollups(rows, [])


def facts(session: Session, series: DuckDbStore, topic) -> dict:
    site = session.get(Site, "garden")
    assert site is not None
    return measured_facts(session, series, site, topic, FIRST, LAST, NOW)


def test_noise_of_a_period(series: DuckDbStore, registry: Registry) -> None:
    noise(series)
    with registry.reader() as session:
        found = facts(session, series, "noise")

    def mean(*levels: float) -> float:
        return 10 * math.log10(sum(10 ** (one / 10) for one in levels) / len(levels))

    assert found["noise.area_day"].value == pytest.approx(mean(50, 47))
    assert (found["noise.area_day"].counted, found["noise.area_day"].completeness) == (8, 0.8)
    # The night of the eighth date needs the ninth's first hours, which the roof has not.
    assert found["noise.area_night"].counted == 7
    assert found["noise.area_night"].value == pytest.approx(mean(*[46, 38] * 3, *[44, 38] * 4))
    worst = found["noise.worst_night"]
    assert worst.value == pytest.approx(mean(46, 46, 46, *[44] * 7))
    assert worst.counted == 7 and [one.label.en for one in worst.evidence] == ["Gate"]
    assert "device=gate&first=2026-02-01&last=2026-02-10" in worst.evidence[0].api
    assert found["noise.zone_night"].threshold.value == 45.0
    assert found["noise.hit_day"].value == 1.0
    assert found["noise.hit_night"].value == pytest.approx(14 / 17)
    assert found["noise.night_max_share"].value == pytest.approx(16 / 17)
    # Of 20 days and nights of 24 h the gate has all, the roof eight days and seven nights and two hours.
    assert found["noise.valid_share"].value == pytest.approx((240 + 8 * 16 + 7 * 8 + 2) / 480)
    assert all(one.indicative for one in found.values())


def test_a_quarter_without_noise_devices_or_meters_knows_nothing(
    series: DuckDbStore, registry: Registry
) -> None:
    with registry.session() as session:
        for device in session.query(Device):
            device.enabled = False
        session.flush()
        assert facts(session, series, "noise") == {}


def water(series: DuckDbStore, session: Session) -> None:
    """Master 100 L an hour (30 at 02:00, 20 at 03:00), two flats 40 L each, a garden 12; one flat lacks two dates."""
    for name, role in (("master", "master"), ("flat-2", "household"), ("lawn", "public")):
        add_meter(session, "garden", name, device="cellar", label_zh=name, label_en=name, now=NOON, role=role)
    rows = []
    for n in range(24 * DAYS):
        t, local = START + timedelta(hours=n), n % 24
        rows.append(WaterHour("garden", "master", t, {2: 30.0, 3: 20.0}.get(local, 100.0), 4))
        rows.append(WaterHour("garden", "flat-1", t, 40.0, 4))
        if n < 24 * (DAYS - 2):
            rows.append(WaterHour("garden", "flat-2", t, 40.0, 4))
        rows.append(WaterHour("garden", "lawn", t, 12.0, 4))
    series.write_rollups([], rows)


def test_water_of_a_period(series: DuckDbStore, registry: Registry) -> None:
    with registry.session() as session:
        water(series, session)
        site = session.get(Site, "garden")
        assert site is not None
        site.settings = {"water": {"province": "湖北", "persons": 12, "households": 4}}
    with registry.reader() as session:
        found = facts(session, series, "water")
    let_in = 22 * 100.0 + 50.0
    assert found["water.per_head"].value == pytest.approx(let_in / 12)
    assert found["water.per_head"].threshold.value == 180.0
    assert found["water.per_head"].counted == 10
    assert found["water.loss_share"].value == pytest.approx((let_in - 24 * 92.0) / let_in)
    assert (found["water.loss_share"].counted, found["water.loss_share"].completeness) == (10, 1.0)
    assert found["water.night_ratio"].value == pytest.approx(20.0 / (let_in / 24))
    assert found["water.household_month"].value == pytest.approx(0.96 * 365.25 / 12)
    assert found["water.household_month"].completeness == pytest.approx(0.9)
    assert found["water.metered_share"].value == 0.5
    assert found["water.plan_share"].value is None


def test_the_plan_is_held_against_the_probable_year(series: DuckDbStore, registry: Registry) -> None:
    later = datetime(2026, 2, 10, 4, tzinfo=UTC)
    with registry.session() as session:
        water(series, session)
        january = [
            WaterHour("garden", "master", START - timedelta(hours=n), 100.0, 4) for n in range(1, 31 * 24 + 1)
        ]
        series.write_rollups([], january)
        site = session.get(Site, "garden")
        assert site is not None
        assert facts(session, series, "water")["water.plan_share"].note.en == "the year's plan is not entered"
        site.settings = {"water": {"plan_m3": {"2026": 1000.0}}}
        found = measured_facts(session, series, site, "water", FIRST, LAST, later)["water.plan_share"]
        meters = list(session.query(Meter).filter(Meter.site == "garden"))
        stands = quarter(series, site, meters, date(2026, 2, 10))
        after = measured_facts(
            session, series, site, "water", FIRST, LAST, datetime(2027, 1, 20, 4, tzinfo=UTC)
        )
        whole_year = quarter(series, site, meters, date(2026, 12, 31))
    assert found.note is None
    assert stands.forecast is not None and found.value == pytest.approx(stands.forecast.likely_m3 / 1000.0)
    assert whole_year.forecast is not None
    assert after["water.plan_share"].value == pytest.approx(whole_year.forecast.likely_m3 / 1000.0)


def test_what_the_settings_lack_is_named_as_the_gap(series: DuckDbStore, registry: Registry) -> None:
    with registry.session() as session:
        water(series, session)
        found = facts(session, series, "water")
    judged = {one.indicator.id: one for one in assess(standard_of("water-saving"), found).judged}
    for indicator, told in (("per_head", "people"), ("household_meters", "households"), ("plan", "plan")):
        one = judged[indicator]
        assert one.reason == "no_data" and one.fact.note is not None and told in one.fact.note.en
        assert one.closing is not None and "settings or profile" in one.closing.en


def test_the_usual_period_is_over(registry: Registry) -> None:
    with registry.reader() as session:
        site = session.get(Site, "garden")
        assert site is not None
        assert usual_period(site, NOW) == (date(2026, 1, 20), date(2026, 2, 18))
