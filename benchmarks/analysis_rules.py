"""How long one round over ten thousand rules takes, on one core, with the real store and the real registry.

Every site has the eight default rules, one noise device, one gateway and two household meters; the leak detectors run.
Ten minutes of seconds and a day of registers are stored; then each round finds a new minute of noise, and every meter a
new reading each quarter of an hour. One site in a hundred is too loud and leaks.

``python -m benchmarks.analysis_rules [--sites 1250] [--rounds 5] [--json FILE]`` prints the first round (which reads
every meter's day) and the median of those after it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from analysis.alerts.book import AlertBook
from analysis.notify.queue import Queue
from analysis.rules.catalog import ensure_default_rules
from analysis.rules.watch import RoundReport, Watch
from contract.messages import NoiseSecond, WaterReading
from store.registry.database import Registry
from store.registry.models import Device, DeviceState, Meter, Site
from store.series.duckdb_store import DuckDbStore
from store.series.interface import Entry

START = datetime(2026, 3, 1, 4, tzinfo=UTC)
BUDGET_S = 5.0
REAL_SECOND = timedelta(seconds=1)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sites", type=int, default=1250)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    with tempfile.TemporaryDirectory() as folder:
        result = _run(Path(folder), options.sites, options.rounds)
    print(json.dumps(result, indent=2))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))
    if result["median_round_s"] > BUDGET_S:
        raise SystemExit(f"a round takes {result['median_round_s']} s; it may take {BUDGET_S} s")


def _run(folder: Path, sites: int, rounds: int) -> dict[str, float]:
    registry = Registry.in_folder(folder / "registry")
    series = DuckDbStore(folder / "series.duckdb", threads=1)
    _furnish(registry, sites)
    for minute in range(-10, 0):
        _noise(series, sites, minute)
    for quarter in range(-97, 0):
        for phase in range(15):
            _water(series, sites, 15 * quarter + phase)
    minute = [0.0]  # each round loads sites, meters and rules anew, as a minute later it would
    watch = Watch(series, registry, AlertBook(registry, Queue()), monotonic=lambda: minute[0] * 60.0)
    warm, warm_s = _until_known(watch)
    took: list[float] = []
    cpu_before = time.process_time()
    writing = 0.0
    for number in range(1, rounds + 1):
        minute[0] = number
        began = time.process_time()
        _noise(series, sites, number - 1)
        _water(series, sites, number - 1)
        writing += time.process_time() - began
        took.append(_round(watch, number)[1])
    cpu_s = time.process_time() - cpu_before - writing
    series.close()
    registry.close()
    return {
        "rules": warm[-1].rules,
        "sightings": warm[-1].sightings,
        "rounds_until_every_meter_is_known": len(warm),
        "seconds_until_every_meter_is_known": round(sum(warm_s), 2),
        "alerts": sum(len(report.changed) for report in warm),
        "median_round_s": round(statistics.median(took), 2),
        "worst_round_s": round(max(took), 2),
        "cpu_s_a_round": round(cpu_s / rounds, 2),
        "rounds": rounds,
    }


def _until_known(watch: Watch) -> tuple[list[RoundReport], list[float]]:
    """Look again until a round finds nothing new: after a start, meters' days are read over several rounds."""
    reports: list[RoundReport] = []
    took: list[float] = []
    while not reports or reports[-1].changed or took[-1] > 2.0:
        report, seconds = _round(watch, 0)
        reports.append(report)
        took.append(seconds)
    return reports, took


def _round(watch: Watch, minute: int) -> tuple[RoundReport, float]:
    began = time.perf_counter()
    report = watch.round(START + timedelta(minutes=minute) + REAL_SECOND, REAL_SECOND)
    return report, time.perf_counter() - began


def _furnish(registry: Registry, sites: int) -> None:
    with registry.session() as session:
        for n in range(sites):
            name = f"site-{n}"
            told = {"label_zh": name, "label_en": name, "created_at": START}
            session.add(Site(name=name, **told))
            session.flush()
            for device, kind in (("mic", "noise"), ("gateway", "gateway")):
                session.add(Device(site=name, name=device, kind=kind, secret_hash="x", **told))
            session.flush()
            for meter in ("flat-1", "flat-2"):
                session.add(Meter(site=name, name=meter, device="gateway", **told))
            for device in ("mic", "gateway"):
                session.add(
                    DeviceState(
                        site=name,
                        device=device,
                        state="online",
                        since=START - timedelta(days=1),
                        received_at=START,
                        status={},
                    )
                )
            ensure_default_rules(session, name, START)


def _noise(series: DuckDbStore, sites: int, minute: int) -> None:
    start = START + timedelta(minutes=minute)
    for first in range(0, sites, 250):
        entries = [
            Entry(
                f"site-{n}",
                "mic",
                _second(start + timedelta(seconds=s), 60.0 if n % 100 == 0 else 45.0 + s % 7),
                start,
            )
            for n in range(first, min(sites, first + 250))
            for s in range(60)
        ]
        series.write(entries)


def _second(t: datetime, level_db: float) -> NoiseSecond:
    return NoiseSecond(
        seq=int(t.timestamp()),
        t=t,
        laeq_db=level_db,
        lafmax_db=level_db + 5.0,
        lafmin_db=level_db - 5.0,
        laf_db=level_db,
    )


def _water(series: DuckDbStore, sites: int, minute: int) -> None:
    """Every minute a fifteenth of the meters is read."""
    t = START + timedelta(minutes=minute)
    quarter = 97 + minute // 15
    entries = [
        Entry(f"site-{n}", "gateway", _register(t, meter, _litres(quarter, leaks=n % 100 == 0)), t)
        for n in range(minute % 15, sites, 15)
        for meter in ("flat-1", "flat-2")
    ]
    series.write(entries)


def _litres(quarter: int, *, leaks: bool) -> int:
    """Two quarters of an hour of use in every two hours, or a litre in each without end."""
    return quarter if leaks else quarter // 8 * 10 + min(2, quarter % 8) * 5


def _register(t: datetime, meter: str, litres: int) -> WaterReading:
    return WaterReading(seq=int(t.timestamp()), t=t, meter=meter, volume_steps=litres, step_ml=1000)


if __name__ == "__main__":
    main()
