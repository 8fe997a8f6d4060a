"""A leak alert on the page: what, how much, since when, what it costs a month, and the curve."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from playwright.sync_api import Browser, expect

from analysis.leaks.alarm import Alarm, EvidencePoint
from analysis.rules.water_leak import seen
from store.registry.models import Alert
from tests.api import seeding
from tests.api.browsing import visiting
from tests.api.conftest import Served

pytestmark = pytest.mark.browser
HOUR = timedelta(hours=1)


def _leak(served: Served) -> int:
    """Turn the quarter's open water alert into one of a leak detector; return its number."""
    since = seeding.NOW - 30 * HOUR
    points = tuple(
        EvidencePoint(
            seeding.NOW - n * HOUR, 12.0 + 3 * (n % 5) if n < 30 else 0.0 + 4 * (n % 7), 4.0 * (n % 7)
        )
        for n in range(47, -1, -1)
    )
    alarm = Alarm(
        t=seeding.NOW - 12 * HOUR,
        kind="continuous_flow",
        since=since,
        flow_lph=12.0,
        params={},
        evidence=points,
    )
    observation = seen([alarm], seeding.NOW, (7.0, "CNY"))
    with served.context.registry.session() as session:
        alert = session.query(Alert).filter_by(rule_kind="water_continuous").order_by(Alert.id).first()
        assert alert is not None
        alert.rule_kind, alert.value = "water_leak", observation.value
        alert.detail = msgspec.to_builtins(observation.detail)
        return alert.id


@pytest.mark.parametrize(("language", "told"), [("zh", "每月损失"), ("en", "In a month")])
def test_a_leak_is_shown_with_size_beginning_cost_and_curve(
    browser: Browser, served: Served, language: str, told: str
) -> None:
    number = _leak(served)
    with visiting(browser, served, width=360) as visitor:
        page = visitor.page
        visitor.go("")
        visitor.speak(language)
        visitor.log_in("bureau")
        visitor.go(f"#/alerts/{number}")
        section = page.locator("[data-testid=leak-evidence]")
        expect(section).to_contain_text(told)
        for text in ("12.0 L/h", "8.77 m³", "61.36 CNY", "360 L"):
            expect(section).to_contain_text(text)
        expect(section.locator("svg path")).to_have_count(3)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        visitor.shoot(f"leak-{language}-360")
        assert visitor.faults() == []
