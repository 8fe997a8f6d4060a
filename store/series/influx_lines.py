"""Line protocol: what a reading, a mark and an hour row look like in InfluxDB.

Tags are the series' names; every number is a field, levels always as floats (a field keeps the type of its first
write). Times are nanoseconds. One reading is one line with all its fields, so no second write adds to it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Final, cast

import msgspec
import numpy as np

from contract.flags import NOISE_EXCLUDED
from contract.messages import EdgeEvent, NoiseMinute, NoiseSecond, WaterReading
from store.series.admit import noise_flag_bits, water_flag_bits
from store.series.columns import Family
from store.series.interface import Entry, NoiseHour, WaterHour
from store.series.memory import Mark

SECOND, EXCLUDED, MINUTE = "noise_second", "noise_second_excluded", "noise_minute"
WATER, EVENT = "water_reading", "event"
NOISE_HOUR, WATER_HOUR = "noise_hour", "water_hour"
TOUCHED, SETTLED, WATERMARK = "touched", "settled", "watermark"

MEASUREMENTS: Final = {
    "noise": (SECOND, EXCLUDED),
    "spectrum": (MINUTE,),
    "water": (WATER,),
    "event": (EVENT,),
}
"""The measurements that hold a kind of reading."""
HOUR_LEVELS: Final = (
    "laeq_db", "l5_db", "l10_db", "l50_db", "l90_db", "l95_db", "lafmax_db", "lafmin_db", "sd_db",
)  # fmt: skip
HOUR_SHARES: Final = ("valid_s", "valid_share", "measured_s")

_S: Final = 1_000_000_000
_NO_METER: Final = "-"
"""No meter has this name: names begin with a letter or digit."""
_EXCLUDED_BITS: Final = int(NOISE_EXCLUDED)


def seconds(entries: Sequence[Entry], family: Family, rows: Iterable[int]) -> list[bytes]:
    """Return the lines of seconds, by row of the family.

    ``energy_ms`` is 10^(LAeq/10) times the measured milliseconds, so that the server's SUM averages energetically.
    Seconds that averages leave out go to a measurement of their own: what is summed needs no filter.
    """
    columns = family.columns
    energies = (10 ** (columns["laeq_db"].astype(np.float64) / 10) * columns["measured_ms"]).tolist()
    flags, times = columns["flags"].tolist(), columns["t_s"].tolist()
    received = columns["received_us"].tolist()
    lines: list[bytes] = []
    for row in rows:
        entry = entries[family.index[row]]
        r = cast(NoiseSecond, entry.reading)
        bits = flags[row]
        # Written as it is, a float ends up as a float, with or without a point: only an "i" makes an integer.
        lines.append(
            f"{EXCLUDED if bits & _EXCLUDED_BITS else SECOND},site={entry.site},source={entry.device} "
            f"laeq_db={r.laeq_db!s},lafmax_db={r.lafmax_db!s},lafmin_db={r.lafmin_db!s},laf_db={r.laf_db!s}{_optional_levels(r)},"
            f"energy_ms={energies[row]:.7g},measured_ms={r.measured_ms}i,flags={bits}i,seq={r.seq}i,"
            f"received_us={received[row]}i {times[row]}000000000".encode()
        )
    return lines


def _optional_levels(r: NoiseSecond) -> str:
    # One by one: a loop over the names takes three times as long, a quarter of the whole line.
    more = ""
    if r.lceq_db is not None:
        more += f",lceq_db={r.lceq_db!s}"
    if r.lcpeak_db is not None:
        more += f",lcpeak_db={r.lcpeak_db!s}"
    if r.lzeq_db is not None:
        more += f",lzeq_db={r.lzeq_db!s}"
    if r.lasmax_db is not None:
        more += f",lasmax_db={r.lasmax_db!s}"
    if r.lasmin_db is not None:
        more += f",lasmin_db={r.lasmin_db!s}"
    if r.lae_db is not None:
        more += f",lae_db={r.lae_db!s}"
    return more


def minutes(entries: Sequence[Entry], family: Family, rows: Iterable[int]) -> list[bytes]:
    """Return the lines of minutes; bins, counts and bands are JSON arrays in text fields."""
    times, received = family.columns["t_s"].tolist(), family.columns["received_us"].tolist()
    lines: list[bytes] = []
    for row in rows:
        entry = entries[family.index[row]]
        r = entry.reading
        assert isinstance(r, NoiseMinute)
        fields = [
            f"measured_ms={r.measured_ms}i", f"flags={noise_flag_bits(tuple(r.flags))}i",
            f"laf_bins={text(_json(r.laf_bins))}", f"laf_counts={text(_json(r.laf_counts))}",
            f"seq={r.seq}i", f"received_us={received[row]}i",
        ]  # fmt: skip
        if r.bands_db:
            fields += [f"first_band={r.first_band}i", f"bands_db={text(_json(r.bands_db))}"]
        lines.append(_line(f"{MINUTE},site={entry.site},source={entry.device}", fields, times[row] * _S))
    return lines


def water(entries: Sequence[Entry], family: Family, rows: Iterable[int]) -> list[bytes]:
    """Return the lines of water readings."""
    times, received = family.columns["t_us"].tolist(), family.columns["received_us"].tolist()
    lines: list[bytes] = []
    for row in rows:
        entry = entries[family.index[row]]
        r = entry.reading
        assert isinstance(r, WaterReading)
        fields = [
            f"volume_steps={r.volume_steps}i", f"step_ml={r.step_ml}i", f"flags={water_flag_bits(tuple(r.flags))}i",
            f"seq={r.seq}i", f"received_us={received[row]}i", f"device={text(entry.device)}",
        ]  # fmt: skip
        if r.flow_m3h is not None:
            fields.append(f"flow_m3h={float(r.flow_m3h)!r}")
        if r.reverse_steps is not None:
            fields.append(f"reverse_steps={r.reverse_steps}i")
        if r.meter_time is not None:
            fields.append(f"meter_time={text(r.meter_time)}")
        if r.serial is not None:
            fields.append(f"serial={text(r.serial)}")
        lines.append(_line(f"{WATER},site={entry.site},source={r.meter}", fields, times[row] * 1000))
    return lines


def events(entries: Sequence[Entry], family: Family, rows: Iterable[int]) -> list[bytes]:
    """Return the lines of events; kind and meter are tags, because two events may happen at once.

    Every line has every tag: a table of InfluxDB 3 keeps those of its first line.
    """
    times, received = family.columns["t_us"].tolist(), family.columns["received_us"].tolist()
    details = family.columns["detail"]
    lines: list[bytes] = []
    for row in rows:
        entry = entries[family.index[row]]
        r = entry.reading
        assert isinstance(r, EdgeEvent)
        fields = [f"detail={text(details[row])}", f"seq={r.seq}i", f"received_us={received[row]}i"]
        lines.append(
            _line(
                f"{EVENT},kind={r.kind},meter={r.meter or _NO_METER},site={entry.site},source={entry.device}",
                fields,
                times[row] * 1000,
            )
        )
    return lines


def meter_of(tag: str) -> str | None:
    """Return the meter that an event's tag names."""
    return None if tag == _NO_METER else tag


