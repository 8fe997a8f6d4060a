"""Enrolment over the API and on the page: who may make a code, what redeeming it gives, and how guessing is held up."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser
from sqlalchemy import select

from api.app import create_app
from api.context import ApiConfig, ApiContext
from store.registry.models import AuditEntry
from tests.api.browsing import visiting
from tests.api.conftest import Person, Served

SITE, DEVICE = "jing-yuan", "dong-men"
PATH = f"/sites/{SITE}/devices/{DEVICE}/enrolment"
REDEEM = "/enrolments/redeem"


def code_of(admin: Person) -> str:
    made = admin.send("POST", PATH, {})
    assert made.status_code == 201
    return made.json()["code"]


def test_a_code_gives_the_device_what_it_needs(context: ApiContext) -> None:
    config = ApiConfig(base_url="https://quiet.example/", broker_url="mqtts://broker.example:8883")
    app = create_app(replace(context, config=config))
    made = (
        Person(app, "admin")
        .send("POST", PATH, {"valid_h": 1}, headers={"Origin": "https://quiet.example"})
        .json()
    )
    assert made["command"] == f"sudo quietwater edge enrol {made['code']} --server https://quiet.example"
    nobody = Person(app)
    given = nobody.send("POST", REDEEM, {"code": made["code"], "device": f"{SITE}/{DEVICE}"})
    assert given.status_code == 200
    identity = given.json()
    assert (identity["site"], identity["device"], identity["username"]) == (SITE, DEVICE, f"{SITE}.{DEVICE}")
    assert 'url = "mqtts://broker.example:8883"' in identity["configuration"]
    again = nobody.send("POST", REDEEM, {"code": made["code"]})
    assert (again.status_code, again.json()["code"]) == (409, "code_used")
    with context.registry.reader() as session:
        actions = [
            (one.who, one.action) for one in session.scalars(select(AuditEntry).order_by(AuditEntry.id))
        ]
        said = str([one.detail for one in session.scalars(select(AuditEntry))])
    assert actions[-2:] == [("admin", "device.enrolment"), (f"{SITE}/{DEVICE}", "device.enrolled")]
    assert made["code"] not in said and identity["password"] not in said


def test_guessing_has_to_wait(app: FastAPI) -> None:
    nobody = Person(app)
    answers = [nobody.send("POST", REDEEM, {"code": f"{n:012d}"}) for n in range(12)]
    statuses = [one.status_code for one in answers]
    assert statuses[:5] == [404] * 5 and statuses[-1] == 429
    assert int(answers[-1].headers["Retry-After"]) >= 1


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.browser
@pytest.mark.system
def test_an_administrator_has_a_code_made(browser: Browser, served: Served, language: str) -> None:
    with visiting(browser, served, width=360) as visitor:
        page = visitor.page
        visitor.log_in("admin")
        visitor.speak(language)
        visitor.go(f"#/setup/{SITE}")
        page.click(f"[data-device={DEVICE}] [data-testid=enrol-device]")
        page.click("[data-testid=form] .button-main")
        command = page.get_by_test_id("secret").inner_text()
        found = re.fullmatch(rf"sudo quietwater edge enrol ([0-9A-Z-]+) --server {served.address}", command)
        assert found, command
        visitor.shoot(f"enrol-{language}-360")
        assert visitor.faults() == []
        redeemed = Person(create_app(served.context)).send("POST", REDEEM, {"code": found[1]})
        assert redeemed.status_code == 200 and redeemed.json()["device"] == DEVICE
        assert visitor.watched.complaints == [] and visitor.watched.strangers == []
