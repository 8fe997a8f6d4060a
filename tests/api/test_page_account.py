"""One-time passwords on the page, in a real Chromium: enrolled by the QR code's secret, then asked for."""

from __future__ import annotations

import pyotp
import pytest
from playwright.sync_api import Browser, expect

from tests.api import seeding
from tests.api.browsing import visiting
from tests.api.conftest import Served

pytestmark = [pytest.mark.browser, pytest.mark.system]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_phone_is_enrolled_and_the_next_login_asks_for_its_code(
    browser: Browser, served: Served, language: str
) -> None:
    with visiting(browser, served, width=360) as visitor:
        page = visitor.page
        visitor.log_in("bureau")
        visitor.speak(language)
        visitor.go("#/account")
        page.click("[data-testid=second-factor-change]")
        page.fill("[data-testid=form] input[type=password]", seeding.PASSWORD)
        page.press("[data-testid=form] input[type=password]", "Enter")
        expect(page.get_by_test_id("second-factor-qr")).to_have_js_property("complete", True)
        visitor.shoot(f"second-factor-{language}-360")
        assert visitor.faults() == []
        totp = pyotp.TOTP(page.get_by_test_id("second-factor-secret").inner_text())
        page.fill("[data-testid=second-factor-confirm] input", totp.now())
        page.press("[data-testid=second-factor-confirm] input", "Enter")
        codes = page.get_by_test_id("secret").inner_text().split()
        assert len(codes) == 10
        visitor.shoot(f"second-factor-codes-{language}-360")
        page.click(".secret-place .button-main")
        expect(page.get_by_test_id("second-factor")).to_contain_text("10")

        page.context.clear_cookies()
        visitor.go("")
        page.reload()
        page.fill("[data-testid=login-name]", "bureau")
        page.fill("[data-testid=login-password]", seeding.PASSWORD)
        assert not page.get_by_test_id("login-code").is_visible()
        page.press("[data-testid=login-password]", "Enter")
        expect(page.get_by_test_id("login-code")).to_be_visible()
        visitor.shoot(f"login-code-{language}-360")
        visitor.watched.complaints.clear()  # Chromium complains of every answer 401
        page.fill("[data-testid=login-code]", codes[0])
        page.press("[data-testid=login-code]", "Enter")
        page.wait_for_selector("[data-testid=data-clock]")
