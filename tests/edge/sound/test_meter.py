"""The streaming meter: levels with closed-form expectations, any chunking, and what makes a second doubtful."""

import math

import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contract.codec import decode_reading, encode
from contract.flags import NoiseFlag
from edge.sound.levels import energy_mean_db
from edge.sound.meter import Limits, SoundLevelMeter
from edge.sound.minutes import MinuteBuilder

RATE = 48_000
LEVELS = (
    "laeq_db", "lceq_db", "lzeq_db", "lafmax_db", "lafmin_db", "laf_db", "lasmax_db", "lasmin_db", "lcpeak_db",
    "lae_db",
)  # fmt: skip


def assert_same(one, other, *, within_db):
    assert [s.t for s in one] == [s.t for s in other]
    for a, b in zip(one, other, strict=True):
        assert a.measured_ms == b.measured_ms and a.flags == b.flags
        for key in LEVELS:
            x, y = getattr(a, key), getattr(b, key)
            assert (x is None) == (y is None)
            assert x is None or abs(x - y) <= within_db, key
        assert a.laf_samples_db == pytest.approx(b.laf_samples_db, abs=within_db)


def pushed(parts, rate=RATE, **settings):
    meter = SoundLevelMeter(rate, **settings)
    return [second for part in parts for second in meter.push(part)] + meter.finish()


# -- levels ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000])
def test_a_tone_of_1_khz_reads_its_level_everywhere(rate, tone, metered):
    *_, last = metered(rate, tone(rate, 1000.0, 14), full_scale_db=120.0)
    level = 120 + 20 * math.log10(0.1) - 10 * math.log10(2)
    for key in ("laeq_db", "lceq_db", "lzeq_db", "lae_db"):
        assert getattr(last, key) == pytest.approx(level, abs=1e-4), key
    for key in ("laf_db", "lafmax_db", "lafmin_db", "lasmax_db", "lasmin_db"):
        assert getattr(last, key) == pytest.approx(level, abs=0.01), key
    assert last.lcpeak_db == pytest.approx(level + 10 * math.log10(2), abs=0.02 if rate > 11_025 else 0.2)


def test_calibration_moves_every_level_alike(tone, metered):
    low, high = (metered(RATE, tone(RATE, 500, 7), full_scale_db=db)[-1] for db in (94.0, 131.5))
    for key in LEVELS:
        assert getattr(high, key) - getattr(low, key) == pytest.approx(37.5, abs=1e-9), key


def test_laeq_has_the_energy_of_a_band_limited_burst(metered):
    """Parseval: a burst whose spectrum lies at exact frequencies has the exposure that its lines have after A."""
    from edge.sound.curves import a_db, c_db

    seconds, random = 4, np.random.default_rng(7)
    time = np.arange(seconds * RATE) / RATE
    window = np.where((time > 1) & (time < 3), np.sin(np.pi * (time - 1) / 2) ** 2, 0.0)
    sound = window * sum(
        0.01 * np.sin(2 * np.pi * hz * time + random.uniform(0, 6)) for hz in np.geomspace(40, 15_000, 25)
    )
    spectrum = np.abs(np.fft.rfft(sound)) ** 2
    spectrum[1:-1] *= 2
    f = np.fft.rfftfreq(len(sound), 1 / RATE)
    heard = metered(RATE, sound)
    for curve, key in ((a_db, "laeq_db"), (c_db, "lceq_db")):
        weighted = (spectrum[1:] * 10 ** (curve(f[1:]) / 10)).sum() / len(sound) ** 2
        assert energy_mean_db([getattr(s, key) for s in heard]) == pytest.approx(
            120 + 10 * math.log10(weighted), abs=0.001
        )
    z = (spectrum[1:]).sum() / len(sound) ** 2
    assert energy_mean_db([s.lzeq_db for s in heard]) == pytest.approx(120 + 10 * math.log10(z), abs=0.001)


