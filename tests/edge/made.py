"""Readings for tests."""

from datetime import UTC, datetime, timedelta

from contract.messages import EdgeEvent, NoiseMinute, NoiseSecond, WaterReading

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def second(n: int = 0) -> NoiseSecond:
    return NoiseSecond(
        seq=0,
        t=NOW + timedelta(seconds=n),
        laeq_db=50.0 + n % 10,
        lafmax_db=60.0,
        lafmin_db=45.0,
        laf_db=50.0,
    )


def minute(n: int = 0) -> NoiseMinute:
    return NoiseMinute(seq=0, t=NOW + timedelta(minutes=n), laf_bins=(500, 501), laf_counts=(300, 180))


def water(n: int = 0, meter: str = "m1") -> WaterReading:
    return WaterReading(seq=0, t=NOW + timedelta(minutes=n), meter=meter, volume_steps=1000 + n, step_ml=1000)


def event(n: int = 0, kind: str = "tamper") -> EdgeEvent:
    return EdgeEvent(seq=0, t=NOW + timedelta(seconds=n), kind=kind)
