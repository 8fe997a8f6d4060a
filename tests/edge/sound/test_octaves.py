"""1/3-octave bands: the mask of IEC 61260-1, energy, any chunking."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from edge.sound.curves import nominal_exact_hz
from edge.sound.design import response_db
from edge.sound.iec import breakpoint_ratio, mask_limits
from edge.sound.octaves import (
    HIGHEST_BAND,
    LOWEST_BAND,
    BandEnergy,
    ThirdOctaves,
    band_sections,
    highest_band,
)

RATE = 48_000


def means(taken: BandEnergy) -> np.ndarray:
    return taken.exposure / np.maximum(taken.seconds, 1e-12)


def test_breakpoints_are_those_of_the_standard():
    expected = {
        1 / 8: 1.02667,
        1 / 4: 1.05575,
        3 / 8: 1.08746,
        1 / 2: 1.12202,
        1: 1.29437,
        2: 1.88173,
        3: 3.05365,
        4: 5.39195,
    }
    for exponent, ratio in expected.items():
        assert breakpoint_ratio(exponent) == pytest.approx(ratio, abs=1e-5)


@pytest.mark.parametrize(
    ("band", "rate"), [(43, 48_000), (42, 44_100), (38, 16_000), (39, 24_000), (30, 6000)]
)
def test_band_filters_are_butterworths_within_class_1(band, rate):
    mid = nominal_exact_hz(band)
    own = band_sections(mid, rate)
    edges = np.array([mid * 10**-0.05, mid * 10**0.05])
    reference = signal.butter(4, edges / (rate / 2), "band", output="sos")
    f = np.geomspace(mid / 8, 0.499 * rate, 4000)
    assert response_db(own, f, rate) == pytest.approx(
        response_db(reference, f, rate) - response_db(reference, np.array([mid]), rate), abs=1e-6
    )
    least, most = mask_limits(f / mid)
    attenuation = -response_db(own, f, rate)
    inside = np.abs(np.log(f / mid)) < 0.999 * math.log(breakpoint_ratio(0.5))
    assert (attenuation >= least - 1e-9).all()
    assert (attenuation[inside] <= most[inside]).all()


def test_a_band_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        band_sections(20_000, 44_100)


@pytest.mark.parametrize(
    ("rate", "highest"), [(96_000, 43), (48_000, 43), (44_100, 42), (32_000, 41), (16_000, 38), (8000, 35)]
)
def test_the_highest_band_is_the_last_that_fits(rate, highest):
    assert highest_band(rate) == highest
    octaves = ThirdOctaves(rate)
    octaves.push(np.random.default_rng(0).standard_normal(2 * rate))
    assert np.flatnonzero(octaves.take().seconds)[-1] + LOWEST_BAND == highest


@pytest.mark.parametrize("band", [11, 14, 20, 26, 30, 35, 40, 43])
def test_a_tone_at_mid_band_reads_its_level(band, tone):
    hz = nominal_exact_hz(band)
    octaves = ThirdOctaves(RATE)
    octaves.push(tone(RATE, hz, 200 / hz + 1))
    octaves.take()
    octaves.push(tone(RATE, hz, 400 / hz + 1))
    got = 10 * np.log10(means(octaves.take()) / 0.005)
    assert got[band - LOWEST_BAND] == pytest.approx(0.0, abs=0.02)
    others = np.delete(got, range(max(0, band - LOWEST_BAND - 1), min(33, band - LOWEST_BAND + 2)))
    assert others.max() < -35


def test_bands_together_have_the_energy_of_a_band_limited_burst():
    """Parseval: what the bands hold together is what was put in, within the ripple where neighbours overlap."""
    time = np.arange(8 * RATE) / RATE
    random = np.random.default_rng(9)
    window = np.where((time > 1) & (time < 6), np.sin(np.pi * (time - 1) / 5) ** 2, 0.0)
    sound = window * sum(
        0.01 * np.sin(2 * np.pi * hz * time + random.uniform(0, 6)) for hz in np.geomspace(60, 9000, 400)
    )
    octaves = ThirdOctaves(RATE)
    octaves.push(sound)
    together = octaves.take().exposure.sum()
    assert 10 * math.log10(together / ((sound**2).sum() / RATE)) == pytest.approx(0.0, abs=0.15)


def test_white_noise_rises_by_a_decibel_a_band():
    octaves = ThirdOctaves(RATE)
    octaves.push(np.random.default_rng(4).standard_normal(120 * RATE))
    got = 10 * np.log10(means(octaves.take()))[13:]
    widths = np.array(
        [nominal_exact_hz(n) * (10**0.05 - 10**-0.05) for n in range(LOWEST_BAND + 13, HIGHEST_BAND + 1)]
    )
    assert got == pytest.approx(10 * np.log10(widths / (RATE / 2)), abs=0.35)


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(RATE // 10, 150_000), max_size=12))
def test_any_chunking_gives_the_same_energy(cuts):
    noise = np.random.default_rng(6).standard_normal(150_000)
    one = ThirdOctaves(RATE)
    one.push(noise)
    whole = one.take()
    many = ThirdOctaves(RATE)
    for part in np.split(noise, sorted(cuts)):
        if len(part):
            many.push(part)
    parts = many.take()
    assert parts.exposure == pytest.approx(whole.exposure, rel=1e-9)


def test_what_is_taken_in_portions_adds_up():
    noise = np.random.default_rng(8).standard_normal(10 * RATE)
    one, many, total = ThirdOctaves(RATE), ThirdOctaves(RATE), BandEnergy()
    one.push(noise)
    for part in np.split(noise, 10):
        many.push(part)
        total.add(many.take())
    whole = one.take()
    assert total.seconds == pytest.approx(whole.seconds, abs=0.05)
    assert 10 * np.log10(means(total) / means(whole)) == pytest.approx(np.zeros(33), abs=0.1)


def test_an_offset_does_not_ring_in_the_low_bands():
    octaves = ThirdOctaves(RATE)
    octaves.push(0.3 + 1e-5 * np.random.default_rng(1).standard_normal(5 * RATE))
    assert 10 * np.log10(means(octaves.take())[:4].max()) < -110
