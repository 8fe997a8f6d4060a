"""A day of seconds through the store into hours, day and night, Lden and LN, against a direct computation."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from scipy import signal

from analysis.energy import energy_mean, lden
from contract.sitetime import SiteClock
from edge.sound.meter import SoundLevelMeter
from edge.sound.minutes import MinuteBuilder
from edge.sound.weighting import sections
from store.series.duckdb_store import DuckDbStore
from store.series.interface import Entry

RATE, DAY = 8000, date(2026, 5, 13)


@pytest.mark.slow
def test_a_day_of_seconds_equals_a_direct_computation(tmp_path):
    clock = SiteClock()
    start = clock.midnight(DAY)
    t0, random = int(start.timestamp()), np.random.default_rng(11)
    noise = random.standard_normal(40 * RATE)
    meter = SoundLevelMeter(RATE, start=t0, a_only=True)
    minutes = MinuteBuilder(120.0)
    store = DuckDbStore(tmp_path / "series.duckdb")
    energy, laf, batch = np.empty(86_400), np.empty((86_400, 125)), []
    weighting = sections("A", RATE).copy()
    state = np.zeros((len(weighting), 2))
    try:
        for k in range(86_400):
            # Quiet at night, traffic that swells and falls, and now and then something loud.
            swell = 6 * np.sin(k / 70) + 4 * np.sin(k / 11) + (12 if 6 * 3600 <= k < 22 * 3600 else 0)
            level = -88 + swell + (25 if random.random() < 0.01 else 0)
            at = int(random.integers(0, 39 * RATE))
            sound = 10 ** (level / 20) * noise[at : at + RATE]
            (second,) = meter.push(sound)
            weighted, state = signal.sosfilt(weighting, sound, zi=state)
            energy[k] = 1e12 * np.mean(weighted**2)
            laf[k] = np.nan
            laf[k, 125 - len(second.laf_samples_db) :] = second.laf_samples_db
            batch.append(second.reading())
            minutes.add(second, second.flags)
            if second.t % 60 == 59:
                batch.append(minutes.close())
            if len(batch) >= 20_000 or k == 86_399:
                entries = [Entry("site", "mic", reading, start) for reading in batch if reading is not None]
                assert store.write(entries).accepted == len(entries)
                batch.clear()
        hours = store.noise_hours("site", "mic", start, start + timedelta(days=1))
        assert len(hours) == 24
        for number, hour in enumerate(hours):
            span = slice(number * 3600, (number + 1) * 3600)
            assert hour.t == start + timedelta(hours=number)
            assert hour.seconds == 3600 and hour.valid_share == pytest.approx(1.0)
            assert hour.laeq_db == pytest.approx(10 * np.log10(energy[span].mean()), abs=0.01)
            samples = laf[span][~np.isnan(laf[span])]
            for percent in (5, 10, 50, 90, 95):
                direct = np.percentile(samples, 100 - percent)
                assert getattr(hour, f"l{percent}_db") == pytest.approx(direct, abs=0.01), (number, percent)
        levels = {hour.t: hour.laeq_db for hour in hours}
        assert _lden(levels, start) == pytest.approx(_direct_lden(energy), abs=0.01)
        day_start, day_end = clock.day_bounds(DAY)
        by_day = [hour.laeq_db for hour in hours if day_start <= hour.t < day_end]
        assert energy_mean(by_day) == pytest.approx(
            10 * np.log10(energy[6 * 3600 : 22 * 3600].mean()), abs=0.01
        )
    finally:
        store.close()


def _lden(levels: dict[datetime, float | None], start: datetime) -> float:
    def mean(hours: range) -> float:
        found = energy_mean([levels[start + timedelta(hours=h % 24)] or 0.0 for h in hours])
        assert found is not None
        return found

    return lden(mean(range(7, 19)), mean(range(19, 23)), mean(range(23, 31)))


def _direct_lden(energy: np.ndarray) -> float:
    hour = np.arange(86_400) // 3600
    penalty = np.where((hour >= 7) & (hour < 19), 1.0, np.where((hour >= 19) & (hour < 23), 10**0.5, 10.0))
    return float(10 * np.log10((energy * penalty).mean()))


def test_utc_is_what_the_store_gets():
    assert SiteClock().midnight(DAY) == datetime(2026, 5, 12, 16, tzinfo=UTC)
