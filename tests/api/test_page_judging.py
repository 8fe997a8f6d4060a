"""What the page shows of judging: a date in full, checks, quota, trials, origins, messages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.api.browsing import Visitor, visiting
from tests.api.conftest import Served

pytestmark = pytest.mark.browser
DIALOG = "[data-testid=dialog]"


@pytest.fixture
def visitor(browser: Browser, served: Served) -> Iterator[Visitor]:
    with visiting(browser, served, width=360) as visitor:
        visitor.log_in("admin")
        yield visitor


def fits(visitor: Visitor) -> None:
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert visitor.faults() == []


def test_a_date_in_full_and_a_time_left_out(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("#/site/jing-yuan")
    page.click("[data-testid=judged-day] > summary")
    page.fill("#day-date", "2026-02-20")
    part = page.locator("[data-testid=judged-day]")
    expect(part).to_contain_text("夜间归入其开始的那一天")
    expect(part.get_by_role("row").filter(has_text="GB 3096-2008").first).to_contain_text("V · 已对照来源")
    page.click("[data-testid=add-exclusion]")
    dialog = page.locator(DIALOG)
    dialog.get_by_label("原因").select_option("wind")
    dialog.get_by_role("button", name="剔除一段时间").click()
    expect(page.locator("[data-testid=exclusion-row]")).to_contain_text("大风")
    page.locator("[data-testid=exclusion-row] button").click()
    expect(page.locator("[data-testid=exclusion-row]")).to_have_count(0)
    fits(visitor)


def test_a_source_is_checked_and_its_record_shown(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("#/site/jing-yuan")
    page.click("[data-testid=checks] > summary")
    page.click("[data-testid=add-check]")
    dialog = page.locator(DIALOG)
    dialog.get_by_label("被核查声源").fill("空调外机")
    for key, time in (("从", "18:00"), ("到", "18:05")):
        dialog.get_by_label(f"开启：{key}").fill(f"2026-03-02T{time}")
        dialog.get_by_label(f"关闭：{key}").fill(f"2026-03-02T{time.replace('18', '15')}")
    dialog.get_by_role("button", name="核查一个声源").click()
    record = page.locator("[data-testid=check-record]")
    expect(record).to_contain_text("不作执法依据")
    expect(record).to_contain_text("GB 22337-2008")
    expect(record).to_contain_text("空调外机")
    fits(visitor)
    page.locator(DIALOG).get_by_role("button", name="关闭").click()
    expect(page.locator("[data-testid=check-row]")).to_contain_text("空调外机")


def test_quota_tier_and_rules_of_judging(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("#/site/jing-yuan")
    page.click("[data-testid=water-account] > summary")
    account = page.locator("[data-testid=water-account]")
    expect(account).to_contain_text("人均每日用水")
    page.select_option("#account-meter", index=1)
    expect(account).to_contain_text("第 1 级")
    expect(account).to_contain_text("V · 已对照来源")
    page.click("[data-testid=judging] > summary")
    page.click("[data-testid=add-quiet]")
    page.locator(DIALOG).get_by_role("button", name="保存").click()
    expect(page.locator("[data-testid=quiet-row]")).to_contain_text("12:00 – 14:00 · 50 dB")
    fits(visitor)


def test_a_rule_is_tried_in_its_dialog(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("#/site/jing-yuan/alerts")
    page.click("[data-testid=rules] > summary")
    page.locator("[data-testid=rule-row][data-kind=water_continuous] button").click()
    page.locator(DIALOG).get_by_role("button", name="用最近 90 天试算").click()
    expect(page.locator("[data-testid=trial]")).to_contain_text("条告警", timeout=60_000)
    expect(page.locator("[data-testid=trial]")).to_contain_text("有数据的时间占")


def test_every_preset_shows_its_mark(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("#/limits")
    zones = page.locator("[data-testid=presets][data-family=gb3096]")
    expect(zones).to_contain_text("V · 已对照来源")
    building = page.locator("[data-testid=presets][data-family=construction]")
    building.locator("summary").click()
    expect(building).to_contain_text("已被代替")
    expect(building).to_contain_text("项目默认值")
    fits(visitor)


def test_an_alert_says_who_was_told(visitor: Visitor) -> None:
    visitor.go("#/alerts/2")
    expect(visitor.page.get_by_role("heading", name="通知")).to_be_visible()
    expect(visitor.page.locator("main")).to_contain_text("没有人需要通知")
    fits(visitor)
