"""Noise out of InfluxDB: the server sums energies by minute, what it cannot do is done with its sums here.

InfluxQL has no energetic mean, no filter within an aggregate and no histogram. So seconds carry their energy
(:mod:`store.series.influx_lines`) and those without validity lie apart, which leaves plain SUM, MAX, MIN and COUNT.
"""

# ruff: noqa: S608  InfluxQL is put together from this package's own names and from quoted texts

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec

from contract.flags import NOISE_EXCLUDED, NoiseFlag, names
from store.series.histogram import COVERS, EXCEEDED, Histogram
from store.series.influx_http import InfluxHttp, Row
from store.series.influx_lines import EXCLUDED, MINUTE, SECOND
from store.series.influx_ql import S, as_int, ask, by_source, utc, values, where
from store.series.interface import LevelPoint, NoiseHour, NoiseWindow, SecondsTable, SpectrumMinute
from store.series.packed_ints import PackedInts

_HOUR_NS: Final = 3600 * S
_MINUTE_NS: Final = 60 * S
_EXCLUDED_BITS: Final = int(NOISE_EXCLUDED)
_SUMS: Final = "SELECT sum(energy_ms), sum(measured_ms), max(lafmax_db), min(lafmin_db), count(seq)"
_FLAG_NAMES: Final = [(flag.value, names(flag)[0]) for flag in NoiseFlag]


@dataclass(slots=True)
class _Sums:
    """What was measured in a span: energies and times as the server summed them."""

    energy_ms: float = 0.0
    valid_ms: int = 0
    measured_ms: int = 0
    seconds: int = 0
    top_db: float | None = None
    bottom_db: float | None = None
    excluded_ms: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, other: _Sums) -> None:
        """Add another span."""
        self.energy_ms += other.energy_ms
        self.valid_ms += other.valid_ms
        self.measured_ms += other.measured_ms
        self.seconds += other.seconds
        self.top_db = _either(max, self.top_db, other.top_db)
        self.bottom_db = _either(min, self.bottom_db, other.bottom_db)
        for name, ms in other.excluded_ms.items():
            self.excluded_ms[name] += ms

    def add_flagged(self, flags: int, ms: int) -> None:
        """Count time that bore flags."""
        for bit, name in _FLAG_NAMES:
            if flags & bit:
                self.excluded_ms[name] += ms

    @property
    def laeq_db(self) -> float | None:
        """Energetic average of the valid time."""
        return 10 * math.log10(self.energy_ms / self.valid_ms) if self.valid_ms else None


@dataclass(frozen=True, slots=True)
class _Minute:
    histogram: tuple[list[int], list[int]]
    measured_ms: int
    flags: int


