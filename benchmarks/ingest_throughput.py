"""How fast ingest stores what waits at the broker, beside the raw limits of the same machine in the same run.

Broker, ingest and store share two processors (``taskset``). Messages are queued at the broker first, then drained:

* ``paho``: paho receives, acknowledges and drops, in the same loop as ingest's: what no ingest on paho can pass;
* ``store``: the same readings written to DuckDB without MQTT;
* ``ingest``: the whole way, to the commit and the answer.

``python -m benchmarks.ingest_throughput [--messages 60000] [--repeat 3] [--json FILE]`` prints medians and ratios.
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

import psutil

from contract.clock import SystemClock
from contract.codec import decode_readings
from ingest.service import Ingest
from ingest.source_mqtt import BrokerAddress, MqttSource
from store.series.duckdb_store import DuckDbStore
from store.series.interface import Entry
from tests.broker import BareClient, Quarter, embedded, quarter, wait_for

SITES, DEVICES = 20, 50


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=60_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        town = quarter(Path(folder) / "data", sites=SITES, devices=DEVICES, meters=0)
        for per_message, count in ((1, options.messages), (10, options.messages // 3)):
            runs = [
                _run(Path(folder) / f"{per_message}-{n}", town, count, per_message)
                for n in range(options.repeat)
            ]
            results[f"{per_message} a message"] = _medians(runs)
            _print(per_message, results[f"{per_message} a message"])
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


def _run(folder: Path, town: Quarter, count: int, per_message: int) -> dict[str, float]:
    messages = list(_messages(count, per_message))
    readings = count * per_message
    out = {"store_readings_s": readings / _store(folder, messages)}
    seconds, _, _ = _drain(folder / "raw", town, messages, raw=True)
    out["paho_messages_s"] = count / seconds
    seconds, rss_mb, stored = _drain(folder / "all", town, messages, raw=False)
    if stored != readings:
        raise SystemExit(f"{stored} of {readings} readings stored")
    out |= {"messages_s": count / seconds, "readings_s": readings / seconds, "rss_mb": rss_mb}
    out["of_paho"] = out["messages_s"] / out["paho_messages_s"]
    out["of_store"] = out["readings_s"] / out["store_readings_s"]
    return out


def _messages(count: int, per_message: int):
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=12)
    devices = [(f"s{s}", f"d{d}") for s in range(1, SITES + 1) for d in range(1, DEVICES + 1)]
    for n in range(count):
        site, device = devices[n % len(devices)]
        first = n // len(devices) * per_message
        array = [_reading(first + i, start) for i in range(per_message)]
        yield f"qw/v1/{site}/{device}/noise", json.dumps(array, separators=(",", ":")).encode()


def _reading(n: int, start: datetime) -> dict[str, object]:
    t = (start + timedelta(seconds=n)).strftime("%Y-%m-%dT%H:%M:%SZ")
    levels = {
        "laeq_db": 48.7,
        "lafmax_db": 55.1,
        "lafmin_db": 44.0,
        "laf_db": 48.0,
        "lceq_db": 60.3,
        "lcpeak_db": 72.4,
    }
    return {"seq": 1_772_366_400_000 + n, "t": t, **levels}


def _store(folder: Path, messages: list[tuple[str, bytes]]) -> float:
    now = datetime.now(UTC)
    entries = [
        Entry(*topic.split("/")[2:4], reading, now)
        for topic, payload in messages
        for reading in decode_readings("noise", payload).readings
    ]
    store = DuckDbStore(folder / "store.duckdb")
    began = time.perf_counter()
    for at in range(0, len(entries), 10_000):
        store.write(entries[at : at + 10_000])
    seconds = time.perf_counter() - began
    store.close()
    return seconds


def _drain(
    folder: Path, town: Quarter, messages: list[tuple[str, bytes]], *, raw: bool
) -> tuple[float, float, int]:
    with embedded(folder / "broker", town.registry, _port()) as broker:
        source = MqttSource(BrokerAddress(broker.url, *broker.login))
        source.start()  # makes the session that the messages wait for
        wait_for(lambda: source.connected)
        time.sleep(0.5)
        source.stop()
        publisher = BareClient(int(broker.url.rsplit(":", 1)[1]), broker.login, name="publisher")
        for topic, payload in messages:
            publisher.publish(topic, payload)
        publisher.settle()
        publisher.close()
        if raw:
            return _drain_raw(broker, len(messages)), 0.0, 0
        return _drain_whole(folder, town, broker, len(messages))


def _drain_raw(broker, count: int) -> float:
    source = MqttSource(BrokerAddress(broker.url, *broker.login))
    began = time.perf_counter()
    source.start()
    got = 0
    while got < count:
        arrival = source.take(1.0)
        if arrival is not None:
            source.acknowledge(arrival)
            got += 1
    seconds = time.perf_counter() - began
    source.stop()
    return seconds


def _drain_whole(folder: Path, town: Quarter, broker, count: int) -> tuple[float, float, int]:
    store = DuckDbStore(folder / "series.duckdb")
    ingest = Ingest(
        broker.url, username=broker.login[0], password=broker.login[1], series=store, registry=town.registry,
        clock=SystemClock(),
    )  # fmt: skip
    began = time.perf_counter()
    ingest.start()
    wait_for(lambda: ingest.stats.messages >= count, 300)
    seconds = time.perf_counter() - began
    rss_mb = psutil.Process().memory_info().rss / 1e6
    ingest.stop()
    stored = store.count("noise")
    store.close()
    return seconds, rss_mb, stored


def _port() -> int:
    from app.broker import free_port

    return free_port()


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(statistics.median(run[key] for run in runs), 3) for key in runs[0]}


def _print(per_message: int, row: dict[str, float]) -> None:
    ours = f"{row['messages_s']:8.0f} messages/s {row['readings_s']:8.0f} readings/s"
    paho = f"paho {row['paho_messages_s']:.0f} messages/s (ours {row['of_paho']:.0%})"
    store = f"store {row['store_readings_s']:.0f} readings/s (ours {row['of_store']:.0%})"
    print(
        f"{per_message:3} a message: {ours} | raw: {paho}, {store} | memory {row['rss_mb']:.0f} MB",
        flush=True,
    )


if __name__ == "__main__":
    main()
