"""The page in a real browser, by the journeys of those who use it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Request, expect

from tests.api import seeding
from tests.api.browsing import WIDTHS, Sounding, Visitor, visiting
from tests.api.conftest import Served

pytestmark = pytest.mark.browser
WEB = Path(__file__).parents[2] / "api" / "web"
VIEWS = {
    "overview": "#/",
    "quarter": "#/site/jing-yuan",
    "alerts": "#/alerts",
    "alert": "#/alerts/2",
    "limits": "#/limits",
    "quarantine": "#/quarantine",
    "audit": "#/audit",
    "users": "#/users",
    "setup": "#/setup",
    "setup-site": "#/setup/jing-yuan",
    "account": "#/account",
}


@pytest.fixture
def visitor(browser: Browser, served: Served) -> Iterator[Visitor]:
    with visiting(browser, served) as visitor:
        yield visitor


def settle(visitor: Visitor) -> None:
    """Wait until everything that a view loads is there."""
    page = visitor.page
    expect(page.locator(".loading, [aria-busy]")).to_have_count(0)
    for chart in ("level-chart", "water-chart"):
        if page.query_selector(f"[data-testid={chart}]"):
            page.wait_for_selector(f"[data-testid={chart}][data-ready=yes] canvas")


# -- looks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_view_fits_speaks_and_is_accessible(
    browser: Browser, served: Served, width: int, language: str
) -> None:
    scheme = "dark" if width == 768 else "light"
    with visiting(browser, served, width=width, scheme=scheme) as visitor, Sounding(served):
        page = visitor.page
        visitor.go("")
        visitor.speak(language)
        page.wait_for_selector("[data-testid=login-form]")
        look(visitor, "login", language, width)
        visitor.log_in("admin")
        page.locator(
            "[data-testid=site-card]"
        ).first.scroll_into_view_if_needed()  # below the alerts on a phone
        expect(page.locator("[data-testid=live-level][data-t]").first).to_be_visible()
        for name, address in VIEWS.items():
            visitor.go(address)
            page.wait_for_selector("h1")
            settle(visitor)
            look(visitor, name, language, width)
        visitor.go("#/")
        page.click("[data-testid=view-table]")
        page.wait_for_selector("[data-testid=site-row]")
        look(visitor, "table", language, width)


def look(visitor: Visitor, name: str, language: str, width: int) -> None:
    page = visitor.page
    visitor.shoot(f"{name}-{language}-{width}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} is wider than the screen"
    text = page.inner_text("body")
    assert not re.search(r"\b[a-z_]+\.[a-z_]+(\.[a-z_]+)*\b", without_data(text)), (
        f"a key without text in {name}: {text}"
    )
    assert "{" not in text and "undefined" not in text and "NaN" not in text
    if language == "zh" and name != "login":
        assert re.search(r"[\u4e00-\u9fff]", text)
    assert visitor.faults() == []


def without_data(text: str) -> str:
    """Leave out what is data and looks like a key: names of files, versions, topics."""
    return re.sub(r"[\w/.-]*(qw/v1|gb3096)[\w/.-]*|\d[\w.]*", "", text)


def texts(language: str) -> dict[str, str]:
    table = (WEB / f"js/texts/{language}.js").read_text()
    return dict(re.findall(r'^  "([^"]+)": "(.*)",$', table, re.MULTILINE))


def test_both_languages_have_the_same_texts_and_every_used_key_exists() -> None:
    tables = {
        language: dict(
            re.findall(r'^  "([^"]+)": "(.*)",$', (WEB / f"js/texts/{language}.js").read_text(), re.MULTILINE)
        )
        for language in ("zh", "en")
    }
    assert list(tables["zh"]) == list(tables["en"])
    for key, text in tables["zh"].items():
        names = re.findall(r"\{\w+\}", text)
        assert (
            sorted(set(names)) == sorted(set(re.findall(r"\{\w+\}", tables["en"][key])))
            or key == "chart.date"
        ), key
    code = "\n".join(path.read_text() for path in (WEB / "js").rglob("*.js") if path.parent.name != "texts")
    used = set(re.findall(r'\bt(?:Or)?\("([a-z_0-9.]+)"', code)) | set(
        re.findall(r'\btOr\([^,]+, "([a-z_0-9.]+)"', code)
    )
    assert len(used) > 150
    assert used <= set(tables["zh"]), used - set(tables["zh"])
    prefixes = [one for one in re.findall(r"\bt(?:Or)?\(`([a-z_.]*)\$\{", code) if one]
    for prefix in prefixes:
        assert any(key.startswith(prefix) for key in tables["zh"]), prefix


# -- journeys --------------------------------------------------------------------------------------------------


def test_a_bureau_officer_sees_a_level_change_within_three_seconds(visitor: Visitor, served: Served) -> None:
    page = visitor.page
    with Sounding(served) as devices:
        visitor.log_in()
        level = page.locator(
            "[data-testid=site-card][data-site=jing-yuan] [data-testid=live-level][data-device=dong-men]"
        )
        expect(level).to_have_text("41.0")
        devices.set_level(63.7)
        expect(level).to_have_text("63.7", timeout=3000)
        expect(page.locator("[data-testid=connection]")).to_have_attribute("data-state", "live")
        card = page.locator("[data-testid=site-card][data-site=hu-pan]")
        expect(card.locator("[data-testid=site-margin]")).to_contain_text("夜间限值 45 dB")
        expect(card.locator("[data-testid=water-today]")).to_contain_text("m³")
        expect(card.locator("svg.spark")).to_have_attribute(
            "aria-label", re.compile("湖畔家园过去 24 小时的声级")
        )


def test_levels_do_not_move_the_page(visitor: Visitor, served: Served) -> None:
    page = visitor.page
    with Sounding(served) as devices:
        visitor.log_in()
        page.wait_for_selector("[data-testid=live-level][data-t]")
        settle(visitor)
        page.evaluate(
            "window.shift = 0; new PerformanceObserver(l => l.getEntries().forEach(e => window.shift += e.value))"
            ".observe({type: 'layout-shift'})"
        )
        for n in range(4):
            devices.set_level(30.0 + 25.5 * n)
            expect(page.locator("[data-testid=live-level]").first).to_have_text(f"{30.0 + 25.5 * n:.1f}")
        assert page.evaluate("window.shift") < 0.005


def test_levels_that_stop_are_not_shown_as_present(browser: Browser, served: Served) -> None:
    with visiting(browser, served) as visitor:
        page = visitor.page
        with Sounding(served):
            visitor.log_in()
            level = page.locator("[data-testid=live-level]").first
            expect(level).to_have_text("41.0")
        expect(level).to_have_text("–", timeout=25_000)


def test_a_manager_on_a_phone_takes_an_alert_up_with_one_tap(browser: Browser, served: Served) -> None:
    with visiting(browser, served, width=360, has_touch=True) as visitor:
        page = visitor.page
        visitor.log_in("manager")
        rows = page.locator("[data-testid=alert-row]")
        expect(rows).to_have_count(2)
        row = rows.filter(has_text="东门")
        expect(row).to_contain_text("噪声高于限值")
        # The first open alert is on the first screen, without scrolling.
        assert page.locator("[data-testid=ack-button]").first.bounding_box()["y"] < WIDTHS[360] - 60
        assert page.locator("[data-testid=ack-button]").first.bounding_box()["height"] >= 44
        row.locator("[data-testid=ack-button]").tap()
        expect(row).to_contain_text("处理中")
        expect(row).to_contain_text("manager 处理")
        expect(row.locator("[data-testid=ack-button]")).to_have_count(0)
        expect(page.locator("[data-testid=alert-badge]")).to_contain_text("1")


def test_a_note_goes_into_the_history_and_other_pages_see_it_at_once(
    browser: Browser, served: Served
) -> None:
    with visiting(browser, served) as visitor, visiting(browser, served) as other:
        other.log_in("bureau")
        other.go("#/alerts/2")
        expect(other.page.locator("h1")).to_have_text("噪声高于限值")
        expect(other.page.locator("[data-testid=ack-button]")).to_be_visible()
        page = visitor.page
        visitor.log_in("manager")
        visitor.go("#/alerts/2")
        expect(page.locator("h1")).to_have_text("噪声高于限值")
        page.click("[data-testid=ack-note-toggle]")
        page.fill("[data-testid=ack-note]", "保安已到 <b>现场</b>")
        page.click("[data-testid=ack-button]")
        for seen in (page, other.page):
            timeline = seen.locator("[data-testid=alert-timeline]")
            expect(timeline).to_contain_text("保安已到 <b>现场</b>")
            expect(timeline).to_contain_text("manager")


def test_what_somebody_writes_survives_news(visitor: Visitor, served: Served) -> None:
    page = visitor.page
    visitor.log_in("manager")
    row = page.locator("[data-testid=alert-row][data-alert='3']")
    row.locator("[data-testid=ack-note-toggle]").click()
    row.locator("[data-testid=ack-note]").fill("正在查")
    from tests.api.test_live import alert

    with page.expect_response(re.compile("/alerts\\?state=open")):
        served.context.live.publish_alert(alert(2, seeding.OWN_SITE))
    page.wait_for_timeout(200)
    expect(row.locator("[data-testid=ack-note]")).to_have_value("正在查")
    expect(row.locator("[data-testid=ack-note]")).to_be_focused()


def test_the_language_is_switched_everywhere_and_remembered(visitor: Visitor, served: Served) -> None:
    page = visitor.page
    visitor.log_in()
    expect(page.locator("h1")).to_have_text("小区总览")
    page.click("[data-testid=language-switch]")
    expect(page.locator("h1")).to_have_text("Quarters")
    expect(page.locator("[data-testid=site-card]").first).to_contain_text("Night limit")
    assert page.get_attribute("html", "lang") == "en" and page.title() == "Quarters · Quietwater"
    page.reload()
    expect(page.locator("h1")).to_have_text("Quarters")
    page.click("[data-testid=language-switch]")
    expect(page.locator("h1")).to_have_text("小区总览")


def test_a_quarter_shows_its_course_hours_water_and_devices(visitor: Visitor, served: Served) -> None:
    page = visitor.page
    with Sounding(served):
        visitor.log_in()
        page.click("[data-testid=site-card][data-site=jing-yuan] a.card-link")
        expect(page.locator("h1")).to_have_text("静园小区")
        settle(visitor)
        chart = page.locator("[data-testid=level-chart]")
        assert int(chart.get_attribute("data-points")) > 1300
        expect(chart).to_have_attribute(
            "aria-label", re.compile(r"平均 \d\d\.\d dB.*夜间限值 45 dB.*昼间限值 55 dB")
        )
        assert page.evaluate("location.hash") == "#/site/jing-yuan/noise/dong-men/24h"
        page.click("[data-testid=hours-table] summary")
        expect(page.locator("[data-testid=hours-table] tbody tr")).to_have_count(25)
        page.click("[data-testid=device-row][data-device=zhong-ting]")
        assert page.evaluate("location.hash") == "#/site/jing-yuan/noise/zhong-ting/24h"
        expect(page.locator(".course h3")).to_contain_text("中庭的声级")
        expect(page.locator("[data-testid=meter-row]")).to_have_count(seeding.METERS)
        page.click("[data-testid=meter-row][data-meter='b1-104'] button")
        expect(page.locator(".water-left h3")).to_have_text("1号楼 104逐时用水")
        expect(page.locator("[data-testid=devices] tbody tr")).to_have_count(3)
        page.click("[data-testid=alert-history] summary")
        expect(page.locator(".past-row")).to_have_count(1)


def test_the_live_chart_draws_each_second(visitor: Visitor, served: Served) -> None:
    page = visitor.page
    with Sounding(served):
        visitor.log_in()
        visitor.go("#/site/jing-yuan/noise/dong-men/live")
        settle(visitor)
        chart = page.locator("[data-testid=level-chart]")
        expect(chart).to_have_attribute("data-last", re.compile("^2026-03-02T14:0"))
        expect(chart).not_to_have_attribute("data-last", chart.get_attribute("data-last") or "")
        page.hover("[data-testid=level-chart] canvas")
        expect(page.locator(".tip")).to_contain_text("等效声级")


def test_the_chart_zooms_and_tells_values_without_markup(visitor: Visitor, served: Served) -> None:
    page = visitor.page
    visitor.log_in()
    visitor.go("#/site/jing-yuan")
    settle(visitor)
    box = page.locator("[data-testid=level-chart]").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tip = page.locator(".tip")
    expect(tip).to_contain_text("昼间限值")
    expect(tip).to_contain_text("L10 / L50 / L90")
    expect(tip).to_contain_text("有效时间")
    page.keyboard.down("Control")
    page.mouse.wheel(0, -600)
    page.keyboard.up("Control")
    page.wait_for_timeout(100)
    visitor.shoot("zoomed-zh-1440")


def test_the_year_is_walked_with_the_arrow_keys_and_leads_to_a_day(visitor: Visitor, served: Served) -> None:
    page = visitor.page
    visitor.log_in()
    visitor.go("#/site/jing-yuan/patterns")
    calendar = page.locator("[data-testid=calendar]")
    calendar.scroll_into_view_if_needed()
    expect(calendar.locator("svg")).to_have_attribute("aria-label", re.compile("夜间达标 .* 天"))
    calendar.focus()
    for key in ("ArrowLeft", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
    expect(page.locator(".calendar-told")).to_contain_text(
        re.compile(r"2026年2月15日；昼间 \d\d\.\d dB 达标；夜间")
    )
    expect(page.locator("[data-testid=profile-chart][data-ready=yes] canvas")).to_be_visible()
    expect(page.locator("[data-testid=spectrum-chart][data-ready=yes] canvas")).to_be_visible()
    expect(page.locator("[data-testid=events] tbody tr").first).to_contain_text("声事件")
    page.keyboard.press("Enter")
    page.wait_for_url("**/#/site/jing-yuan/noise/dong-men/day-2026-02-15")


def test_a_phone_without_a_connection_keeps_the_alerts_and_what_is_taken_up(
    browser: Browser, served: Served
) -> None:
    with visiting(browser, served, width=360, service_workers="allow") as visitor:
        page = visitor.page
        visitor.log_in("manager")
        page.evaluate("navigator.serviceWorker.ready")
        page.reload()  # now under the worker, which keeps what is shown
        expect(page.locator("[data-testid=alert-row]")).to_have_count(2)
        expect(page.locator("[data-testid=site-level]")).to_be_visible()
        page.context.set_offline(True)
        served.context.live._loop.call_soon_threadsafe(served.context.live._close_all)
        page.reload()
        expect(page.locator("[data-testid=kept-banner]")).to_contain_text("没有网络")
        row = page.locator("[data-testid=alert-row]").filter(has_text="东门")
        row.locator("[data-testid=ack-button]").click()
        expect(row.locator("[data-testid=ack-waiting]")).to_have_text("已记下，联网后自动发送")
        page.reload()  # and it is kept over a restart of the page
        expect(row.locator("[data-testid=ack-waiting]")).to_be_visible()
        page.context.set_offline(False)
        expect(row).to_contain_text("manager 处理", timeout=30_000)
        expect(page.locator("[data-testid=kept-banner]")).to_be_hidden()
        page.click("[data-testid=user-menu] summary")
        page.click("[data-testid=logout]")
        page.wait_for_selector("[data-testid=login-form]")
        assert page.evaluate("caches.keys().then(names => names.includes('data'))") is False
        visitor.watched.complaints.clear()  # of the requests without a connection


def test_the_page_can_be_installed(served: Served) -> None:
    import httpx

    with httpx.Client(base_url=served.address) as client:
        manifest = client.get("/manifest.webmanifest")
        assert manifest.headers["content-type"].startswith("application/manifest+json")
        body = manifest.json()
        assert body["display"] == "standalone" and body["start_url"] == "/"
        for icon in body["icons"]:
            assert client.get(icon["src"]).status_code == 200, icon
        worker = client.get("/sw.js")
        assert worker.headers["cache-control"] == "no-cache" and "__" not in worker.text


def test_an_administrator_adds_a_person_who_can_then_log_in(browser: Browser, served: Served) -> None:
    with visiting(browser, served) as visitor:
        page = visitor.page
        visitor.log_in("admin")
        page.click("[data-testid=user-menu] summary")
        page.get_by_role("link", name="用户", exact=True).click()
        page.click("[data-testid=add-user]")
        dialog = page.locator("[data-testid=dialog]")
        dialog.get_by_label("用户名").fill("zhao.min")
        dialog.get_by_label("静园小区").check()
        visitor.shoot("dialog-user-zh-1440")
        assert visitor.faults() == []
        dialog.get_by_role("button", name="添加用户").click()
        password = dialog.locator("[data-testid=secret]").inner_text()
        expect(dialog).to_contain_text("只显示这一次")
        dialog.get_by_role("button", name="完成").click()
        expect(page.locator("[data-testid=user-row][data-user='zhao.min']")).to_contain_text("静园小区")
    with visiting(browser, served, width=360) as phone:
        phone.go("")
        phone.page.fill("[data-testid=login-name]", "zhao.min")
        phone.page.fill("[data-testid=login-password]", password)
        phone.page.press("[data-testid=login-password]", "Enter")
        expect(phone.page.locator("[data-testid=site-card]")).to_have_count(1)


def test_an_administrator_sets_up_a_quarter(visitor: Visitor, served: Served) -> None:
    page = visitor.page
    dialog = page.locator("[data-testid=dialog]")
    visitor.log_in("admin")
    visitor.go("#/setup")
    page.click("[data-testid=add-site]")
    dialog.get_by_label("代号").fill("xin-yuan")
    dialog.get_by_label("中文名称").fill("新苑")
    dialog.get_by_label("英文名称").fill("New Yard")
    dialog.get_by_role("button", name="添加小区").click()
    expect(page.locator("h1")).to_have_text("新苑")
    page.click("[data-testid=add-device]")
    dialog.get_by_label("代号").fill("Bad Name")
    dialog.get_by_label("中文名称").fill("大门")
    dialog.get_by_label("英文名称").fill("Gate")
    dialog.get_by_role("button", name="添加设备").click()
    assert dialog.get_by_label("代号").evaluate("node => node.validity.patternMismatch")
    dialog.get_by_label("代号").fill("gate")
    dialog.get_by_label("用途").select_option("both")
    dialog.get_by_role("button", name="添加设备").click()
    expect(dialog).to_contain_text("xin-yuan.gate")
    assert len(dialog.locator("[data-testid=secret]").inner_text()) >= 24
    page.keyboard.press("Escape")
    expect(page.locator("[data-testid=setup-device][data-device=gate]")).to_contain_text("从未上线")
    page.click("[data-testid=add-meter]")
    dialog.get_by_label("代号").fill("m1")
    dialog.get_by_label("中文名称").fill("总表")
    dialog.get_by_label("英文名称").fill("Master")
    dialog.get_by_label("用途").select_option("master")
    dialog.get_by_role("button", name="添加水表").click()
    expect(page.locator("[data-testid=setup-meter][data-meter=m1]")).to_contain_text("总表")


def test_a_bureau_officer_changes_a_rule_and_silences_alerts(visitor: Visitor, served: Served) -> None:
    page = visitor.page
    dialog = page.locator("[data-testid=dialog]")
    visitor.log_in("bureau")
    visitor.go("#/site/jing-yuan/alerts")
    page.click("[data-testid=rules] summary")
    rule = page.locator("[data-testid=rule-row][data-kind=noise_window]")
    expect(rule).to_contain_text("时间窗 10 分钟")
    rule.get_by_role("button", name="修改").click()
    dialog.get_by_label("高出限值 (dB)").fill("3")
    dialog.get_by_label("时间窗 (分钟)").fill("15")
    dialog.get_by_label("为什么改").fill("临街")
    visitor.shoot("dialog-rule-zh-1440")
    assert visitor.faults() == []
    dialog.get_by_role("button", name="保存").click()
    expect(rule).to_contain_text("高出限值 3.0 dB (已改)")
    expect(rule).to_contain_text("时间窗 15 分钟 (已改)")
    page.click("[data-testid=add-silence]")
    dialog.get_by_label("哪些告警").select_option("noise_window")
    dialog.get_by_label("原因").fill("道路施工")
    dialog.get_by_role("button", name="静默一段时间").click()
    row = page.locator("[data-testid=silence-row]")
    expect(row).to_contain_text("噪声高于限值")
    expect(row).to_contain_text("道路施工 (bureau)")
    row.get_by_role("button", name="结束静默").click()
    expect(row).to_have_count(0)


def test_a_manager_chooses_where_alerts_go(visitor: Visitor, served: Served) -> None:
    page = visitor.page
    dialog = page.locator("[data-testid=dialog]")
    visitor.log_in("manager")
    visitor.go("#/account")
    page.click("[data-testid=add-contact]")
    dialog.get_by_label("方式").select_option("webhook")
    dialog.get_by_label("地址").fill("http://127.0.0.1:9/alerts")
    dialog.get_by_role("button", name="添加通知地址").click()
    assert len(dialog.locator("[data-testid=secret]").inner_text()) > 30
    dialog.get_by_role("button", name="完成").click()
    row = page.locator("[data-testid=contact-row]")
    expect(row).to_contain_text("Webhook")
    expect(row).not_to_contain_text("127.0.0.1")
    row.get_by_role("button", name="发测试消息").click()
    expect(page.locator(".toast-bad")).to_contain_text("没有发出", timeout=20_000)
    row.get_by_role("button", name="删除").click()
    expect(row).to_have_count(0)


def test_the_link_of_a_message_is_one_page_with_one_button(browser: Browser, served: Served) -> None:
    from tests.api.test_administration import linked

    token = linked(served.context, alert_id=2)
    with visiting(browser, served, width=360, has_touch=True) as visitor:
        page = visitor.page
        page.goto(f"{served.address}/ack/{token}")
        expect(page.locator("h1")).to_have_text("噪声高于限值")
        expect(page.locator("[data-testid=linked-alert]")).to_contain_text("静园小区 · 东门")
        visitor.shoot("linked-zh-360")
        assert visitor.faults() == []
        page.locator("[data-testid=ack-button]").tap()
        expect(page.locator("[data-testid=linked-alert]")).to_have_attribute("data-state", "acknowledged")
        expect(page.locator("[role=status]")).to_have_text("manager 处理")
        page.goto(f"{served.address}/ack/not-a-real-link")
        expect(page.locator("[data-testid=failure]")).to_contain_text("链接已失效")
        visitor.watched.complaints.clear()  # the browser notes the 404 itself
        page.goto(f"{served.address}/?alert=2")
        page.wait_for_selector("[data-testid=login-form]")
        assert page.evaluate("location.pathname + location.search + location.hash") == "/#/alerts/2"


def test_a_link_leads_to_the_same_view(browser: Browser, served: Served) -> None:
    with visiting(browser, served) as visitor:
        visitor.log_in()
        visitor.go("#/site/shu-yuan/noise/lin-jie/6h")
        settle(visitor)
        expect(visitor.page.locator("[data-range='6h']")).to_have_attribute("aria-pressed", "true")
        visitor.go("#/alerts/2")
        visitor.page.click("text=看当时的曲线")
        settle(visitor)
        assert "/noise/dong-men/at-" in visitor.page.evaluate("location.hash")
        visitor.page.go_back()
        expect(visitor.page.locator("h1")).to_have_text("噪声高于限值")


def test_everything_can_be_done_from_the_keyboard(visitor: Visitor, served: Served) -> None:
    page = visitor.page
    visitor.go("")
    page.wait_for_selector("[data-testid=login-form]")
    page.keyboard.press("Tab")
    expect(page.locator("[data-testid=language-switch]")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.type("manager")
    page.keyboard.press("Tab")
    page.keyboard.type(seeding.PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-testid=alert-row]")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.testid") == "ack-button":
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.locator("[data-testid=alert-row][data-state=acknowledged]")).to_have_count(1)
    page.focus("[data-testid=user-menu] summary")
    page.keyboard.press("Enter")
    expect(page.locator("[data-testid=logout]")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("[data-testid=logout]")).to_be_hidden()


# -- when things go wrong --------------------------------------------------------------------------------------


def test_a_wrong_password_is_told_in_words(browser: Browser, served: Served) -> None:
    with visiting(browser, served) as visitor:
        page = visitor.page
        visitor.go("")
        page.fill("[data-testid=login-name]", "bureau")
        page.fill("[data-testid=login-password]", "wrong-password")
        page.click("button[type=submit]")
        expect(page.locator("[data-testid=login-error]")).to_have_text("用户名或密码不正确。")
        visitor.watched.complaints.clear()  # the browser notes the 401 itself


def test_a_session_that_is_over_leads_to_the_login(browser: Browser, served: Served) -> None:
    from sqlalchemy import delete

    from store.registry.models import LoginSession

    with visiting(browser, served) as visitor:
        visitor.log_in()
        with served.context.registry.session() as session:
            session.execute(delete(LoginSession))
        visitor.page.goto(f"{served.address}/#/alerts")
        expect(visitor.page.locator(".note")).to_have_text("登录已过期，请重新登录。")
        visitor.watched.complaints.clear()


def test_a_lost_connection_is_told_and_found_again(browser: Browser, served: Served) -> None:
    with visiting(browser, served) as visitor:
        page = visitor.page
        visitor.log_in()
        expect(page.locator("[data-testid=connection]")).to_have_attribute("data-state", "live")
        page.context.set_offline(True)
        served.context.live._loop.call_soon_threadsafe(served.context.live._close_all)
        expect(page.locator("[data-testid=connection]")).to_have_attribute(
            "data-state", "lost", timeout=15_000
        )
        expect(page.locator("[data-testid=connection]")).to_contain_text("连接中断")
        page.context.set_offline(False)
        expect(page.locator("[data-testid=connection]")).to_have_attribute(
            "data-state", "live", timeout=20_000
        )
        visitor.watched.complaints.clear()


def test_a_view_that_fails_says_so_and_tries_again(browser: Browser, served: Served) -> None:
    with visiting(browser, served) as visitor:
        page = visitor.page
        visitor.log_in()
        page.route("**/api/v1/sites/jing-yuan", lambda route: route.abort())
        visitor.go("#/site/jing-yuan")
        expect(page.locator("[data-testid=failure]")).to_contain_text("连不上服务器")
        page.unroute("**/api/v1/sites/jing-yuan")
        page.click("[data-testid=failure] button")
        expect(page.locator("h1")).to_have_text("静园小区")
        visitor.watched.complaints.clear()


def test_an_empty_city_says_what_to_do(browser: Browser, served: Served) -> None:
    from sqlalchemy import delete

    from store.registry.models import UserSite

    with served.context.registry.session() as session:
        session.execute(delete(UserSite))
    with visiting(browser, served) as visitor:
        visitor.log_in("viewer")
        expect(visitor.page.locator(".sites [data-testid=empty]")).to_contain_text("还没有小区")
        expect(visitor.page.locator("[data-testid=alert-list]")).to_contain_text("没有未结束的告警")


# -- budget ----------------------------------------------------------------------------------------------------


def test_the_page_is_light_and_quick(browser: Browser, served: Served) -> None:
    with visiting(browser, served) as visitor:
        sizes: list[int] = []
        visitor.page.on("requestfinished", lambda request: sizes.append(request.sizes()["responseBodySize"]))
        visitor.log_in()
        visitor.go("#/site/jing-yuan")
        settle(visitor)
        assert sum(sizes) < 700_000, sum(sizes)
    raw = sum(path.stat().st_size for path in WEB.rglob("*") if path.is_file())
    assert raw < 1_500_000, raw
    with visiting(browser, served) as visitor:
        visitor.go("")
        visitor.page.wait_for_selector("[data-testid=login-form]")
        painted = visitor.page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        assert painted < 1000, painted


def note_load(request: Request, loaded: list[str]) -> None:
    if "/assets/" in request.url and request.sizes()["responseBodySize"] > 0:
        loaded.append(request.url)


def test_a_second_visit_loads_nothing_again(browser: Browser, served: Served) -> None:
    with visiting(browser, served) as visitor:
        visitor.log_in()
        visitor.go("#/site/jing-yuan")
        settle(visitor)
        loaded: list[str] = []
        visitor.page.on("requestfinished", lambda request: note_load(request, loaded))
        visitor.page.reload()
        settle(visitor)
        assert loaded == []


def test_what_the_page_loads_is_bound_to_its_version(served: Served) -> None:
    import httpx

    with httpx.Client(base_url=served.address) as client:
        page = client.get("/")
        assert page.headers["cache-control"] == "no-cache" and "__ASSETS__" not in page.text
        script = re.search(r'src="(/assets/[0-9a-f]{16}/js/main\.js)"', page.text)
        assert script
        answer = client.get(script[1])
        assert answer.headers["content-type"].startswith("text/javascript")
        assert answer.headers["content-encoding"] == "gzip"
        assert "immutable" in answer.headers["cache-control"]
        assert client.get(script[1], headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
        old = client.get(script[1].replace(script[1].split("/")[2], "0" * 16))
        assert old.status_code == 200 and old.headers["cache-control"] == "no-cache"
        for outside in ("../../app.py", "..%2f..%2fapp.py", "js/nothing.js", "index.html"):
            assert client.get(f"/assets/{'0' * 16}/{outside}").status_code == 404, outside
