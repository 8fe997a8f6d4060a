"""The demo as a person meets it: `quietwater up --demo`, a real browser, real agents that hear real recordings."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.app.commands import running, wait_for

ARTIFACTS = Path(__file__).parents[2] / "artifacts" / "system"
BROWSER_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
LATEST_S = 3.0
"""From the end of a device's second to its level on the page."""


def _log_in(page: Page, address: str, password: str) -> None:
    page.goto(address)
    page.get_by_test_id("login-name").fill("admin")
    page.get_by_test_id("login-password").fill(password)
    page.get_by_test_id("login-form").locator("button[type=submit]").click()
    expect(page.get_by_test_id("site-card")).to_have_count(3)


def _sees_levels_change_in_time(page: Page) -> None:
    level = page.get_by_test_id("live-level").first
    seen: dict[str, tuple[str, float]] = {}

    def look() -> bool:
        t = level.get_attribute("data-t")
        if t and t not in seen:
            age_s = (datetime.now(UTC) - datetime.fromisoformat(t)).total_seconds() - 1.0
            seen[t] = (level.inner_text(), age_s)
        return len(seen) >= 6

    wait_for(look, "six seconds on the page", 60)
    shown = list(seen.values())[1:]  # the first may have been there before we looked
    assert len({text for text, _ in shown}) > 1, f"the level never changed: {shown}"
    assert all(re.fullmatch(r"\d\d\.\d", text) for text, _ in shown), shown
    ages = sorted(age for _, age in shown)
    assert ages[len(ages) // 2] < LATEST_S, f"levels are late by {ages} s"


def _opens_the_chart(page: Page) -> None:
    page.locator("[data-testid=site-card][data-site=jing-yuan]").click()
    chart = page.get_by_test_id("level-chart").first
    expect(chart).to_have_attribute("data-ready", "yes", timeout=20_000)
    wait_for(lambda: int(chart.get_attribute("data-points") or 0) > 2, "points in the chart", 240)
    expect(page.get_by_test_id("water-total").first).to_contain_text(re.compile(r"\d"), timeout=90_000)


def _acknowledges_an_alert(page: Page) -> None:
    page.get_by_test_id("way-alerts").click()
    # The overview, which is hidden now, lists alerts as well.
    row = page.locator("[data-testid=alert-row][data-state=firing]:visible").first
    row.wait_for(timeout=90_000)
    number = row.get_attribute("data-alert")
    row.get_by_test_id("ack-button").click()
    mine = page.locator(f"[data-testid=alert-row][data-alert='{number}'][data-state=acknowledged]:visible")

    def taken_up() -> bool:
        alert = page.request.get(f"/api/v1/alerts/{number}").json()
        # The demo's disturbances end by themselves, and then the row leaves the list of open alerts.
        return alert["acknowledged_by"] == "admin" and (mine.count() == 1 or alert["state"] == "resolved")

    wait_for(taken_up, f"alert {number} taken up by admin", 60)


def _shoot(page: Page, name: str) -> None:
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{name}.png", full_page=True)


@pytest.mark.system
@pytest.mark.browser
def test_a_person_watches_answers_and_reads_in_both_languages(
    tmp_path: Path, free_port: Callable[[], int], program: Callable[[str], str]
) -> None:
    chromium = program("chromium")
    data = tmp_path / "data"
    ports = ("--port", "0", "--mqtt-port", str(free_port()))
    with (
        running("up", "--demo", "--history", "0.2", "--data", str(data), *ports) as up,
        sync_playwright() as playwright,
    ):
        address = up.until(r"(http://127\.0\.0\.1:\d+)")[1]
        password = up.until(r"password 密码\s+(\S+)")[1]
        browser = playwright.chromium.launch(executable_path=chromium, args=BROWSER_FLAGS)
        page = browser.new_context(viewport={"width": 1440, "height": 900}, base_url=address).new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        _log_in(page, address, password)
        expect(page.locator("html")).to_have_attribute("lang", re.compile("^zh"))
        _sees_levels_change_in_time(page)
        _shoot(page, "quarters-zh")
        _opens_the_chart(page)
        _shoot(page, "quarter-zh")
        _acknowledges_an_alert(page)
        page.get_by_test_id("language-switch").click()
        expect(page.locator("html")).to_have_attribute("lang", "en")
        expect(page.get_by_test_id("way-sites")).to_have_text(re.compile("Quarters"))
        _shoot(page, "alerts-en")
        page.get_by_test_id("way-sites").click()
        expect(page.get_by_test_id("site-card")).to_have_count(3)
        _shoot(page, "quarters-en")
        page.set_viewport_size({"width": 360, "height": 780})
        _shoot(page, "quarters-en-360")
        assert faults == []
        browser.close()
        assert up.stop(timeout_s=40) == 0, up.lines[-20:]
    with running("up", "--demo", "--data", str(data), *ports) as again:  # the same data, no new password
        again.until(r"new password: quietwater admin user password admin")