def hours(http: InfluxHttp, site: str, source: str, start_ns: int, end_ns: int) -> list[NoiseHour]:
    """Compute the hours that begin in the range."""
    first, after = -(-start_ns // _HOUR_NS) * _HOUR_NS, -(-end_ns // _HOUR_NS) * _HOUR_NS
    if first >= after:
        return []
    by_minute, minutes = _pieces(http, site, source, first, after)
    sums: dict[int, _Sums] = defaultdict(_Sums)
    covered_ms: dict[int, int] = defaultdict(int)
    seconds_ms: dict[int, int] = defaultdict(int)
    histograms: dict[int, list[tuple[list[int], list[int]]]] = defaultdict(list)
    for t, piece in by_minute.items():
        hour = t // _HOUR_NS * _HOUR_NS
        sums[hour].add(piece)
        if piece.seconds:
            seconds_ms[hour] += piece.valid_ms
            covered_ms[hour] += piece.valid_ms if t in minutes else 0
    for t, minute in minutes.items():
        histograms[t // _HOUR_NS * _HOUR_NS].append(minute.histogram)
    by_seconds = [h for h in sums if h not in histograms or covered_ms[h] < COVERS * seconds_ms[h]]
    samples = _samples(http, site, source, by_seconds)
    return [
        _hour(site, source, t, sums[t], samples.get(t) if t in samples else histograms[t], t not in samples)
        for t in sorted(sums)
    ]


def _hour(
    site: str, source: str, t: int, sums: _Sums, laf: Sequence[Any] | Histogram | None, from_minutes: bool
) -> NoiseHour:
    histogram = laf if isinstance(laf, Histogram) else Histogram.merged(laf or ())
    l5, l10, l50, l90, l95 = (histogram.exceeded_db(n) for n in EXCEEDED)
    known = len(histogram.bins) > 0
    return NoiseHour(
        site=site, source=source, t=utc(t), laeq_db=sums.laeq_db,
        l5_db=l5, l10_db=l10, l50_db=l50, l90_db=l90, l95_db=l95,
        lafmax_db=sums.top_db, lafmin_db=sums.bottom_db, sd_db=histogram.sd_db(),
        valid_s=sums.valid_ms / 1000, valid_share=min(1.0, sums.valid_ms / 3_600_000),
        measured_s=sums.measured_ms / 1000, seconds=sums.seconds,
        ln_from=("histogram" if from_minutes else "seconds") if known else "none",
        laf_bins=PackedInts.of(histogram.bins.tolist()), laf_counts=PackedInts.of(histogram.counts.tolist()),
        excluded_s={name: ms / 1000 for name, ms in sums.excluded_ms.items() if ms},
    )  # fmt: skip


def _samples(http: InfluxHttp, site: str, source: str, wanted: Sequence[int]) -> dict[int, Histogram]:
    """Return the histogram of the valid seconds' LAF of each wanted hour."""
    statements = [
        f"SELECT laf_db FROM {SECOND}" + where(site=site, source=source, start_ns=t, end_ns=t + _HOUR_NS)
        for t in wanted
    ]
    answers = ask(http, http.address.seconds, statements)
    return {
        t: Histogram.of_samples([row[1] for row in values(answer)])
        for t, answer in zip(wanted, answers, strict=True)
    }


def _pieces(
    http: InfluxHttp, site: str, source: str, start_ns: int, end_ns: int
) -> tuple[dict[int, _Sums], dict[int, _Minute]]:
    """Return the sums of every minute that was measured, and the minutes' histograms.

    A minute of which no second is there (a full outbox drops seconds first, retention too) is taken from its
    histogram; with an excluding flag its valid share is unknown and it counts as not valid.
    """
    by_minute = _second_sums(http, site, source, start_ns, end_ns, _MINUTE_NS)
    chosen = where(site=site, source=source, start_ns=start_ns, end_ns=end_ns)
    (answer,) = ask(
        http, http.address.minutes, [f"SELECT measured_ms, flags, laf_bins, laf_counts FROM {MINUTE}{chosen}"]
    )
    minutes = {
        t: _Minute((bins, msgspec.json.decode(counts)), as_int(ms), as_int(flags))
        for t, ms, flags, laf_bins, counts in values(answer)
        if (bins := msgspec.json.decode(laf_bins))
    }
    for t, minute in minutes.items():
        if t not in by_minute:
            by_minute[t] = _sums_of_minute(minute)
    return by_minute, minutes


def _sums_of_minute(minute: _Minute) -> _Sums:
    sums = _Sums(measured_ms=minute.measured_ms)
    sums.add_flagged(minute.flags, minute.measured_ms)
    if not minute.flags & _EXCLUDED_BITS:
        histogram = Histogram.merged([minute.histogram])
        sums.valid_ms = minute.measured_ms
        sums.energy_ms = histogram.energy * minute.measured_ms
        sums.top_db = float(histogram.levels_db[-1])
        sums.bottom_db = float(histogram.levels_db[0])
    return sums


def _second_sums(
    http: InfluxHttp, site: str, source: str, start_ns: int, end_ns: int, step_ns: int
) -> dict[int, _Sums]:
    """Return the seconds' sums by step, aligned to 1970; steps without a second are left out."""
    chosen = where(site=site, source=source, start_ns=start_ns, end_ns=end_ns)
    flagged = where(site=site, source=source, start_ns=start_ns, end_ns=end_ns, more="flags > 0")
    by_step = f" GROUP BY time({step_ns // S}s) fill(none)"
    valid, excluded, *flags = ask(http, http.address.seconds, [
        f"{_SUMS} FROM {SECOND}{chosen}{by_step}",
        f"SELECT sum(measured_ms), count(seq) FROM {EXCLUDED}{chosen}{by_step}",
        f"SELECT flags, measured_ms FROM {SECOND}{flagged}",
        f"SELECT flags, measured_ms FROM {EXCLUDED}{chosen}",
    ])  # fmt: skip
    sums: dict[int, _Sums] = {}
    for t, energy_ms, ms, top, bottom, count in values(valid):
        if count:
            sums[t] = _Sums(energy_ms, as_int(ms), as_int(ms), as_int(count), top, bottom)
    for t, ms, count in values(excluded):
        if count:
            sums.setdefault(t, _Sums()).add(_Sums(measured_ms=as_int(ms), seconds=as_int(count)))
    for answer in flags:
        for t, bits, ms in values(answer):
            sums[t // step_ns * step_ns].add_flagged(as_int(bits), as_int(ms))
    return sums


def series(
    http: InfluxHttp, site: str, source: str, start_ns: int, end_ns: int, step_s: int
) -> list[LevelPoint]:
    """Return the levels of each step that holds data."""
    step_ns = step_s * S
    if step_s % 60 == 0:
        sums: dict[int, _Sums] = defaultdict(_Sums)
        # The borders of the range may cut a minute: its seconds are then taken apart from whole minutes.
        for t, piece in _pieces(http, site, source, start_ns, end_ns)[0].items():
            sums[t // step_ns * step_ns].add(piece)
    else:
        sums = _second_sums(http, site, source, start_ns, end_ns, step_ns)
    return [
        LevelPoint(utc(t), one.laeq_db, one.top_db, min(1.0, one.valid_ms / 1000 / step_s))
        for t, one in sorted(sums.items())
    ]


def windows(
    http: InfluxHttp, site: str | None, known: Iterable[tuple[str, str]], start_ns: int, end_ns: int
) -> list[NoiseWindow]:
    """Return the window of every known source, also of one that has nothing in it."""
    chosen = where(site=site, start_ns=start_ns, end_ns=end_ns) + " GROUP BY site, source"
    sums, last, last_excluded = ask(http, http.address.seconds, [
        f"{_SUMS} FROM {SECOND}{chosen}", f"SELECT last(seq) FROM {SECOND}{chosen}",
        f"SELECT last(seq) FROM {EXCLUDED}{chosen}",
    ])  # fmt: skip
    found = {name: rows[0][1:] for name, rows in by_source(sums)}
    newest: dict[tuple[str, str], int] = {}
    for answer in (last, last_excluded):
        for name, rows in by_source(answer):
            newest[name] = max(newest.get(name, 0), rows[0][0])
    length_ms = (end_ns - start_ns) / 1_000_000
    result = []
    for name in sorted({*known, *newest}):
        energy_ms, ms, top, _, _ = found.get(name, (0.0, 0, None, None, 0))
        one = _Sums(energy_ms or 0.0, as_int(ms), top_db=top)
        share = min(1.0, one.valid_ms / length_ms) if length_ms else 0.0
        last_t = utc(newest[name]) if name in newest else None
        result.append(NoiseWindow(*name, one.laeq_db, top, one.valid_ms / 1000, share, last_t))
    return result


def latest(
    http: InfluxHttp, site: str | None
) -> dict[tuple[str, str], tuple[str, str, datetime, float, float, int]]:
    """Return the newest second of each source."""
    chosen = where(site=site) + " GROUP BY site, source"
    answers = ask(http, http.address.seconds, [
        f"SELECT last(seq), laeq_db, lafmax_db, flags FROM {measurement}{chosen}" for measurement in (SECOND, EXCLUDED)
    ])  # fmt: skip
    found: dict[tuple[str, str], tuple[str, str, datetime, float, float, int]] = {}
    for answer in answers:
        for name, rows in by_source(answer):
            t_ns, _, laeq, top, flags = rows[0]
            row = (*name, utc(t_ns), laeq, top, as_int(flags))
            if name not in found or found[name][2] < row[2]:
                found[name] = row
    return found


_SECOND_FIELDS: Final = (
    "laeq_db", "lafmax_db", "lafmin_db", "laf_db", "lceq_db", "lcpeak_db", "measured_ms", "flags",
)  # fmt: skip


def seconds(http: InfluxHttp, site: str, source: str, start_ns: int, end_ns: int, limit: int) -> SecondsTable:
    """Return the first ``limit`` seconds of a range."""
    chosen = (
        where(site=site, source=source, start_ns=start_ns, end_ns=end_ns) + f" ORDER BY time LIMIT {limit}"
    )
    answers = ask(http, http.address.seconds, [
        f"SELECT {', '.join(_SECOND_FIELDS)} FROM {measurement}{chosen}" for measurement in (SECOND, EXCLUDED)
    ])  # fmt: skip
    rows = sorted(
        (_aligned(answer, row) for answer in answers for row in values(answer)), key=lambda row: row[0]
    )
    rows = rows[:limit]
    columns: Mapping[str, list[Any]] = {
        key: [row[n] for row in rows] for n, key in enumerate(_SECOND_FIELDS, start=1)
    }
    return SecondsTable(
        t=[utc(row[0]) for row in rows],
        **{key: columns[key] for key in _SECOND_FIELDS[:6]},
        measured_ms=[as_int(one) for one in columns["measured_ms"]],
        flags=[as_int(one) for one in columns["flags"]],
    )


def _aligned(answer: Sequence[Row], row: list[Any]) -> list[Any]:
    # A field that no point of the measurement ever had may be missing from the answer.
    if len(answer[0].columns) == len(_SECOND_FIELDS) + 1:
        return row
    given = dict(zip(answer[0].columns, row, strict=True))
    return [given["time"], *(given.get(key) for key in _SECOND_FIELDS)]


def spectrum(http: InfluxHttp, site: str, source: str, start_ns: int, end_ns: int) -> list[SpectrumMinute]:
    """Return the minutes of a range that have bands."""
    chosen = where(site=site, source=source, start_ns=start_ns, end_ns=end_ns)
    (answer,) = ask(
        http, http.address.minutes, [f"SELECT first_band, bands_db, measured_ms, flags FROM {MINUTE}{chosen}"]
    )
    return [
        SpectrumMinute(utc(t), as_int(first), msgspec.json.decode(bands), as_int(ms), as_int(flags))
        for t, first, bands, ms, flags in values(answer)
        if bands
    ]


def _either(choose: Any, a: float | None, b: float | None) -> float | None:
    if a is None or b is None:
        return b if a is None else a
    return choose(a, b)
