"""What a fleet of any size needs and costs: arithmetic over measured figures and stated assumptions, no measurement.

``python -m benchmarks.scale_model [--batch 1|10] [--measured FILE] [--assume KEY=VALUE ...] [--devices 1e4,1e6]``
prints the tables of ``docs/scale.md``. ``FILE`` is JSON with figures of another machine by the names below.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass, fields, replace
from pathlib import Path

_SECONDS_A_MONTH = 86_400 * 365 / 12


@dataclass(frozen=True)
class Measured:
    """Figures of ``benchmarks.ingest_processes``, ``fleet``, ``analysis_rules`` and ``store_disk`` (docs/scale.md).

    ``*_cpu_us`` is processor time a reading, in microseconds: Mosquitto, one ingest process, InfluxDB.
    """

    broker_cpu_us: float
    ingest_cpu_us: float
    store_cpu_us: float
    disk_bytes: float = 46.4
    """InfluxDB 1.6.7, compacted, seconds alone."""
    reading_bytes: float = 140.0
    """A reading in JSON, without its share of topic and headers."""
    analysis_ms_device: float = 0.8
    """Processor time in one round of the rules for a noise device, with a gateway and two meters beside it."""


# By readings a message. Short runs (8,000 and 20,000 readings) while others used the machine.
MEASURED = {1: Measured(15.0, 86.3, 21.2), 10: Measured(2.0, 26.0, 12.5)}


@dataclass(frozen=True)
class Assumed:
    """What is not measured: how the fleet behaves, how full machines are run, what things cost."""

    readings_s: float = 1.0
    """Of a device."""
    envelope_bytes: float = 120.0
    """Topic, MQTT, TLS record, TCP and IP of a message, and of the acknowledgements on the way back the same again."""
    round_s: float = 10.0
    """How often each site's rules are looked at."""
    busy: float = 0.5
    """How far processors are filled: the rest is for peaks, compaction, queries and a machine that fails."""
    cores: float = 16.0
    """Of a machine."""
    store_readings_s: float = 90_000.0
    """What one InfluxDB node takes: its maker names 750,000 fields a second, and a second of noise has eight."""
    keep_days: float = 90.0
    """Seconds are kept so long, as the server does unless told otherwise."""
    copies: float = 1.0
    """Of the data on disk."""
    core_month: float = 20.0
    """A core with 4 GB of memory, USD a month."""
    disk_gb_month: float = 0.10
    """SSD, USD."""
    traffic_gb: float = 0.0
    """What comes in from devices, USD; providers mostly take nothing for it."""


@dataclass(frozen=True)
class Needs:
    """What a fleet takes; cores before they are run at ``busy``."""

    devices: float
    readings_s: float
    broker_cores: float
    ingest_cores: float
    store_cores: float
    analysis_cores: float
    ingest_processes: int
    store_nodes: int
    machines: int
    disk_tb: float
    network_mbit_s: float
    month_usd: float

    @property
    def device_month_usd(self) -> float:
        return self.month_usd / self.devices


def needs(devices: float, batch: int, measured: Measured, assumed: Assumed) -> Needs:
    """Return what so many devices need that put ``batch`` readings into a message."""
    rate = devices * assumed.readings_s
    broker, ingest, store = (
        rate * us / 1e6 for us in (measured.broker_cpu_us, measured.ingest_cpu_us, measured.store_cpu_us)
    )
    analysis = devices * measured.analysis_ms_device / 1000 / assumed.round_s
    cores = (broker + ingest + store + analysis) / assumed.busy
    disk_gb = rate * measured.disk_bytes * assumed.keep_days * 86_400 * assumed.copies / 1e9
    wire = measured.reading_bytes + 2 * assumed.envelope_bytes / batch
    traffic_gb = rate * wire * _SECONDS_A_MONTH / 1e9
    paid_cores = max(2.0, math.ceil(cores))
    cost = paid_cores * assumed.core_month + disk_gb * assumed.disk_gb_month + traffic_gb * assumed.traffic_gb
    return Needs(
        devices, rate, broker, ingest, store, analysis,
        # Python runs on one processor: a process is full when that is.
        max(1, math.ceil(ingest / assumed.busy)), max(1, math.ceil(rate / assumed.store_readings_s)),
        max(1, math.ceil(paid_cores / assumed.cores)), disk_gb / 1000, rate * wire * 8 / 1e6, cost,
    )  # fmt: skip


def table(rows: list[Needs]) -> str:
    """Return the rows as a table in Markdown."""
    lines = [
        "| devices | readings/s | cores: broker + ingest + store + analysis | ingest processes | InfluxDB nodes "
        "| machines | disk, TB | network, Mbit/s | USD a month | USD a device and month |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row.devices:,.0f} | {row.readings_s:,.0f} | {_short(row.broker_cores)} + {_short(row.ingest_cores)} + "
        f"{_short(row.store_cores)} + {_short(row.analysis_cores)} | {row.ingest_processes:,} | {row.store_nodes:,} "
        f"| {row.machines:,} | {_short(row.disk_tb)} | {row.network_mbit_s:,.0f} | {row.month_usd:,.0f} "
        f"| {row.device_month_usd:.4f} |"
        for row in rows
    ]
    return "\n".join(lines)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}" if value >= 1 else f"{value:,.2f}"


def main() -> None:
    """Print figures, assumptions and the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, choices=MEASURED, default=1)
    parser.add_argument("--measured", type=Path)
    parser.add_argument("--assume", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--devices", default="10000,1000000,100000000")
    options = parser.parse_args()
    measured = (
        Measured(**json.loads(options.measured.read_text())) if options.measured else MEASURED[options.batch]
    )
    given = dict(one.split("=", 1) for one in options.assume)
    if unknown := given.keys() - {one.name for one in fields(Assumed)}:
        parser.error(f"no such assumption: {', '.join(sorted(unknown))}")
    assumed = replace(Assumed(), **{key: float(value) for key, value in given.items()})
    for heading, record in (("measured", measured), ("assumed", assumed)):
        told = ", ".join(f"{one.name} {getattr(record, one.name):g}" for one in fields(record))
        print(f"{heading}: {told}")
    print(
        table(
            [
                needs(float(devices), options.batch, measured, assumed)
                for devices in options.devices.split(",")
            ]
        )
    )


if __name__ == "__main__":
    main()
