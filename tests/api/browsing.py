"""A real Chromium that looks at a served page, and live levels for it to show."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

from api.live_feed import LiveFeed
from contract.codec import encode, encode_array
from contract.messages import NoiseSecond
from tests.api import seeding
from tests.api.conftest import Served

CHROMIUM_ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
ARTIFACTS = Path(__file__).parents[2] / "artifacts" / "page"
AXE = Path(__file__).parents[1] / "data" / "axe" / "axe.min.js"
WIDTHS = {360: 760, 768: 1024, 1440: 900}


@dataclass
class Watched:
    """What a page said and asked for while it was looked at."""

    complaints: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)


@dataclass
class Visitor:
    """A browser's page with what was watched of it."""

    page: Page
    served: Served
    watched: Watched

    def go(self, address: str) -> None:
        """Go to an address of the page; wait until its view is there."""
        self.page.goto(f"{self.served.address}/{address}")
        if address:
            view, _, rest = address.removeprefix("#/").partition("/")
            self.page.wait_for_selector(
                f"[data-view='{view or 'overview'}'][data-of='{rest.partition('/')[0]}']"
            )

    def log_in(self, name: str = "bureau") -> None:
        self.go("")
        self.page.fill("[data-testid=login-name]", name)
        self.page.fill("[data-testid=login-password]", seeding.PASSWORD)
        self.page.press("[data-testid=login-password]", "Enter")
        self.page.wait_for_selector("[data-testid=data-clock]")

    def speak(self, language: str) -> None:
        """Switch the language unless it is spoken already."""
        tag = {"zh": "zh-CN", "en": "en"}[language]
        if self.page.get_attribute("html", "lang") != tag:
            self.page.click("[data-testid=language-switch]")
        assert self.page.get_attribute("html", "lang") == tag

    def shoot(self, name: str) -> None:
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=ARTIFACTS / f"{name}.png", full_page=True)

    def faults(self) -> list[str]:
        """Return what axe finds that is serious or critical."""
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']}: {node['target']} {node['failureSummary']}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]


@contextmanager
def visiting(
    browser: Browser, served: Served, *, width: int = 1440, scheme: str = "light", **options
) -> Iterator[Visitor]:
    """Open a page; at the end nothing may have been complained of and nobody else asked."""
    context: BrowserContext = browser.new_context(
        viewport={"width": width, "height": WIDTHS[width]},
        color_scheme=scheme,
        reduced_motion="reduce",
        **{"service_workers": "block", **options},
    )  # type: ignore[arg-type]
    page = context.new_page()
    watched = Watched()

    def complained(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and "blocked by Playwright" not in message.text:
            watched.complaints.append(message.text)

    def asked(request: Request) -> None:
        if not request.url.startswith((served.address, "data:", "blob:")):
            watched.strangers.append(request.url)

    page.on("console", complained)
    page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    page.on("request", asked)
    try:
        yield Visitor(page, served, watched)
        assert not watched.complaints, watched.complaints
        assert not watched.strangers, watched.strangers
    finally:
        context.close()


class Sounding:
    """Devices that send a second each second, as the broker would hand it on."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._feed = LiveFeed(served.context.live, served.context.registry, served.context.clock)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._level_db = 41.0
        self._number = 0

    def __enter__(self) -> Sounding:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)

    def set_level(self, level_db: float) -> float:
        """Make every device this loud from its next second on; return the wall time now."""
        self._level_db = level_db
        return time.monotonic()

    def _run(self) -> None:
        while not self._stop.wait(0.5):
            t = (self._served.context.clock.now() - timedelta(seconds=1)).replace(microsecond=0)
            for site, devices in seeding.DEVICES.items():
                for device, *_ in devices:
                    self._number += 1
                    level = self._level_db
                    second = NoiseSecond(
                        seq=self._number,
                        t=t,
                        laeq_db=level,
                        lafmax_db=level + 3,
                        lafmin_db=level - 2,
                        laf_db=level,
                    )
                    self._feed.accept(f"qw/v1/{site}/{device}/noise", encode_array([encode(second)]))
