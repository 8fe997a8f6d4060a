"""The dossier on the page: a committee fills in and freezes, residents answer on a phone."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from api.context import ApiContext
from store.registry import dossier as kept
from tests.api import seeding
from tests.api.browsing import WIDTHS, Visitor, visiting
from tests.api.conftest import Served

pytestmark = pytest.mark.browser
ADDRESS = f"#/dossier/{seeding.OWN_SITE}"
QUESTIONS = [
    {"id": "overall", "zh": "总体满意吗？", "en": "Overall?"},
    {"id": "night", "zh": "夜间", "en": "At night"},
]


@pytest.fixture
def context(context: ApiContext, tmp_path: Path) -> ApiContext:
    return replace(context, files=tmp_path / "files")


def seed(context: ApiContext) -> str:
    """Enter a little of everything; return the token of an open survey."""
    with context.registry.session() as session:
        for kind, data in (
            (
                "complaint",
                {
                    "topic": "noise",
                    "received_on": "2026-02-11",
                    "about": "夜间广场舞",
                    "closed_on": "2026-02-13",
                },
            ),
            ("source", {"name": "生活水泵房", "source_kind": "equipment", "distance_m": 18.0}),
            ("rule", {"rule_kind": "residents_pact", "title": "居民公约", "displayed": True}),
            ("appliance", {"appliance": "tap", "place": "household", "total": 320, "efficient": 310}),
        ):
            kept.add_entry(
                session, seeding.OWN_SITE, kind, {"kind": kind, **data}, who="committee", now=seeding.NOW
            )
        data = {"households": 320, "closed_quarter": True}
        kept.keep_profile(session, seeding.OWN_SITE, who="committee", now=seeding.NOW, data=data)
        row = kept.open_survey(
            session, seeding.OWN_SITE, topic="noise", title_zh="小区安静满意度问卷", title_en="How quiet is it here?",
            questions=QUESTIONS, now=seeding.NOW, closes_at=seeding.NOW + timedelta(days=9), who="committee",
        )  # fmt: skip
        kept.add_answer(session, row, "a browser", {"overall": 5, "night": 2}, seeding.NOW.date())
        return row.token


def ready(page: Page) -> None:
    page.wait_for_selector("[data-testid=dossier-score]")
    expect(page.locator("[aria-busy]")).to_have_count(0)


def demand_good(visitor: Visitor, name: str, language: str, width: int) -> None:
    """Hold a view to the screen's width, to the language, and to what axe finds."""
    page = visitor.page
    visitor.shoot(f"{name}-{language}-{width}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} is wider than the screen"
    text = re.sub(r"https?://\S+|\S+\.toml", "", page.inner_text("body"))
    assert not re.search(r"\b(dossier|outcome|word|profile|survey|version|programme|scale)\.[a-z_]+", text), (
        text
    )
    assert "{" not in text and "undefined" not in text and "NaN" not in text and "null" not in text
    assert visitor.faults() == []


def test_dossier_and_survey_fit_every_width_in_both_languages(
    browser: Browser, served: Served, context: ApiContext
) -> None:
    token = seed(context)
    for width in WIDTHS:
        with visiting(browser, served, width=width, scheme="dark" if width == 768 else "light") as visitor:
            visitor.log_in("committee")
            for language in ("zh", "en"):
                visitor.speak(language)
                for programme in ("quiet-2002", "water-saving"):
                    visitor.page.goto(f"{served.address}/{ADDRESS}/indicators/{programme}")
                    selected = visitor.page.locator(f"[data-testid=programme-{programme}][aria-current=page]")
                    selected.wait_for()
                    ready(visitor.page)
                    for one in visitor.page.locator("[data-testid=indicator] > summary").all()[:3]:
                        one.click()
                    demand_good(visitor, f"dossier-{programme}", language, width)
                visitor.page.goto(f"{served.address}/survey/{token}")
                visitor.page.wait_for_selector("[data-testid=question]")
                demand_good(visitor, "survey", language, width)
                visitor.page.goto(f"{served.address}/#/")
                visitor.page.wait_for_selector("[data-testid=data-clock]")


def test_a_committee_fills_in_surveys_attaches_and_freezes(
    browser: Browser, served: Served, tmp_path: Path
) -> None:
    with visiting(browser, served) as visitor:
        page = visitor.page
        visitor.log_in("committee")
        visitor.go(f"#/site/{seeding.OWN_SITE}")
        page.click("[data-testid=to-dossier]")
        ready(page)
        before = float(page.inner_text("[data-testid=score]"))
        pact = page.locator("[data-testid=indicator][data-indicator=pact]")
        expect(pact).to_have_attribute("data-state", "missing")
        expect(page.locator("[data-testid=gap][data-indicator=pact]")).to_contain_text("居民公约")

        page.click("[data-testid=add-rule]")
        page.select_option("[data-testid=entry-form] select[name=rule_kind]", "residents_pact")
        page.fill("[data-testid=entry-form] input[name=title]", "静园居民公约")
        page.check("[data-testid=entry-form] input[name=displayed]")
        page.click("[data-testid=entry-form] button[type=submit]")
        expect(pact).to_have_attribute("data-state", "met")
        expect(page.locator("[data-testid=gap][data-indicator=pact]")).to_have_count(0)
        expect(page.locator("[data-testid=score]")).to_have_text(f"{before + 5:.1f}")

        page.click("[data-testid=change-profile]")
        page.fill("[data-testid=profile-form] input[name=households]", "320")
        page.fill("[data-testid=profile-form] input[name=green_share]", "38")
        page.select_option("[data-testid=profile-form] select[name=closed_quarter]", "yes")
        page.click("[data-testid=profile-form] button[type=submit]")
        expect(page.locator("[data-indicator=green_share][data-state=met]")).to_be_visible()

        pact.locator("summary").click()
        paper = tmp_path / "公约.pdf"
        paper.write_bytes(b"%PDF-1.7 pact")
        pact.locator("[data-testid=attach]").set_input_files(paper)
        expect(page.locator("[data-testid=file]")).to_contain_text("公约.pdf")

        page.click("[data-testid=add-survey]")
        page.fill("[data-testid=survey-form] input[name=last_day]", "2026-03-20")
        page.click("[data-testid=survey-form] button[type=submit]")
        link = page.locator("[data-testid=survey-link]")
        expect(link).to_be_visible()
        expect(page.locator("img.qr")).to_have_js_property("complete", True)
        answer_on_a_phone(browser, served, link.get_attribute("href") or "")
        page.reload()
        ready(page)
        expect(page.locator("[data-testid=survey]")).to_contain_text("1 份答卷")
        satisfied = page.locator("[data-testid=indicator][data-indicator=satisfaction]")
        expect(satisfied).to_have_attribute("data-state", "incomplete")

        page.click("[data-testid=freeze]")
        page.fill("[data-testid=freeze-form] input[name=note]", "申报稿")
        page.click("[data-testid=freeze-form] button[type=submit]")
        version = page.locator("[data-testid=version][data-number='1']")
        expect(version).to_contain_text("申报稿")
        page.click("[data-testid=add-complaint]")
        page.fill("[data-testid=entry-form] input[name=received_on]", "2026-02-11")
        page.fill("[data-testid=entry-form] textarea[name=about]", "夜间施工")
        page.click("[data-testid=entry-form] button[type=submit]")
        expect(page.locator("[data-testid=register][data-kind=complaint]")).to_contain_text("夜间施工")
        version.locator("[data-testid=compare-version]").click()
        expect(page.locator("[data-testid=changes]")).to_contain_text("投诉与处理")
        visitor.shoot("dossier-changes")
        version.locator("[data-testid=look-version]").click()
        expect(page.locator(".changes [data-indicator=pact]").last).to_have_attribute("data-state", "met")
        page.click("[data-testid=change-period]")
        page.fill("[data-testid=period-form] input[name=first]", "2026-01-01")
        page.click("[data-testid=period-form] button[type=submit]")
        expect(page.locator(".part-indicators")).to_be_visible()
        expect(page.locator(".dossier-period")).to_contain_text("2026年1月1日")


def answer_on_a_phone(browser: Browser, served: Served, link: str) -> None:
    """Answer as a resident: no login, 360 px, every question by touch."""
    with visiting(browser, served, width=360, has_touch=True, is_mobile=True) as phone:
        page = phone.page
        page.goto(link)
        questions = page.locator("[data-testid=question]")
        expect(questions).to_have_count(6)
        page.click("[data-testid=send-answers]")
        expect(page.locator(".form-error")).not_to_be_empty()
        for number in range(6):
            questions.nth(number).locator("label").nth(1).tap()
        page.click("[data-testid=send-answers]")
        page.wait_for_selector("[data-testid=thanks]")
        phone.shoot("survey-thanks-360")
        page.reload()
        page.wait_for_selector("[data-testid=thanks]")


def test_a_viewer_sees_the_dossier_and_no_button(
    browser: Browser, served: Served, context: ApiContext
) -> None:
    seed(context)
    with visiting(browser, served, width=360) as visitor:
        visitor.log_in("viewer")
        visitor.go(ADDRESS)
        ready(visitor.page)
        for testid in ("freeze", "add-rule", "add-survey", "change-profile", "attach", "local-rule"):
            expect(visitor.page.locator(f"[data-testid={testid}]")).to_have_count(0)
        expect(visitor.page.locator("[data-testid=entry]")).to_have_count(3)
