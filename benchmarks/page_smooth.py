"""Whether the page stays smooth with 1,000 devices at 1 Hz: long tasks, memory, first paint, weight.

``python -m benchmarks.page_smooth [--sites 1000] [--minutes 3]`` serves the API with that many quarters of one device
each, feeds their seconds as the broker would, and looks at the overview in a real Chromium: as cards, as a table and
as a map, each for that long. It prints for each view

* tasks of the page's main thread above 50 ms, and the longest (a task above 100 ms is felt),
* the JavaScript heap after a collection, at the first third and at the end,

and for the first look from an empty cache the first contentful paint and the bytes that went over the wire.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvicorn
from playwright.sync_api import CDPSession, sync_playwright

from api.app import create_app
from api.context import ApiContext
from api.live_feed import LiveFeed
from api.live_hub import LiveHub
from app.logs import set_up
from contract.clock import SystemClock
from contract.codec import encode, encode_array
from contract.messages import NoiseSecond
from store.registry.database import Registry
from store.registry.provisioning import add_device, add_site
from store.registry.users import create_user
from store.series.duckdb_store import DuckDbStore
from store.series.interface import Entry

CHROMIUM = "/usr/bin/chromium"
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
PASSWORD = "correct-horse-battery"
WATCH = """
window.tasks = [];
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) window.tasks.push(one.duration);
}).observe({ type: "longtask", buffered: false });
"""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sites", type=int, default=1_000)
    parser.add_argument("--minutes", type=float, default=3.0)
    options = parser.parse_args()
    set_up("warning")
    with tempfile.TemporaryDirectory() as folder, served(Path(folder), options.sites) as address:
        look(address, options.minutes * 60.0)


@contextmanager
def served(folder: Path, sites: int) -> Iterator[str]:
    """Serve a city whose devices send; yield its address."""
    registry, series = Registry.in_folder(folder), DuckDbStore(folder / "series.duckdb")
    context = ApiContext(series=series, registry=registry, clock=SystemClock(), live=LiveHub())
    build(registry, series, sites)
    server = uvicorn.Server(uvicorn.Config(create_app(context), host="127.0.0.1", port=0, log_config=None))
    web = threading.Thread(target=server.run, daemon=True)
    web.start()
    while not server.started:
        time.sleep(0.05)
    stop = threading.Event()
    feeding = threading.Thread(target=feed, args=(context, sites, stop), daemon=True)
    feeding.start()
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        stop.set()
        feeding.join(5)
        context.live.close()
        server.should_exit = True
        web.join(10)
        series.close()
        registry.close()


def build(registry: Registry, series: DuckDbStore, sites: int) -> None:
    """Make the quarters on a grid, and ten minutes of seconds of each, so that each has a state."""
    now = datetime.now(UTC)
    with registry.session() as session:
        create_user(session, "bureau", PASSWORD, role="bureau", now=now)
        for n in range(sites):
            add_site(
                session, f"q{n:04d}", label_zh=f"小区{n}", label_en=f"Quarter {n}", district=f"D{n % 9}",
                zone_class=str(n % 3 + 1), latitude=30.5 + n % 32 * 0.01, longitude=111.0 + n // 32 * 0.01, now=now,
            )  # fmt: skip
            add_device(
                session,
                f"q{n:04d}",
                "d",
                kind="noise",
                label_zh="东门",
                label_en="Gate",
                now=now,
                type_approved=False,
            )
    for n in range(sites):
        entries = [
            Entry(f"q{n:04d}", "d", second(i, now - timedelta(seconds=600 - i), 38.0 + n % 25), now)
            for i in range(0, 600, 5)
        ]
        series.write(entries)


def second(seq: int, t: datetime, level: float) -> NoiseSecond:
    """Return a plausible second."""
    t = t.replace(microsecond=0)
    return NoiseSecond(seq=seq, t=t, laeq_db=level, lafmax_db=level + 4, lafmin_db=level - 3, laf_db=level)


def feed(context: ApiContext, sites: int, stop: threading.Event) -> None:
    """Hand over each device's second at a moment of its own within the next one."""
    live = LiveFeed(context.live, context.registry, context.clock)
    seq = 10_000
    while not stop.is_set():
        began = time.monotonic()
        for n in range(sites):
            seq += 1
            t = datetime.now(UTC) - timedelta(seconds=1)
            body = encode_array([encode(second(seq, t, 38.0 + n % 25 + seq % 7))])
            live.accept(f"qw/v1/q{n:04d}/d/noise", body)
            behind = began + n / sites - time.monotonic()
            if behind > 0.002:
                stop.wait(behind)
        stop.wait(max(0.0, began + 1.0 - time.monotonic()))


def look(address: str, seconds: float) -> None:
    """Look at each view for so long and print what was seen."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        devtools = page.context.new_cdp_session(page)
        devtools.send("Network.enable")
        sizes: list[float] = []
        devtools.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
        page.goto(address)
        page.fill("[data-testid=login-name]", "bureau")
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
        page.fill("[data-testid=login-password]", PASSWORD)
        page.press("[data-testid=login-password]", "Enter")
        page.wait_for_selector("[data-testid=site-card]")
        page.wait_for_timeout(3_000)
        print(
            f"first contentful paint {paint:.0f} ms, {sum(sizes) / 1e6:.2f} MB over the wire until the overview\n"
        )
        print(f"{'view':8}{'long tasks':>12}{'longest, ms':>14}{'heap, MB':>12}{'at the end':>12}")
        page.evaluate(WATCH)
        for view in ("cards", "table", "map"):
            page.click(f"[data-testid=view-{view}]")
            page.wait_for_timeout(5_000)  # drawing a thousand for the first time is not what is measured
            page.evaluate("window.tasks.length = 0")
            page.wait_for_timeout(seconds * 1000 / 3)
            early = heap_mb(devtools)
            page.wait_for_timeout(seconds * 1000 * 2 / 3)
            tasks = page.evaluate("window.tasks")
            late = heap_mb(devtools)
            print(f"{view:8}{len(tasks):12}{max(tasks, default=0.0):14.0f}{early:12.1f}{late:12.1f}")
        browser.close()


def heap_mb(devtools: CDPSession) -> float:
    """Return the heap that is in use after a collection."""
    devtools.send("HeapProfiler.collectGarbage")
    return devtools.send("Runtime.getHeapUsage")["usedSize"] / 1e6


if __name__ == "__main__":
    main()
