"""Reports on the page, in a real browser: ordered, followed, downloaded."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.api.browsing import Visitor, visiting
from tests.api.conftest import Served, browser, served

__all__ = ["browser", "served"]
pytestmark = pytest.mark.browser


def order(visitor: Visitor, form: str, language: str) -> bytes:
    page = visitor.page
    page.locator("[data-testid=report-form] select[name=format]").select_option(form)
    page.locator("[data-testid=report-form] select[name=language]").select_option(language)
    page.click("[data-testid=report-order]")
    newest = page.locator("[data-testid=report-row]").first
    expect(newest).to_have_attribute("data-state", "done", timeout=120_000)
    with page.expect_download() as download:
        newest.locator("[data-testid=report-file]").click()
    return download.value.path().read_bytes()


@pytest.mark.parametrize(("width", "language"), [(360, "zh"), (1440, "en")])
def test_a_manager_makes_a_report_of_the_quarter(
    browser: Browser, served: Served, pango: None, width: int, language: str
) -> None:
    with visiting(browser, served, width=width) as visitor:
        visitor.log_in("manager")
        visitor.speak(language)
        visitor.go("#/site/jing-yuan/reports")
        visitor.page.locator("[data-testid=reports]").scroll_into_view_if_needed()
        form, begins = ("pdf", b"%PDF") if width == 360 else ("xlsx", b"PK")
        assert order(visitor, form, language).startswith(begins)
        visitor.page.locator("[data-testid=reports]").scroll_into_view_if_needed()
        visitor.shoot(f"reports-quarter-{language}-{width}")
        assert visitor.page.evaluate("document.documentElement.scrollWidth") <= width
        assert visitor.faults() == []


@pytest.mark.parametrize(("width", "language"), [(1440, "zh"), (360, "en")])
def test_the_bureau_makes_a_report_on_all_quarters(
    browser: Browser, served: Served, width: int, language: str
) -> None:
    with visiting(browser, served, width=width) as visitor:
        visitor.log_in("bureau")
        visitor.speak(language)
        visitor.go("#/reports")
        expect(visitor.page.locator("[data-testid=empty]")).to_be_visible()
        assert order(visitor, "xlsx", language).startswith(b"PK")
        words = "全部小区" if language == "zh" else "All quarters"
        expect(visitor.page.locator("[data-testid=report-row]")).to_contain_text(words)
        visitor.shoot(f"reports-all-{language}-{width}")
        assert visitor.page.evaluate("document.documentElement.scrollWidth") <= width
        assert visitor.faults() == []


def test_a_viewer_sees_reports_and_orders_none_on_all_quarters(browser: Browser, served: Served) -> None:
    with visiting(browser, served) as visitor:
        visitor.log_in("viewer")
        visitor.go("#/reports")
        expect(visitor.page.locator("[data-testid=empty]")).to_be_visible()
        expect(visitor.page.locator("[data-testid=report-form]")).to_have_count(0)


def test_a_dossier_is_printed_from_the_same_place(browser: Browser, served: Served) -> None:
    with visiting(browser, served) as visitor:
        visitor.log_in("manager")
        visitor.speak("zh")
        visitor.go("#/site/jing-yuan/reports")
        visitor.page.locator("[data-testid=reports]").scroll_into_view_if_needed()
        period = visitor.page.locator("[data-testid=report-form] select[name=period]")
        period.select_option("dossier:quiet-2002")
        assert order(visitor, "xlsx", "zh").startswith(b"PK")
        expect(visitor.page.locator("[data-testid=report-row]").first).to_contain_text(
            "申报台账 · 安静居住小区"
        )
