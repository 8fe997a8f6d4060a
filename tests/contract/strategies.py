"""Hypothesis strategies for everything that a device or the server may say."""

from datetime import UTC, datetime, timedelta
from typing import get_args

from hypothesis import strategies as st

from contract.messages import (
    DeviceConfig,
    DeviceStatus,
    EdgeEvent,
    NoiseFlagName,
    NoiseMinute,
    NoiseSecond,
    Stored,
    WaterFlagName,
    WaterReading,
)

slugs = st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True)
seqs = st.integers(0, 2**53 - 1)
levels = st.floats(-50, 200, allow_nan=False)
_epoch = datetime(1970, 1, 1, tzinfo=UTC)
instants = st.integers(-60_000_000_000_000_000, 250_000_000_000_000_000).map(
    lambda microseconds: _epoch + timedelta(microseconds=microseconds)
)
seconds = st.integers(1_577_836_800, 4_102_444_800).map(lambda second: datetime.fromtimestamp(second, UTC))
minutes = seconds.map(lambda t: t.replace(second=0))
optional_levels = st.none() | levels
noise_flags = st.lists(st.sampled_from(get_args(NoiseFlagName)), unique=True).map(tuple)
water_flags = st.lists(st.sampled_from(get_args(WaterFlagName)), unique=True).map(tuple)

noise_seconds = st.builds(
    NoiseSecond, seq=seqs, t=seconds, laeq_db=levels, lafmax_db=levels, lafmin_db=levels, laf_db=levels,
    lceq_db=optional_levels, lzeq_db=optional_levels, lasmax_db=optional_levels, lasmin_db=optional_levels,
    lcpeak_db=optional_levels, lae_db=optional_levels, measured_ms=st.integers(1, 1000), flags=noise_flags,
)  # fmt: skip


@st.composite
def _noise_minutes(draw: st.DrawFn) -> NoiseMinute:
    bins = sorted(draw(st.sets(st.integers(-500, 2000), max_size=40)))
    counts = draw(st.lists(st.integers(1, 10_000_000), min_size=len(bins), max_size=len(bins)))
    bands = draw(st.lists(levels, max_size=51))
    return NoiseMinute(
        seq=draw(seqs), t=draw(minutes), laf_bins=tuple(bins), laf_counts=tuple(counts),
        measured_ms=draw(st.integers(1, 60_000)), bands_db=tuple(bands),
        first_band=draw(st.integers(0, 50)) if bands else None, flags=draw(noise_flags),
    )  # fmt: skip


noise_minutes = _noise_minutes()
water_readings = st.builds(
    WaterReading, seq=seqs, t=instants, meter=slugs, volume_steps=st.integers(-(2**53), 2**53),
    step_ml=st.integers(1, 10_000_000), flow_m3h=st.none() | st.floats(-10_000, 10_000),
    reverse_steps=st.none() | st.integers(0, 2**53), meter_time=st.none() | st.text(max_size=40),
    serial=st.none() | st.text(max_size=64), flags=water_flags,
)  # fmt: skip
_details = st.dictionaries(
    st.text(max_size=20),
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=50) | st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), max_size=10),
    max_size=6,
)  # fmt: skip
edge_events = st.builds(
    EdgeEvent, seq=seqs, t=instants, kind=st.from_regex(r"[a-z][a-z0-9_]{0,39}", fullmatch=True),
    meter=st.none() | slugs, detail=_details,
)  # fmt: skip
readings = st.one_of(
    st.tuples(st.just("noise"), noise_seconds),
    st.tuples(st.just("spectrum"), noise_minutes),
    st.tuples(st.just("water"), water_readings),
    st.tuples(st.just("event"), edge_events),
)
ranges = st.lists(st.tuples(seqs, seqs).map(lambda pair: (min(pair), max(pair))), max_size=5).map(tuple)
answers = st.builds(Stored, stored=ranges, refused=ranges)
statuses = st.builds(
    DeviceStatus, state=st.sampled_from(["online", "offline"]), t=st.none() | instants,
    version=st.none() | st.text(max_size=20), outbox_depth=st.none() | st.integers(0, 2**31),
    temperature_c=st.none() | st.floats(-60, 150), config_version=st.none() | st.integers(0, 2**31),
)  # fmt: skip
configs = st.builds(DeviceConfig, version=st.integers(0, 2**31), settings=st.dictionaries(
    st.text(max_size=10), st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=10), max_size=4
))  # fmt: skip

SECOND = NoiseSecond(
    seq=1, t=datetime(2026, 3, 1, 12, tzinfo=UTC), laeq_db=51.2, lafmax_db=55.1, lafmin_db=48.0, laf_db=50.3
)
