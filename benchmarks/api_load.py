"""How fast the API answers while many look on: a live city, open event streams, and requests at a fixed rate.

``python -m benchmarks.api_load`` (bounded to some two minutes) starts a server of its own with the store, the analysis
and the page's API in one process, as ``quietwater serve`` does, and lets a thousand devices send a second each second.
Two hundred event streams are open, most of managers who see their quarter, the others of officials who see the city.
Requests go out by the clock, whether or not those before were answered, and are timed from when they were due, so that
a server that stands still is seen. Ends with an error where the 99th percentile is above the limit.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import httpx
import msgspec
import numpy as np

LIMIT_MS = 300.0
_COOKIE = "qw_session"


@dataclass
class Load:
    """What the clients saw."""

    times_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: list[str] = field(default_factory=list)
    stream_bytes: list[int] = field(default_factory=list)
    stream_levels: list[int] = field(default_factory=list)
    ended: int = 0


# -- the server, a process of its own ----------------------------------------------------------------------------


def serve(folder: Path, devices: int, a_site: int, history_s: int, streams: int) -> None:
    """Make the city, serve it, and say on one line where it is and whom one may come as."""
    import uvicorn

    from analysis.service import Analysis
    from api.app import create_app
    from api.context import ApiContext
    from api.live_feed import LiveFeed
    from api.live_hub import LiveHub
    from app.logs import set_up
    from contract.clock import SystemClock
    from store.registry.database import Registry
    from store.series.duckdb_store import DuckDbStore

    set_up("warning")
    clock = SystemClock()
    registry, series = Registry.in_folder(folder), DuckDbStore(folder / "series.duckdb")
    sites = _make_city(registry, devices, a_site, clock.now())
    _make_history(series, sites, clock.now().replace(microsecond=0), history_s)
    tokens = _open_sessions(registry, sorted(sites), streams)
    hub, stop = LiveHub(), threading.Event()
    analysis = Analysis(series, registry, clock, on_alert=hub.publish_alert)
    app = create_app(ApiContext(series, registry, clock, hub))
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_config=None, access_log=False, timeout_graceful_shutdown=1)
    )
    feeder = threading.Thread(
        target=_feed, args=(LiveFeed(hub, registry, clock), series, sites, stop), daemon=True
    )
    web = threading.Thread(target=server.run, daemon=True)
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda *_: stop.set())
    web.start()
    while not server.started:
        time.sleep(0.02)
    feeder.start()
    analysis.start()
    port = server.servers[0].sockets[0].getsockname()[1]
    print(json.dumps({"port": port, "sites": sites, **tokens}), flush=True)
    stop.wait()
    print(json.dumps({"dropped": hub.stats.dropped, "round_s": analysis.stats.last_round_s}), flush=True)
    hub.close()
    server.should_exit = True
    analysis.stop()
    web.join(5)
    series.close()
    registry.close()


def _make_city(registry, devices: int, a_site: int, now: datetime) -> dict[str, list[str]]:
    from analysis.rules.catalog import ensure_default_rules
    from store.registry.provisioning import add_device, add_site

    sites: dict[str, list[str]] = defaultdict(list)
    with registry.session() as session:
        for n in range(devices):
            site = f"q{n // a_site:03d}"
            if site not in sites:
                add_site(session, site, label_zh=f"小区{site}", label_en=f"Quarter {site}", now=now)
            name = f"d{n % a_site:02d}"
            add_device(
                session,
                site,
                name,
                kind="noise",
                label_zh="设备",
                label_en="Device",
                now=now,
                password="x" * 20,
            )
            sites[site].append(name)
        for site in sites:
            ensure_default_rules(session, site, now)
    return dict(sites)


def _make_history(series, sites: dict[str, list[str]], now: datetime, history_s: int) -> None:
    from store.series.interface import NoiseHour

    hour = now.replace(minute=0, second=0)
    rows = [
        NoiseHour(site, device, hour - timedelta(hours=n), 48.0, 52.0, 51.0, 47.0, 43.0, 42.0, 66.0, 38.0, 2.5, 3600.0,
                  1.0, 3600.0, 3600)
        for site, devices in sites.items() for device in devices for n in range(1, 25)
    ]  # fmt: skip
    series.write_rollups(rows, [])
    for n in range(history_s):
        series.write(_seconds(sites, now - timedelta(seconds=history_s - n), n))


def _seconds(sites: dict[str, list[str]], t: datetime, seq: int) -> list:
    from contract.messages import NoiseSecond
    from store.series.interface import Entry

    made = []
    for site, devices in sites.items():
        for device in devices:
            level = 42.0 + (hash((site, device, seq)) % 80) / 10.0
            second = NoiseSecond(
                seq=seq, t=t, laeq_db=level, lafmax_db=level + 3, lafmin_db=level - 3, laf_db=level
            )
            made.append(Entry(site, device, second, t + timedelta(seconds=1)))
    return made


def _feed(feed, series, sites: dict[str, list[str]], stop: threading.Event) -> None:
    """Write a second of every device each second, and tell it to the pages spread over the second."""
    seq = 1_000_000
    while not stop.is_set():
        due = time.monotonic() + 1.0
        entries = _seconds(sites, datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1), seq)
        series.write(entries)
        for n, entry in enumerate(entries):
            feed.accept(f"qw/v1/{entry.site}/{entry.device}/noise", msgspec.json.encode([entry.reading]))
            if n % 50 == 49:
                stop.wait(max(0.0, min(0.04, due - time.monotonic())))
        seq += 1
        stop.wait(max(0.0, due - time.monotonic()))


def _open_sessions(registry, sites: list[str], streams: int) -> dict[str, list[str]]:
    from store.registry.models import User, UserSite
    from store.registry.users import hash_password, open_session

    now = datetime.now(UTC)
    secret_hash = hash_password("correct-horse-battery")
    officials, managers = [], []
    with registry.session() as session:
        for n in range(streams):
            official = n % 5 == 0
            user = User(
                name=f"u{n}",
                password_hash=secret_hash,
                role="bureau" if official else "manager",
                created_at=now,
            )
            if not official:
                user.sites = [UserSite(site=sites[n % len(sites)])]
            session.add(user)
            session.flush()
            (officials if official else managers).append(open_session(session, user, now).token)
    return {"officials": officials, "managers": managers}


# -- the clients ---------------------------------------------------------------------------------------------------


async def _stream(port: int, token: str, load: Load, opened: asyncio.Semaphore, stop: asyncio.Event) -> None:
    """Read an event stream without parsing it: the clients share the processor with the server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
    writer.write(
        f"GET /api/v1/live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: {_COOKIE}={token}\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n", 1)[0]:
        load.errors.append(head.decode(errors="replace")[:80])
    opened.release()
    read = levels = 0
    while not stop.is_set():
        data = await reader.read(1 << 18)
        if not data:
            load.ended += 1
            break
        read += len(data)
        levels += data.count(b'"laeq_db"')
    load.stream_bytes.append(read)
    load.stream_levels.append(levels)
    writer.close()


