"""The server's configuration at the device: checked, tried, kept, and taken back."""

import threading
from pathlib import Path

import msgspec
import pytest

from contract.clock import SystemClock
from contract.codec import decode_reading, encode
from contract.messages import DeviceConfig, DeviceStatus
from contract.remote_settings import REMOTE_SETTINGS
from edge.agent import Agent
from edge.config import ConfigError, from_table
from edge.remote import RemoteConfig, overlaid
from edge.remote_state import OWN, STARTS, Kept, failed, offered, passed, report, started
from tests.broker import embedded, quarter, wait_for

METERS = [
    {"driver": "cjt188", "name": "m1", "bus": "b", "address": "A" * 14},
    {"driver": "cjt188", "name": "m2", "bus": "b", "address": "B" * 14, "q4_m3h": 3.5},
]
TABLE = {
    "site": "s1", "device": "d1", "noise": {"source": {"type": "stdin"}},
    "water": {"buses": [{"name": "b", "port": "/dev/null"}], "meters": METERS},
}  # fmt: skip
NEW, NEWER = DeviceConfig(version=5, settings={"noise.spectrum": False}), DeviceConfig(version=6)


@pytest.mark.parametrize("setting", REMOTE_SETTINGS.values(), ids=lambda one: one.key)
def test_the_table_of_settings_is_what_the_devices_own_types_take(setting):
    own = from_table(TABLE)
    values = [True, False] if setting.kind == "bool" else [setting.lowest, setting.highest]
    others = {"water.interval_s": 7200} if setting.key == "water.jitter_s" else {}
    others |= {"water.jitter_s": 0} if setting.key == "water.interval_s" else {}
    for value in [*values, *([None] if setting.optional else [])]:
        made = overlaid(own, DeviceConfig(version=1, settings={**others, setting.key: value}))
        found = msgspec.to_builtins(made)
        for step in setting.key.split("."):
            found = found["meters"][1] if isinstance(found, dict) and "meters" in found else found
            found = found[step]
        assert found == value
    if setting.kind != "bool":
        for value in (setting.lowest - 1, setting.highest + 1):
            with pytest.raises(ConfigError):
                overlaid(own, DeviceConfig(version=1, settings={setting.key: value}))


def test_settings_of_a_part_that_the_device_lacks_are_left_aside_and_the_rest_stays():
    own = from_table({key: TABLE[key] for key in ("site", "device", "noise")})
    config = DeviceConfig(version=1, settings={"water.interval_s": 60, "noise.events.margin_db": 20})
    made = overlaid(own, config)
    assert made.water is None and made.noise is not None and made.noise.events.margin_db == 20
    assert overlaid(own, OWN) == own


def test_a_new_configuration_is_on_trial_then_kept_and_the_good_one_comes_back():
    kept = offered(Kept(), NEW, None, "1")
    assert (kept.running, kept.good, report(kept).on_trial) == (NEW, OWN, True)
    kept = passed(kept)
    assert (kept.good, kept.trial) == (NEW, None)
    back = failed(offered(kept, NEWER, None, "1"), "no sound", "1")
    assert back.running == NEW and report(back).error == "version 6: no sound"
    assert offered(back, NEWER, None, "1") == back, "not tried again"
    assert offered(back, NEWER, None, "2").running == NEWER, "but by another version of the agent"
    assert report(offered(back, NEW, None, "1")).error is None, "what runs is no fault"


def test_a_refused_one_changes_nothing_that_runs_and_an_older_one_may_come_again():
    kept = Kept(good=NEWER)
    assert offered(kept, NEW, "bad", "1").running == NEWER
    trial = offered(kept, NEW, None, "1")
    assert offered(trial, NEWER, None, "1") == Kept(good=NEWER)


def test_an_agent_that_keeps_ending_goes_back_and_a_power_cut_does_not():
    kept = offered(Kept(), NEW, None, "1")
    for _ in range(STARTS - 1):
        kept = started(kept, "1")
        assert kept.running == NEW
    kept = started(kept, "1")
    assert kept.running == OWN and "ended 3 times" in (report(kept).error or "")


def test_what_a_later_release_kept_makes_an_earlier_one_go_back_to_its_own(tmp_path):
    own = from_table(TABLE)
    later = DeviceConfig(version=9, settings={"noise.of_a_later_release.depth": 1})
    (tmp_path / "kept.json").write_bytes(msgspec.json.encode(Kept(good=later)))
    remote, applied = RemoteConfig(tmp_path / "kept.json", own, "1"), []
    remote.begin(applied.append)
    assert applied == [own]
    assert remote.report.version == 0 and "later_release" in (remote.report.error or "")


def test_an_agent_whose_source_cannot_be_made_again_is_not_healthy(tmp_path):
    response = tmp_path / "response.csv"
    response.write_text(good := "frequency_hz,response_db\n100,0\n1000,0\n10000,0.5\n")
    noise = {"source": {"type": "stdin"}, "response": str(response)}
    own = from_table({"site": "s1", "device": "d1", "data": str(tmp_path), "noise": noise})
    agent = Agent(own, SystemClock())
    changed = overlaid(own, NEW)
    try:
        assert agent.healthy
        response.write_text("spoilt")
        for config in (changed, own):
            with pytest.raises(ValueError, match="response"):
                agent._use(config)
        assert not agent.healthy
        response.write_text(good)
        agent._use(changed)
        assert agent.healthy
    finally:
        agent.outbox.close()


