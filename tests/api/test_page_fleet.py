"""The fleet on the page, in a real Chromium: the table, its filter, and a rollout that is held and taken back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from playwright.sync_api import Browser, expect

from analysis.fleet.staging import wave_sizes
from store.registry.configurations import draft
from store.registry.rollouts import begin
from tests.api.browsing import visiting
from tests.api.conftest import Served

pytestmark = [pytest.mark.browser, pytest.mark.system]


@pytest.mark.parametrize(("language", "width"), [("zh", 360), ("en", 1440)])
def test_an_administrator_sees_the_fleet_and_holds_a_rollout(
    browser: Browser, served: Served, language: str, width: int
) -> None:
    now = served.context.clock.now()
    with served.context.registry.session() as session:
        version = draft(session, {"noise.spectrum": False}, who="admin", now=now).version
        begin(
            session, version, sizes=lambda total: wave_sizes(total, ["1", "100%"]), who="admin", now=now,
            healthy_for=timedelta(minutes=10), patience=timedelta(minutes=60), most_failed=0.05,
        )  # fmt: skip
    with visiting(browser, served, width=width) as visitor:
        page = visitor.page
        visitor.log_in("admin")
        visitor.speak(language)
        visitor.go("#/fleet")
        page.uncheck("[data-testid=fleet-attention]")
        expect(page.get_by_test_id("fleet-device").first).to_be_visible()
        words = page.get_by_test_id("fleet-device").first.inner_text()
        assert any("\u4e00" <= letter <= "\u9fff" for letter in words.split("\n")[0]) == (language == "zh")
        format = "document.querySelector('link[rel=modulepreload][href$=\\'/format.js\\']').href"
        assert page.evaluate(f"import({format}).then((one) => one.number(-0.01, 1))") == "0.0"
        everything = page.get_by_test_id("fleet-device").count()
        expect(page.get_by_test_id("rollout")).to_have_attribute("data-state", "running")
        assert "has just begun" not in page.get_by_test_id("rollout").inner_text()  # the counts say it
        visitor.shoot(f"fleet-{language}-{width}")
        assert visitor.faults() == []
        page.click("[data-testid=rollout-pause]")
        expect(page.get_by_test_id("rollout")).to_have_attribute("data-state", "paused")
        page.click("[data-testid=rollout-back]")
        expect(page.get_by_test_id("rollout")).to_have_attribute("data-state", "rolled_back")
        page.check("[data-testid=fleet-attention]")
        expect(page.get_by_test_id("fleet-device")).not_to_have_count(everything)