def _requests(sites: dict[str, list[str]], now: datetime) -> Sequence[tuple[str, str]]:
    """Return what a page asks for, at a quarter picked at random."""
    site = random.choice(list(sites))
    device = random.choice(sites[site])
    since = (now - timedelta(hours=24)).strftime("%Y-%m-%dT%H:%M:%SZ")
    short = (now - timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
    one = f"site={site}&device={device}"
    return [
        ("sites", "/sites"), ("site", f"/sites/{site}"), ("devices", f"/sites/{site}/devices"),
        ("latest", f"/sites/{site}/latest"), ("series of 10 min", f"/noise/series?{one}&start={short}"),
        ("series of 24 h", f"/noise/series?{one}&start={since}"), ("hours", f"/noise/hours?{one}&start={since}"),
        ("alerts", "/alerts?limit=50"), ("trend", f"/noise/trend?site={site}"), ("session", "/session"),
    ]  # fmt: skip


async def _ask(http: httpx.AsyncClient, token: str, name: str, path: str, due: float, load: Load) -> None:
    try:
        answer = await http.get(f"/api/v1{path}", headers={"Cookie": f"{_COOKIE}={token}"})
        if answer.status_code != 200:
            load.errors.append(f"{path}: {answer.status_code}")
    except httpx.HTTPError as error:
        load.errors.append(f"{path}: {type(error).__name__}")
    load.times_ms[name].append((time.perf_counter() - due) * 1000.0)


async def put_load(city: dict, *, rate: float, seconds: float, warm_s: float) -> Load:
    """Open the streams, wait until all are open and warm, then send requests by the clock."""
    load, stop, opened = Load(), asyncio.Event(), asyncio.Semaphore(0)
    tokens = [*city["officials"], *city["managers"]]
    streams = [asyncio.create_task(_stream(city["port"], one, load, opened, stop)) for one in tokens]
    for _ in tokens:
        await asyncio.wait_for(opened.acquire(), 60)
    await asyncio.sleep(warm_s)
    limits = httpx.Limits(max_connections=200)
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{city['port']}", limits=limits, timeout=30
    ) as http:
        start, asked = time.perf_counter(), []
        for n in range(int(rate * seconds)):
            due = start + n / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            name, path = random.choice(_requests(city["sites"], datetime.now(UTC)))
            token = random.choice(city["officials"])  # they may see whatever is picked
            asked.append(asyncio.create_task(_ask(http, token, name, path, due, load)))
        await asyncio.gather(*asked)
    stop.set()
    await asyncio.wait(streams, timeout=5)
    return load


