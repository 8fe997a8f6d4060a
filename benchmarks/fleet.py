"""Ten thousand devices at one reading a second: is every reading stored, how late, and does memory stay level?

Each part is a process of its own: nats-server as the embedded broker (or Mosquitto), ``quietwater ingest`` (with
DuckDB in it, or beside InfluxDB), and ``quietwater simulate`` as the fleet, all on two processors. What must be in the
store is computed again from the scenario: every site's count, and every value of a sample of devices. A run in which a
reading is missing, doubled or wrong ends with an error.

``lag`` is asked of ingest once a second: now less the newest stored second's end. ``to stored`` is seen by the
devices: from the end of a second to the ``stored`` that names it, the wait for a message of ``--batch`` seconds
included.

``python -m benchmarks.fleet --minutes 10 [--devices 10000] [--meters 0] [--batch 2] [--connections 4]
[--broker embedded|mosquitto] [--store duckdb|influxdb] [--json FILE]``
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil

from app.broker import free_port
from app.simulate.interruptions import outages
from app.simulate.readings import NoiseReadings, WaterReadings
from app.simulate.registering import register
from app.simulate.scenario import Scenario, sites_for, utc
from benchmarks.scale_parts import Part, Watch, metrics, on_two_cores, part, program
from contract.messages import NoiseSecond
from store.registry.database import Registry
from store.series.address import DuckDbAddress, InfluxAddress, open_store
from store.series.influx_setup import init_store
from store.series.interface import SeriesStore
from store.series.retention import Retention
from tests.broker import mosquitto, wait_for
from tests.store.series.servers import influxdb

_SAMPLE: Final = 200
_MARGIN: Final = timedelta(seconds=200)


class Bench:
    """The parts below a folder."""

    def __init__(self, folder: Path, options: argparse.Namespace, stack: ExitStack):
        self.folder, self.options = folder, options
        self.port, self.metrics_port = free_port(), free_port()
        self._data = ("--data", str(folder / "data"))
        self._register()
        self.processes = {"broker": self._broker(stack)}
        self.address, store = self._store(stack)
        ingest = stack.enter_context(
            part(
                folder, "ingest", "ingest", *self._data, "--broker", f"mqtt://127.0.0.1:{self.port}", *store,
                "--metrics-port", str(self.metrics_port),
            )
        )  # fmt: skip
        ingest.until("ingest is connected")
        self.ingest = ingest
        self.processes["ingest"] = ingest.watched()

    def fleet(self, stack: ExitStack) -> Part:
        """Start the simulator and wait until it measures."""
        options = self.options
        arguments = [
            "--devices", str(options.devices), "--meters", str(options.meters), "--batch", str(options.batch),
            "--connections", str(options.connections), "--seconds", str(round(options.minutes * 60)),
            "--seed", str(options.seed), "--right-clocks",
            "--broker", f"mqtt://127.0.0.1:{self.port}", "--out", str(self.folder / "out"),
        ]  # fmt: skip
        fleet = stack.enter_context(part(self.folder, "simulate", "simulate", *self._data, *arguments))
        fleet.until("measuring begins", 600)
        self.processes["simulator"] = fleet.watched()
        return fleet

    def _broker(self, stack: ExitStack) -> psutil.Process:
        if self.options.broker == "mosquitto":
            stack.enter_context(
                mosquitto(program("mosquitto", "mosquitto"), self.folder / "mosquitto", self.port)
            )
            return next(one for one in psutil.Process().children() if "mosquitto" in one.name())
        arguments = ("broker", *self._data, "--mqtt-port", str(self.port))
        broker = stack.enter_context(part(self.folder, "broker", *arguments))
        broker.until("Quietwater runs")
        wait_for(lambda: broker.watched().children(recursive=True), 30, "the broker's child")
        return next(one for one in broker.watched().children(recursive=True) if "nats-server" in one.name())

    def _register(self) -> None:
        options = self.options
        sites = sites_for(options.devices, options.meters)
        scenario = Scenario(options.seed, options.devices, options.meters, sites, int(time.time()))
        out = self.folder / "out"
        out.mkdir()
        (out / "devices.password").touch(mode=0o600)
        (out / "devices.password").write_text("of-all-devices")
        registry = Registry.in_folder(self.folder / "data")
        with registry.session() as session:
            register(session, scenario, datetime.now(UTC), "of-all-devices")
        registry.close()

    def _store(self, stack: ExitStack) -> tuple[DuckDbAddress | InfluxAddress, list[str]]:
        if self.options.store == "duckdb":
            return DuckDbAddress(self.folder / "data" / "series.duckdb"), []
        (self.folder / "influx").mkdir()
        server = stack.enter_context(influxdb(program("influxd", "influxdb"), self.folder / "influx"))
        address = InfluxAddress(server.url)
        init_store(address, Retention())
        assert server.process is not None
        self.processes["store"] = psutil.Process(server.process.pid)
        return address, ["--store", server.url]


class LagSamples:
    """Asks ingest once a second how far behind it is."""

    def __init__(self, port: int):
        self.lags_s: list[float] = []
        self._port, self._stop = port, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(1.0):
            newest = metrics(self._port).get("quietwater_ingest_newest_stored_timestamp_seconds")
            if newest is not None:
                self.lags_s.append(time.time() - newest - 1.0)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--meters", type=int, default=0)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--store", choices=["duckdb", "influxdb"], default="duckdb")
    parser.add_argument("--broker", choices=["embedded", "mosquitto"], default="embedded")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    on_two_cores()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        result = _run(Bench(Path(folder), options, stack), stack)
    _print(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))
    if result["faults"]:
        sys.exit(1)


def _run(bench: Bench, stack: ExitStack) -> dict[str, Any]:
    fleet = bench.fleet(stack)
    watch, lags = Watch(bench.processes), LagSamples(bench.metrics_port)
    watch.start()
    stored_before = metrics(bench.metrics_port).get("quietwater_ingest_readings_stored_total", 0.0)
    load = os.getloadavg()[0]
    fleet.until("measuring has ended", bench.options.minutes * 60 + 600)
    watch.stop()
    lags.stop()
    during = metrics(bench.metrics_port)["quietwater_ingest_readings_stored_total"] - stored_before
    fleet.process.wait(180)
    summary = json.loads((bench.folder / "out" / "summary.json").read_text())
    bench.ingest.end()
    faults = _faults(bench, summary)
    usage = {
        name: {
            "cpu_s": round(one.used_cpu_s(), 1), "cpu_us_a_reading": round(one.used_cpu_s() / during * 1e6, 1),
            "rss_mb": [round(rss) for rss in one.rss_mb], "slope_mb_min": round(one.slope_mb_min(), 2),
        }
        for name, one in watch.usage.items()
    }  # fmt: skip
    return {
        "options": {key: str(value) for key, value in vars(bench.options).items()}, "load": [load, os.getloadavg()[0]],
        "summary": summary, "stored_during": during, "usage": usage, "faults": faults,
        "lag_s": _spread(lags.lags_s), "lag_above_2_s": sum(lag > 2 for lag in lags.lags_s),
        "lag_samples": len(lags.lags_s),
    }  # fmt: skip


def _spread(values: list[float]) -> dict[str, float]:
    if len(values) < 2:
        return {}
    ranked = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": round(ranked[49], 2), "p99": round(ranked[98], 2), "max": round(max(values), 2)}


# -- is every reading stored, once, as it was made? --------------------------------------------------------------------


def _faults(bench: Bench, summary: dict[str, Any]) -> list[str]:
    told = json.loads((bench.folder / "out" / "scenario.json").read_text())
    begin, end = told.pop("begin_s"), told.pop("end_s")
    scenario = Scenario(**told)
    noise, water = NoiseReadings(scenario), WaterReadings(scenario)
    store = open_store(bench.address)
    try:
        return [
            *(f"{summary[key]} readings {key}" for key in ("unconfirmed", "refused") if summary[key]),
            *_wrong_counts(store, noise, water, begin, end),
            *_wrong_values(store, noise, begin, end),
        ]
    finally:
        store.close()


def _wrong_counts(
    store: SeriesStore, noise: NoiseReadings, water: WaterReadings, begin: int, end: int
) -> list[str]:
    scenario, faults = noise.scenario, []
    for site in range(scenario.sites):
        name = scenario.site_name(site)
        devices = range(site, scenario.devices, scenario.sites)
        made = sum(
            end - begin if device not in noise.faults
            else sum(noise.label(device, t) is not None for t in range(begin, end))
            for device in devices
        )  # fmt: skip
        for kind, expected in (("noise", made), ("water", len(water.due(site, begin, end)))):
            if expected and (found := store.count(kind, site=name)) != expected:  # type: ignore[arg-type]
                faults.append(f"{name}: {found} of {expected} readings of {kind}")
    return faults


def _wrong_values(store: SeriesStore, noise: NoiseReadings, begin: int, end: int) -> list[str]:
    scenario, faults = noise.scenario, []
    sample = set(range(0, scenario.devices, max(1, scenario.devices // _SAMPLE)))
    sample |= {one.device for one in outages(scenario, begin, end)} | set(list(noise.faults)[:20])
    for device in sorted(sample):
        site, name = scenario.site_name(scenario.device_site(device)), scenario.device_name(device)
        found = store.noise_seconds(site, name, utc(begin) - _MARGIN, utc(end) + _MARGIN)
        there = list(zip(found.t, (round(level, 1) for level in found.laeq_db), strict=True))
        seqs = [seq for t in range(begin, end) if (seq := noise.label(device, t)) is not None]
        made = [msgspec.json.decode(one, type=NoiseSecond) for one in noise.encode(device, seqs)]
        if there != [(one.t, one.laeq_db) for one in made]:
            faults.append(f"{site}/{name}: what is stored is not what was made ({len(there)} of {len(made)})")
    return faults


def _print(result: dict[str, Any]) -> None:
    summary, options, lag = result["summary"], result["options"], result["lag_s"]
    print(
        f"{options['devices']} devices, {options['meters']} meters, {options['minutes']} min, {options['broker']}, "
        f"{options['store']}, "
        f"{options['batch']} s a message, {summary['connections']} connections, load {result['load'][0]:.1f}"
    )
    print(
        f"made {summary['made']}, confirmed {summary['confirmed']}, refused {summary['refused']}, not confirmed "
        f"{summary['unconfirmed']}, sent again {summary['expired']}, messages {summary['messages']}"
    )
    print(
        f"lag of ingest, s (median / 99 % / most): {lag.get('p50')} / {lag.get('p99')} / {lag.get('max')}; above 2 s "
        f"in {result['lag_above_2_s']} of {result['lag_samples']} samples"
    )
    print(f"to stored, s: {summary['lag_p50_s']} / {summary['lag_p99_s']} / {summary['lag_max_s']}")
    for name, one in result["usage"].items():
        rss = one["rss_mb"]
        print(
            f"  {name:10} CPU {one['cpu_s']:7.1f} s, {one['cpu_us_a_reading']:6.1f} µs a reading; memory {rss[0]} → "
            f"{rss[-1]} MB, highest {max(rss)}, {one['slope_mb_min']:+.2f} MB/min in the second half"
        )
    print("\n".join(result["faults"]) or "every reading is stored once, as it was made")


if __name__ == "__main__":
    main()
