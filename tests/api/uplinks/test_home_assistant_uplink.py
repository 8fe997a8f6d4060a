"""The uplink at Debian's Mosquitto, seen as Home Assistant sees it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
import structlog
from paho.mqtt.enums import CallbackAPIVersion

from api.uplinks.config import HomeAssistantConfig
from api.uplinks.home_assistant.service import HomeAssistantUplink
from app.uplinks import uplinks
from store.registry.database import Registry
from store.registry.models import Device
from store.series.interface import SeriesStore
from tests.api import seeding
from tests.api.conftest import SetClock
from tests.broker import mosquitto, wait_for
from tests.certificates import authority, server_certificate
from tests.proxy import Proxy

SITE = seeding.OWN_SITE
LAEQ = f"homeassistant/sensor/quietwater/{SITE}_noise_dong-men_laeq_db/config"
STALE = f"homeassistant/sensor/quietwater/{SITE}_noise_gone_laeq_db/config"


class Home:
    """A client that hears what Home Assistant would hear."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._lock = threading.Lock()
        self._heard: list[tuple[str, bytes]] = []
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self.client.on_message = self._on_message
        subscribed = threading.Event()
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe([("homeassistant/#", 1), ("quietwater/#", 1)])
        assert subscribed.wait(60)

    def _on_message(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        with self._lock:
            self._heard.append((message.topic, bytes(message.payload)))

    def all(self, topic: str) -> list[bytes]:
        with self._lock:
            return [payload for one, payload in self._heard if one == topic]

    def last(self, topic: str) -> bytes | None:
        return next(reversed(self.all(topic)), None)

    def configs(self) -> set[str]:
        """Return the topics whose config is there now."""
        with self._lock:
            newest = {topic: payload for topic, payload in self._heard if topic.endswith("/config")}
        return {topic for topic, payload in newest.items() if payload}

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@contextmanager
def uplink(
    port: int, series: SeriesStore, registry: Registry, **changes: Any
) -> Iterator[HomeAssistantUplink]:
    config = HomeAssistantConfig(host="127.0.0.1", port=port, sites=(SITE,), interval_s=1, **changes)
    part = HomeAssistantUplink("home", config, series, registry, SetClock(seeding.NOW), backoff_s=0.01)
    part.start()
    try:
        yield part
    finally:
        part.stop()


@pytest.fixture
def home_and_proxy(
    program: Callable[[str], str], free_port: Callable[[], int], tmp_path: Path
) -> Iterator[tuple[Home, Proxy]]:
    port = free_port()
    with mosquitto(program("mosquitto"), tmp_path / "ha", port):
        home, proxy = Home(port), Proxy(port)
        try:
            yield home, proxy
        finally:
            proxy.close()
            home.close()


def test_home_assistant_sees_devices_states_and_a_server_that_is_gone(
    home_and_proxy: tuple[Home, Proxy], series: SeriesStore, registry: Registry
) -> None:
    home, proxy = home_and_proxy
    home.client.publish(STALE, b'{"name":"of a device that is gone"}', qos=1, retain=True)
    wait_for(lambda: STALE in home.configs())
    expected = 1 + 3 * len(seeding.DEVICES[SITE]) + 2 * seeding.METERS
    with uplink(proxy.port, series, registry) as part:
        wait_for(lambda: len(home.configs()) == expected and home.last(STALE) == b"", what="discovery")
        noise = json.loads(wait_for(lambda: home.last(f"quietwater/{SITE}/noise/dong-men/state")))
        assert 20 < noise["laeq_db"] <= noise["lafmax_db"] < 120
        assert noise["over_limit"] == ("ON" if noise["laeq_db"] > noise["limit_db"] else "OFF")
        config = json.loads(home.last(LAEQ) or b"{}")
        assert config["state_topic"] == f"quietwater/{SITE}/noise/dong-men/state"
        assert config["availability_topic"] == "quietwater/status"
        meter = next(meter for _, meter, _ in series.water_latest(site=SITE))
        wait_for(lambda: home.last(f"quietwater/{SITE}/water/{meter}/state"))
        assert "alerts" in json.loads(wait_for(lambda: home.last(f"quietwater/{SITE}/site/state")))
        assert home.last("quietwater/status") == b"online"

        before = len(home.all(LAEQ))
        home.client.publish("homeassistant/status", b"online", qos=1)
        wait_for(lambda: len(home.all(LAEQ)) > before, what="discovery after the birth message")

        proxy.cut()
        wait_for(lambda: home.last("quietwater/status") == b"offline", what="last will")
        before = len(home.all(LAEQ))
        proxy.mend()
        wait_for(lambda: home.last("quietwater/status") == b"online", what="reconnect")
        wait_for(lambda: len(home.all(LAEQ)) > before, what="discovery after the reconnect")
        assert part.numbers()["connected"] == 1.0

        with registry.session() as session:
            device = session.get(Device, (SITE, "dong-men"))
            assert device is not None
            device.enabled = False
        wait_for(lambda: len(home.configs()) == expected - 3, what="removal")
        assert home.last(LAEQ) == b""
    wait_for(lambda: home.last("quietwater/status") == b"offline", what="farewell")
    assert part.numbers()["dropped_total"] == 0.0


def test_a_broker_that_is_away_costs_nothing_and_is_found_when_it_comes(
    home_and_proxy: tuple[Home, Proxy], series: SeriesStore, registry: Registry
) -> None:
    home, proxy = home_and_proxy
    proxy.cut()
    with uplink(proxy.port, series, registry, retain=True) as part:
        assert part.numbers() == {
            "waiting": 0.0, "published_total": 0.0, "dropped_total": 0.0, "connected": 0.0,
        }  # fmt: skip
        proxy.mend()
        wait_for(lambda: home.last(LAEQ), what="discovery")
        wait_for(lambda: home.last(f"quietwater/{SITE}/noise/dong-men/state"))
    late = Home(home.port)
    try:
        wait_for(lambda: late.last(f"quietwater/{SITE}/noise/dong-men/state"), what="a retained state")
    finally:
        late.close()


def test_a_broker_of_a_strange_authority_is_told_nothing(
    program: Callable[[str], str],
    free_port: Callable[[], int],
    series: SeriesStore,
    registry: Registry,
    tmp_path: Path,
) -> None:
    ours, strange = authority(tmp_path / "ours"), authority(tmp_path / "strange")
    cert, key = server_certificate(ours, tmp_path / "server")
    plain, secure = free_port(), free_port()
    lines = (
        f"listener {secure} 127.0.0.1", "allow_anonymous true", f"certfile {cert}", f"keyfile {key}",
    )  # fmt: skip
    with (
        mosquitto(program("mosquitto"), tmp_path / "ha", plain, *lines),
        structlog.testing.capture_logs() as logs,
    ):
        home = Home(plain)
        try:
            with uplink(secure, series, registry, tls=True, ca_file=str(strange.cert_file)) as part:
                wait_for(lambda: any("CERTIFICATE_VERIFY_FAILED" in str(one.get("cause")) for one in logs))
                assert part.numbers()["published_total"] == 0.0
            assert not home.configs()
            with uplink(secure, series, registry, tls=True, ca_file=str(ours.cert_file)):
                wait_for(lambda: home.last(LAEQ), what="discovery over TLS")
        finally:
            home.close()


def test_each_table_is_a_part_of_the_server_with_its_numbers(
    series: SeriesStore, registry: Registry, tmp_path: Path
) -> None:
    (tmp_path / "uplinks.toml").write_text('[home_assistant.at-home]\nhost = "localhost"\n')
    [(name, make)] = uplinks(tmp_path, series, registry, SetClock()).items()
    part = make()
    assert name == "home_assistant_at_home"
    assert set(part.numbers()) == {"waiting", "published_total", "dropped_total", "connected"}
    part.stop()