def touched(marks: Iterable[tuple[Mark, str, str]], first_ns: int) -> list[bytes]:
    """Return the lines that say which hours a write has touched; a log, so each has a time of its own."""
    return [
        f"{TOUCHED},kind={kind},site={site},source={source} hour_s={hour_s}i {first_ns + n * 1000}".encode()
        for n, ((kind, _, hour_s), site, source) in enumerate(marks)
    ]


def settled(marks: Iterable[tuple[Mark, str, str, int]], first_ns: int) -> list[bytes]:
    """Return the lines that say up to which touch the hours are rolled up."""
    return [
        f"{SETTLED},kind={kind},site={site},source={source} hour_s={hour_s}i,upto_ns={upto}i "
        f"{first_ns + n * 1000}".encode()
        for n, ((kind, _, hour_s), site, source, upto) in enumerate(marks)
    ]


def noise_hour(row: NoiseHour, revision: int) -> bytes:
    """Return an hour row's line. A correction is a new point: its time is the hour's plus a nanosecond a revision."""
    fields = [f"{key}={float(value)!r}" for key in HOUR_LEVELS if (value := getattr(row, key)) is not None]
    fields += [f"{key}={float(getattr(row, key))!r}" for key in HOUR_SHARES]
    fields += [f"seconds={row.seconds}i", f"ln_from={text(row.ln_from)}"]
    if row.laf_bins:
        fields += [
            f"laf_bins={text(_json(list(row.laf_bins)))}",
            f"laf_counts={text(_json(list(row.laf_counts)))}",
        ]
    if row.excluded_s:
        fields.append(f"excluded_s={text(_json(dict(row.excluded_s)))}")
    tags = f"{NOISE_HOUR},site={row.site},source={row.source}"
    return _line(tags, fields, int(row.t.timestamp()) * _S + revision)


def water_hour(row: WaterHour, revision: int) -> bytes:
    """Return an hour row's line."""
    fields = [f"readings={row.readings}i", f"flags={row.flags}i"]
    if row.volume_l is not None:
        fields.append(f"volume_l={float(row.volume_l)!r}")
    tags = f"{WATER_HOUR},site={row.site},source={row.source}"
    return _line(tags, fields, int(row.t.timestamp()) * _S + revision)


def text(value: str) -> str:
    """Return a text as a quoted field."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def halves(lines: Sequence[bytes]) -> tuple[Sequence[bytes], Sequence[bytes]]:
    """Split lines in the middle."""
    middle = len(lines) // 2
    return lines[:middle], lines[middle:]


def chunks(lines: Sequence[bytes], most: int) -> Iterable[list[bytes]]:
    """Return the lines in pieces of at most ``most``."""
    iterator = iter(lines)
    while piece := list(itertools.islice(iterator, most)):
        yield piece


def _line(series: str, fields: Sequence[str], t_ns: int) -> bytes:
    return f"{series} {','.join(fields)} {t_ns}".encode()


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