def report(load: Load, told: dict) -> float:
    """Print a table and return the 99th percentile of all requests, ms."""
    everything = [one for times in load.times_ms.values() for one in times]
    print(f"{'':18} {'count':>6} {'p50':>8} {'p95':>8} {'p99':>8} {'max':>8}  ms")
    for name, times in [*sorted(load.times_ms.items()), ("all", everything)]:
        p50, p95, p99 = np.percentile(times, [50, 95, 99])
        print(f"{name:18} {len(times):6} {p50:8.1f} {p95:8.1f} {p99:8.1f} {max(times):8.1f}")
    print(
        f"streams: {len(load.stream_bytes)}, {sum(load.stream_bytes) / 1e6:.1f} MB, {sum(load.stream_levels)} levels, "
        f"{load.ended} ended early, {told.get('dropped')} messages dropped; "
        f"a round of rules took {told.get('round_s', 0):.2f} s"
    )
    print(f"errors: {len(load.errors)} {load.errors[:3]}; load average {os.getloadavg()[0]:.1f}")
    return float(np.percentile(everything, 99))


@click.command()
@click.option("--devices", default=1000, show_default=True)
@click.option("--a-site", default=5, show_default=True, help="Devices of a quarter.")
@click.option("--streams", default=200, show_default=True)
@click.option("--rate", default=50.0, show_default=True, help="Requests a second.")
@click.option("--seconds", default=60.0, show_default=True)
@click.option("--history-s", default=120, show_default=True, help="Seconds of history of every device.")
@click.option("--serve", "folder", type=click.Path(path_type=Path), hidden=True)
def main(
    devices: int, a_site: int, streams: int, rate: float, seconds: float, history_s: int, folder: Path | None
) -> None:
    """Run the benchmark."""
    if folder is not None:
        serve(folder, devices, a_site, history_s, streams)
        return
    with tempfile.TemporaryDirectory() as made:
        command = [
            sys.executable, "-m", "benchmarks.api_load", "--serve", made, "--devices", str(devices),
            "--history-s", str(history_s), "--a-site", str(a_site), "--streams", str(streams),
        ]  # fmt: skip
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            try:
                city = json.loads(server.stdout.readline())
                print(f"{devices} devices, {streams} streams, {rate:g} requests a second for {seconds:g} s")
                load = asyncio.run(put_load(city, rate=rate, seconds=seconds, warm_s=3.0))
            finally:
                server.terminate()
            told = json.loads(server.stdout.readline() or "{}")
        p99_ms = report(load, told)
    if p99_ms >= LIMIT_MS or load.errors or load.ended:
        raise click.ClickException(
            f"p99 is {p99_ms:.0f} ms (limit {LIMIT_MS:.0f}), {len(load.errors)} errors"
        )


if __name__ == "__main__":
    main()