class Bench:
    def __init__(self, tmp_path: Path, broker, login):
        self.folder = tmp_path / "edge"
        self.scene = {"type": "file", "path": str(tmp_path / "sound.wav"), "loop": True}
        self.url, self.login = broker.url, login
        self.broker = broker

    def agent(self, **noise) -> Agent:
        (self.folder).mkdir(exist_ok=True)
        (self.folder / "password").write_text(self.login[1])
        table = {
            "site": "s1", "device": "d1", "data": str(self.folder),
            "mqtt": {"url": self.url, "password_file": str(self.folder / "password")},
            "noise": {"source": self.scene, **noise},
        }  # fmt: skip
        made = Agent(from_table(table), SystemClock(), trial_s=1.0)
        made.start()
        return made


@pytest.fixture
def bench(tmp_path, free_port):
    import numpy as np
    import soundfile

    soundfile.write(tmp_path / "sound.wav", np.random.default_rng(1).normal(0, 0.01, 48_000 * 2), 48_000)
    town = quarter(tmp_path / "data")
    with embedded(tmp_path / "broker", town.registry, free_port()) as broker:
        yield Bench(tmp_path, broker, town.login("s1", "d1"))
    town.registry.close()


def _told(statuses: list[DeviceStatus], **wanted) -> DeviceStatus | None:
    return next((one for one in statuses if all(getattr(one, k) == v for k, v in wanted.items())), None)


@pytest.mark.system
def test_the_retained_topic_changes_a_running_agent_and_survives_its_restart(bench):
    import paho.mqtt.client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    statuses: list[DeviceStatus] = []
    server = mqtt.Client(CallbackAPIVersion.VERSION2)
    server.username_pw_set(*bench.broker.login)
    server.on_message = lambda *told: statuses.append(msgspec.json.decode(told[2].payload, type=DeviceStatus))
    subscribed = threading.Event()
    server.on_subscribe = lambda *_: subscribed.set()
    server.connect("127.0.0.1", int(bench.url.rsplit(":", 1)[1]))
    server.loop_start()
    server.subscribe("qw/v1/s1/d1/status", 1)
    assert subscribed.wait(60)

    def publish(config: DeviceConfig | bytes) -> None:
        payload = config if isinstance(config, bytes) else encode(config)
        server.publish("qw/v1/s1/d1/config", payload, qos=1, retain=True).wait_for_publish(60)

    agent = bench.agent()
    try:
        wait_for(lambda: _told(statuses, config_version=0, config_error=None))
        publish(DeviceConfig(version=7, settings={"noise.spectrum": False, "status_interval_s": 5}))
        wait_for(lambda: _told(statuses, config_version=7, config_on_trial=True))
        wait_for(lambda: _told(statuses, config_version=7, config_on_trial=None, status_interval_s=5.0))
        assert agent.measuring and agent.healthy
        publish(DeviceConfig(version=8, settings={"mqtt.url": "mqtt://elsewhere"}))
        bad = wait_for(
            lambda: next((one for one in statuses if "version 8" in (one.config_error or "")), None)
        )
        assert bad.config_version == 7 and "mqtt.url" in (bad.config_error or "")
        publish(b"{")
        wait_for(
            lambda: next((one for one in statuses if "cannot be read" in (one.config_error or "")), None)
        )
        assert agent.measuring
        agent.stop()
        statuses.clear()
        publish(b"")  # the broker has forgotten it: the device has not
        agent = bench.agent()
        wait_for(lambda: _told(statuses, config_version=7))
        # Both starts, and nothing else that the changes made of the sources, are restarts.
        wait_for(lambda: agent.outbox.depth() > 3)
        kinds = [one for one in agent.outbox.older_than(1 << 53, 500) if one.kind == "event"]
        assert [getattr(decode_reading("event", one.payload), "kind", "") for one in kinds].count(
            "restart"
        ) == 2
    finally:
        agent.stop()
        server.loop_stop()
        server.disconnect()


def test_a_configuration_that_a_source_fails_with_is_taken_back(tmp_path, bench, monkeypatch):
    from edge.sound.station import Station

    real = Station.run

    def run(self: Station, stop: threading.Event) -> None:
        if not self._settings.spectrum:
            raise RuntimeError("no bands, no sound")
        real(self, stop)

    monkeypatch.setattr(Station, "run", run)
    agent = bench.agent()
    try:
        agent._remote.offer(NEW)
        wait_for(lambda: agent._remote.report.error)
        told = agent._remote.report
        assert (told.version, told.on_trial) == (0, False)
        assert told.error == "version 5: source-noise failed: RuntimeError: no bands, no sound"
        wait_for(lambda: agent.measuring)
    finally:
        agent.stop()


def test_one_that_cannot_be_used_at_the_start_and_a_file_that_is_broken_do_not_keep_it_from_starting(bench):
    file = bench.folder / "s1.d1.config.json"
    bench.folder.mkdir()
    gone = DeviceConfig(version=4, settings={"noise.events.for_s": 1e9})
    for content in (msgspec.json.encode(Kept(good=NEW, trial=gone, starts=1)), b"{ power cut"):
        file.write_bytes(content)
        agent = bench.agent()
        told = agent._remote.report
        agent.stop()
        assert told.on_trial is False
        assert told.version == (5 if content[:2] != b"{ " else 0)
        assert ("version 4" in (told.error or "")) == (told.version == 5)