@pytest.mark.parametrize("ms", [1000, 200, 50, 10, 2, 0.25])
def test_tonebursts_follow_the_formula(ms, tone, metered):
    steady = metered(RATE, tone(RATE, 4000, 3))[-1].laeq_db
    sound = np.zeros(8 * RATE)
    burst = tone(RATE, 4000, ms / 1000)
    sound[5 * RATE : 5 * RATE + len(burst)] = burst
    heard = metered(RATE, sound)
    fast = 10 * math.log10(1 - math.exp(-ms / 125))
    slow = 10 * math.log10(1 - math.exp(-ms / 1000))
    within = 0.02 if ms >= 10 else 0.2
    assert max(s.lafmax_db for s in heard) - steady == pytest.approx(fast, abs=within)
    assert max(s.lasmax_db for s in heard[5:]) - steady == pytest.approx(slow, abs=within)
    exposure = energy_mean_db([s.laeq_db for s in heard]) + 10 * math.log10(len(heard))
    assert exposure - steady == pytest.approx(10 * math.log10(ms / 1000), abs=within)


def test_lafmax_is_the_highest_at_any_sample(metered):
    """Against F at every sample by the plain recursion, on a real recording."""
    from scipy import signal

    from edge.sound.weighting import sections

    random = np.random.default_rng(3)
    sound = 0.01 * random.standard_normal(6 * RATE)
    for at in random.integers(0, len(sound) - 200, 40):
        sound[at : at + 200] *= random.uniform(2, 20)
    a = signal.sosfilt(sections("A", RATE).copy(), sound - sound[:4800].mean())
    decay = math.exp(-1 / (0.125 * RATE))
    f = 120 + 10 * np.log10(signal.lfilter([1 - decay], [1, -decay], a * a))
    for second in metered(RATE, sound)[1:6]:
        own = f[second.t * RATE : (second.t + 1) * RATE]
        assert second.lafmax_db == pytest.approx(own.max(), abs=1e-6)
        assert second.lafmin_db == pytest.approx(own.min(), abs=1e-6)
        assert second.laf_db == pytest.approx(own[-1], abs=1e-6)
        assert second.laf_samples_db == pytest.approx(own[479::480], abs=1e-6)


@pytest.mark.parametrize("offset", [0.001, 0.1, -0.5])
def test_an_offset_costs_nothing(offset, tone, metered):
    sound = tone(RATE, 400, 3, amplitude=1e-4)
    for with_offset, without in zip(metered(RATE, sound + offset), metered(RATE, sound), strict=True):
        for key in ("laeq_db", "lceq_db", "lzeq_db", "lafmax_db", "lcpeak_db"):
            assert getattr(with_offset, key) == pytest.approx(getattr(without, key), abs=0.001), key


def test_slow_levels_are_left_out_until_they_have_settled(tone, metered):
    heard = metered(RATE, tone(RATE, 1000, 7))
    assert [s.lasmin_db is None for s in heard] == [True] * 5 + [False] * 2
    assert heard[0].lafmin_db == pytest.approx(heard[-1].lafmin_db, abs=0.05)


def test_a_only_measures_the_same_a_levels(tone, metered):
    sound = tone(RATE, 250, 3) + 1e-3 * np.random.default_rng(0).standard_normal(3 * RATE)
    for one, other in zip(metered(RATE, sound, a_only=True), metered(RATE, sound), strict=True):
        assert (one.laeq_db, one.lafmax_db, one.lafmin_db) == (
            other.laeq_db,
            other.lafmax_db,
            other.lafmin_db,
        )
        assert one.lceq_db is one.lcpeak_db is one.lasmax_db is None


# -- any chunking ----------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40_000), min_size=1, max_size=40),
    rate=st.sampled_from([16_000, 22_050, 48_000]),
)
@example(sizes=[1, 1, 1, 47_997, 1, 1], rate=48_000)
def test_any_chunking_gives_the_same(sizes, rate):
    random = np.random.default_rng(5)
    sound = 0.01 * random.standard_normal(int(3.4 * rate)) + 0.2
    sound[rate : rate + 50] += 0.5
    cuts = np.cumsum(sizes)
    parts = np.split(sound, cuts[cuts < len(sound)])
    assert_same(pushed(parts, rate), pushed([sound], rate), within_db=1e-6)


def test_sample_by_sample_gives_the_same(recordings):
    sound, rate = soundfile.read(recordings / "dog-bark-3.ogg")
    sound = sound[: int(1.3 * rate)]
    assert_same(pushed(sound.reshape(-1, 1), rate), pushed([sound], rate), within_db=1e-6)


