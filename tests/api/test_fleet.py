"""Versions of the configuration and rollouts by the API, with real registries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select

from analysis.fleet.attention import Health, newest_version, reasons
from api.config_keeper import ConfigKeeper, to_publish
from api.context import ApiContext
from contract.messages import DeviceStatus
from store.registry.configurations import wanted_versions
from store.registry.device_state import StatusReport, record_statuses
from store.registry.models import Device
from store.series.interface import StoreUnavailable
from tests.api import seeding
from tests.api.conftest import Person

SITE = seeding.OWN_SITE
AN_HOUR_AGO = seeding.NOW - timedelta(hours=1)
SETTINGS = {"noise.events.margin_db": 15, "noise.overload_db": None, "water.interval_s": 300}


@pytest.fixture
def admin(person: Callable[..., Person]) -> Person:
    return person("admin")


def draft(admin: Person, **settings) -> int:
    answer = admin.send("POST", "/fleet/configurations", {"settings": settings or SETTINGS, "note": "why"})
    assert answer.status_code == 201, answer.text
    return answer.json()["version"]


def count(context: ApiContext) -> int:
    with context.registry.reader() as session:
        return len(session.scalars(select(Device).where(Device.enabled)).all())


def test_a_version_is_checked_before_it_is_kept(admin, person):
    version = draft(admin)
    newest = admin.get("/fleet/configurations").json()["items"][0]
    assert (newest["version"], newest["settings"], newest["made_by"]) == (version, SETTINGS, "admin")
    bad = {"settings": {"mqtt.url": "x", "status_interval_s": 1}}
    answer = admin.send("POST", "/fleet/configurations", bad)
    assert answer.status_code == 422 and len(answer.json()["errors"]) == 2
    assert "from 5 to 3600" in answer.json()["detail"]
    assert len(admin.get("/fleet/configurations").json()["items"]) == 1
    assert any(one["key"] == "noise.spectrum" for one in admin.get("/fleet/settings").json()["items"])
    assert person("manager").get("/fleet/configurations").status_code == 403
    assert person("bureau").send("POST", "/fleet/configurations", {"settings": {}}).status_code == 403


def test_one_device_is_given_a_version_and_the_log_has_it(admin, context):
    version = draft(admin)
    device = seeding.DEVICES[SITE][0][0]
    path = f"/sites/{SITE}/devices/{device}/configuration"
    assert admin.send("PUT", path, {"version": version}).json()["before"] == 0
    assert admin.send("PUT", path, {"version": 0}).json()["before"] == version
    assert admin.send("PUT", path, {"version": 999}).status_code == 422
    assert admin.send("PUT", f"/sites/{SITE}/devices/nobody/configuration", {"version": 0}).status_code == 404
    audit = admin.get("/audit", limit=1).json()["items"][0]
    assert (audit["action"], audit["target"]) == ("device.configuration", f"{SITE}/{device}")
    with context.registry.reader() as session:
        assert wanted_versions(session) == {(SITE, device): 0}


def test_a_rollout_begins_with_its_first_wave_is_held_and_taken_back(admin, context):
    version, total = draft(admin), count(context)
    begun = admin.send("POST", "/fleet/rollouts", {"version": version, "waves": ["2", "100%"]})
    assert begun.status_code == 201, begun.text
    told = begun.json()
    assert (told["state"], told["wave"], told["waves"], told["reached"]) == ("running", 1, [2, total], 2)
    with context.registry.reader() as session:
        assert list(wanted_versions(session).values()) == [version] * 2
    again = admin.send("POST", "/fleet/rollouts", {"version": version, "sites": [told["devices"][0]["site"]]})
    assert again.status_code == 409 and f"rollout {told['id']} has" in again.json()["detail"]
    path = f"/fleet/rollouts/{told['id']}"
    assert admin.send("POST", f"{path}/resume").status_code == 409
    assert admin.send("POST", f"{path}/pause").json()["state"] == "paused"
    assert admin.send("POST", f"{path}/resume").json()["state"] == "running"
    back = admin.send("POST", f"{path}/back").json()
    assert (back["state"], back["reason"]) == ("rolled_back", "by admin")
    assert admin.send("POST", f"{path}/back").status_code == 409
    with context.registry.reader() as session:
        assert list(wanted_versions(session).values()) == [0, 0]
    assert admin.get("/fleet/rollouts").json()["items"][0]["state"] == "rolled_back"
    actions = [one["action"] for one in admin.get("/audit", limit=10).json()["items"]]
    assert {"rollout.begin", "rollout.pause", "rollout.resume", "rollout.back"} <= set(actions)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"version": 99}, 422),
        ({"version": 1, "sites": ["nowhere"]}, 422),
        ({"version": 1, "waves": ["many"]}, 422),
        ({"version": 1, "waves": []}, 422),
        ({"version": 1, "healthy_min": 0}, 422),
    ],
)
def test_a_rollout_that_cannot_be_is_refused(admin, body, status):
    draft(admin)
    assert admin.send("POST", "/fleet/rollouts", body).status_code == status
    assert admin.get("/fleet/rollouts").json()["items"] == []
    assert admin.get("/fleet/rollouts/7").status_code == 404


def test_what_the_broker_holds_otherwise_is_published_again_only_after_a_while():
    wanted = {("s", "a"): b"1", ("s", "b"): b"2", ("s", "c"): b"3"}
    held = {("s", "a"): b"1", ("s", "b"): b"old", ("x", "y"): b"not ours"}
    assert to_publish(wanted, held, {}, 0.0) == {("s", "b"): b"2", ("s", "c"): b"3"}
    sent = {("s", "b"): (b"2", 0.0), ("s", "c"): (b"other", 0.0)}
    assert to_publish(wanted, held, sent, 5.0) == {("s", "c"): b"3"}
    assert to_publish(wanted, held, sent, 60.0).keys() == {("s", "b"), ("s", "c")}
    assert len(to_publish(wanted, {}, {}, 0.0, most=2)) == 2


def test_a_configuration_is_published_also_while_the_store_is_away(admin, context, monkeypatch):
    version, (site, device) = draft(admin), (SITE, seeding.DEVICES[SITE][0][0])
    given = admin.send("PUT", f"/sites/{site}/devices/{device}/configuration", {"version": version})
    assert given.status_code == 200, given.text

    def away(*_: object) -> list[str]:
        raise StoreUnavailable("away")

    monkeypatch.setattr("api.config_keeper.rollout_round", away)
    keeper = ConfigKeeper("mqtt://127.0.0.1:1", context.series, context.registry, context.clock)
    sent: dict[str, bytes] = {}
    monkeypatch.setattr(keeper, "_publish", lambda topic, payload, **_: sent.update({topic: payload}))
    keeper._work()
    assert list(sent) == [f"qw/v1/{site}/{device}/config"]


def test_the_fleet_says_which_device_needs_attention_and_why(admin, person, context):
    device = seeding.DEVICES[SITE][0][0]
    now = context.clock.now()
    told = DeviceStatus(
        state="online", t=now, version="0.0.1", clock_synced=False, disk_free_mb=100, temperature_c=90.0,
        certificate_ends=now + timedelta(days=3), outbox_oldest_t=now - timedelta(hours=1), config_version=0,
        config_error="version 5: no sound",
    )  # fmt: skip
    other = seeding.DEVICES[SITE][1][0]
    well = DeviceStatus(state="online", t=now - timedelta(seconds=1), version="0.1.0", config_version=0)
    with context.registry.session() as session:
        record_statuses(
            session, [StatusReport(SITE, device, told, now), StatusReport(SITE, other, well, now)]
        )
    items = {(one["site"], one["name"]): one for one in admin.get("/fleet/devices").json()["items"]}
    assert items[SITE, device]["attention"] == [
        "old_version", "clock", "outbox", "certificate", "configuration", "disk", "hot",
    ]  # fmt: skip
    assert items[SITE, device]["config_error"] == "version 5: no sound"
    assert items[SITE, other]["clock_offset_s"] == -1.0
    assert items[SITE, other]["label"].keys() == items[SITE, other]["site_label"].keys() == {"zh", "en"}
    alone = admin.get("/fleet/devices", attention=True, limit=1).json()
    assert all(one["attention"] for one in alone["items"]) and len(alone["items"]) == 1
    assert person("manager").get("/fleet/devices").status_code == 403


@pytest.mark.parametrize(
    ("health", "why"),
    [
        (Health(True), []),
        (Health(False), ["silent"]),
        (Health(True, version="0.9.9"), ["old_version"]),
        (Health(True, version="0.10.0"), []),
        (Health(True, clock_offset_s=-3.0), ["clock"]),
        (Health(True, drift_db=-0.8), ["drift"]),
        (Health(True, config_wanted=5, config_wanted_since=seeding.NOW, config_version=4), []),
        (Health(True, config_wanted=5, config_wanted_since=AN_HOUR_AGO, config_version=4), ["configuration"]),
        (Health(True, config_wanted=5, config_wanted_since=AN_HOUR_AGO, config_version=5), []),
    ],
)  # fmt: skip
def test_each_reason_has_its_bound(health, why):
    assert reasons(health, newest_version(["0.9.9", "0.10.0", None, "unknown"]), seeding.NOW) == why