def test_a_minute_at_once_gives_the_same(recordings):
    sound, rate = soundfile.read(recordings / "rain-1.ogg")
    minute = np.tile(sound, 12)[: 60 * rate]
    assert_same(pushed(np.array_split(minute, 700), rate), pushed([minute], rate), within_db=1e-6)


def test_the_caller_may_use_its_array_again():
    sound = 0.1 * np.random.default_rng(1).standard_normal(2 * RATE)
    meter, room, done = SoundLevelMeter(RATE), np.empty(1000), []
    for part in sound.reshape(-1, 1000):
        room[:] = part
        done += meter.push(room)
    assert_same(done, pushed([sound]), within_db=1e-9)


def test_only_one_channel_is_taken():
    with pytest.raises(ValueError, match="one channel"):
        SoundLevelMeter(RATE).push(np.zeros((10, 2)))


# -- validity --------------------------------------------------------------------------------------------------


def test_clipped_samples_are_overload(tone, metered):
    loud = np.clip(tone(RATE, 1000, 3, 0.9), -1, 1)
    loud[RATE + 7] = 32767 / 32768
    flags = [s.flags for s in metered(RATE, loud)]
    assert flags == [NoiseFlag(0), NoiseFlag.OVERLOAD, NoiseFlag(0)]


def test_above_the_linear_range_is_overload(tone, metered):
    sound = np.concatenate([tone(RATE, 1000, 1, 0.1), tone(RATE, 1000, 1, 0.2)])
    flags = [s.flags for s in metered(RATE, sound, limits=Limits(overload_db=103.0))]
    assert flags == [NoiseFlag(0), NoiseFlag.OVERLOAD]


def test_below_the_self_noise_is_under_range(tone, metered):
    sound = np.concatenate([tone(RATE, 1000, 1, 1e-4), tone(RATE, 1000, 1, 1e-3)])
    flags = [s.flags for s in metered(RATE, sound, limits=Limits(self_noise_db=40.0))]
    assert flags == [NoiseFlag.UNDER_RANGE, NoiseFlag(0)]


@pytest.mark.parametrize("constant", [0.0, 0.25, -1e-9])
def test_constant_input_is_stuck_and_has_the_lowest_level(constant, metered):
    for second in metered(RATE, np.full(2 * RATE, constant)):
        assert second.flags == NoiseFlag.STUCK
        assert second.laeq_db == second.lzeq_db == second.lafmax_db == -50.0
        second.reading()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_no_number_spoils_its_second_alone(bad, tone, metered):
    sound = tone(RATE, 1000, 4)
    sound[RATE + 100] = bad
    heard = metered(RATE, sound)
    assert [NoiseFlag.OVERLOAD in s.flags for s in heard] == [False, True, False, False]
    assert heard[3].laeq_db == pytest.approx(heard[0].laeq_db, abs=0.005)
    for second in heard:
        second.reading()


def test_what_is_far_above_full_scale_stays_within_the_contract(tone, metered):
    for second in metered(RATE, 1e6 * tone(RATE, 1000, 2)):
        assert second.laeq_db == second.lcpeak_db == 200.0 and NoiseFlag.OVERLOAD in second.flags
        assert decode_reading("noise", encode(second.reading())) == second.reading()


def test_a_partial_second_says_what_it_measured(tone, metered):
    *whole, last = metered(RATE, tone(RATE, 1000, 2.25))
    assert [s.measured_ms for s in whole] == [1000, 1000] and all(s.flags == NoiseFlag(0) for s in whole)
    assert last.measured_ms == 250 and last.flags == NoiseFlag.GAP
    assert last.laeq_db == pytest.approx(whole[-1].laeq_db, abs=0.001)
    assert last.lae_db == pytest.approx(last.laeq_db + 10 * math.log10(0.25), abs=0.001)


def test_less_than_a_millisecond_is_no_second(tone, metered):
    assert len(metered(RATE, tone(RATE, 1000, 1))) == 1
    assert len(metered(RATE, tone(RATE, 1000, 1.0005))) == 1
    assert len(metered(RATE, tone(RATE, 1000, 1.002))) == 2


def test_an_offset_of_the_first_sample_makes_a_gap(tone):
    meter = SoundLevelMeter(RATE, start=100, first_offset=12_000)
    first, second = meter.push(tone(RATE, 1000, 1.75))
    assert (first.t, first.measured_ms, first.flags) == (100, 750, NoiseFlag.GAP)
    assert (second.t, second.measured_ms, second.flags) == (101, 1000, NoiseFlag(0))


def test_settling_is_flagged_for_as_long_as_the_source_rings(tone, metered):
    flags = [s.flags for s in metered(RATE, tone(RATE, 1000, 4), settle_s=1.5)]
    assert flags == [NoiseFlag.SETTLING, NoiseFlag.SETTLING, NoiseFlag(0), NoiseFlag(0)]


@pytest.mark.parametrize("lost", [1, 4800, 48_000, 100_000])
def test_lost_samples_are_left_out_and_never_made_up(lost, tone):
    sound = tone(RATE, 1000, 6)
    meter = SoundLevelMeter(RATE, start=10)
    done = meter.push(sound[: 2 * RATE + 10_000])
    done += meter.skip(lost)
    meter.restart(held=lost <= RATE)
    done += meter.push(sound) + meter.finish()
    assert [s.t for s in done] == sorted({s.t for s in done})
    gaps = [s for s in done[:-1] if s.flags & NoiseFlag.GAP]
    missing_ms = sum(1000 - s.measured_ms for s in gaps) + 1000 * (done[-1].t + 1 - 10 - len(done))
    assert missing_ms == pytest.approx(1000 * lost / RATE, abs=2)
    for second in done[1:]:
        if second.measured_ms > 300:
            assert second.laeq_db == pytest.approx(done[0].laeq_db, abs=0.01)


def test_a_gap_keeps_a_held_time_weighting(tone):
    meter = SoundLevelMeter(RATE)
    meter.push(tone(RATE, 1000, 2.5))
    meter.skip(1000)
    meter.restart(held=True)
    (second,) = meter.push(tone(RATE, 1000, 0.6))
    assert second.lafmax_db - second.lafmin_db < 0.1


def test_seconds_of_varying_length_cover_every_sample(tone):
    lengths = iter([48_001, 47_990, 48_000, 48_020, 48_000])
    meter = SoundLevelMeter(RATE, lengths=lambda _t: next(lengths))
    done = meter.push(tone(RATE, 1000, (48_001 + 47_990 + 48_000 + 48_020) / RATE))
    assert [s.measured_ms for s in done] == [1000] * 4 and all(s.flags == NoiseFlag(0) for s in done)


# -- minutes ---------------------------------------------------------------------------------------------------


def test_the_histogram_of_a_minute_gives_the_percentiles(metered):
    """A level that climbs by 0.2 dB a second: LN is known."""
    time = np.arange(60 * RATE) / RATE
    sound = 1e-3 * 10 ** (0.2 * time / 20) * np.sin(2 * np.pi * 1000 * time)
    builder = MinuteBuilder(120.0)
    for second in metered(RATE, sound):
        builder.add(second, second.flags)
    minute = builder.close()
    assert minute is not None and minute.measured_ms == 60_000 and minute.flags == ()
    counts = np.array(minute.laf_counts)
    assert counts.sum() == 6000 - 63  # all but the time in which F settles
    expected_l50 = 120 - 60 - 3.01 + 0.2 * 30.3 - 0.2 * 0.125
    above = counts[np.array(minute.laf_bins) / 10 >= expected_l50].sum() / counts.sum()
    assert above == pytest.approx(0.5, abs=0.012)


def test_an_invalid_second_stays_out_of_the_histogram(tone, metered):
    builder = MinuteBuilder(120.0)
    heard = metered(RATE, tone(RATE, 1000, 3, 0.1))
    for number, second in enumerate(heard):
        builder.add(second, NoiseFlag.OVERLOAD if number == 1 else second.flags)
    minute = builder.close()
    assert minute is not None
    assert minute.measured_ms == 2000 and minute.flags == ("gap",) and sum(minute.laf_counts) == 137


def test_a_minute_without_a_valid_second_says_why(tone, metered):
    builder = MinuteBuilder(120.0)
    for second in metered(RATE, tone(RATE, 1000, 2)):
        builder.add(second, NoiseFlag.CALIBRATING)
    minute = builder.close()
    assert minute is not None and minute.laf_bins == () and minute.measured_ms == 2000
    assert minute.flags == ("gap", "calibrating")
