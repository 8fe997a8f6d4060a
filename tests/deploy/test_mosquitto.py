"""The Mosquitto configuration that is shipped, run for real: devices keep to their own topics, nobody else comes in."""

from __future__ import annotations

import shutil
import signal
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from click.testing import CliRunner
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from app.cli import main
from contract.messages import DeviceStatus
from edge.link import Broker, Link
from store.registry.models import Device
from tests.broker import Quarter, quarter, wait_for
from tests.certificates import Authority, authority, server_certificate
from tests.deploy.mqtt_client import Client

SHIPPED = Path(__file__).parents[2] / "deploy" / "mosquitto" / "quietwater.conf"
PASSWORD = "of-the-server"
pytestmark = pytest.mark.system


@dataclass
class Town:
    """A running Mosquitto with the shipped configuration, and the registry that its files were made of."""

    quarter: Quarter
    data: Path
    files: Path
    pid_file: Path
    tls_port: int
    own_port: int
    ca: Authority

    def write(self, *more: str) -> str:
        made = CliRunner(env={"QUIETWATER_BROKER_PASSWORD": PASSWORD}).invoke(
            main,
            [
                "admin",
                "--data",
                str(self.data),
                "mosquitto",
                "--out",
                str(self.files),
                "--reload",
                str(self.pid_file),
                *more,
            ],
        )
        assert made.exit_code == 0, made.output
        return made.output

    def device(self, site: str, name: str, **more) -> Client:
        return Client(self.tls_port, *self.quarter.login(site, name), ca_file=self.ca.cert_file, **more)

    def server(self) -> Client:
        return Client(self.own_port, "quietwater", PASSWORD)


@contextmanager
def running(
    program: str, folder: Path, files: Path, tls_port: int, own_port: int
) -> Iterator[subprocess.Popen[bytes]]:
    text = SHIPPED.read_text().replace("/etc/mosquitto/quietwater", str(files))
    text = text.replace("listener 8883", f"listener {tls_port} 127.0.0.1").replace(
        "1883 127", f"{own_port} 127"
    )
    config = folder / "mosquitto.conf"
    config.write_text(f"user root\npid_file {folder}/pid\npersistence_location {folder}/\n{text}")
    with (folder / "mosquitto.log").open("wb") as output:
        process = subprocess.Popen([program, "-c", str(config), "-v"], stdout=output, stderr=output)
    try:
        wait_for(lambda: (folder / "pid").exists() or process.poll() is not None, 90)
        assert process.poll() is None, (folder / "mosquitto.log").read_text()
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@pytest.fixture
def town(tmp_path: Path, program: Callable[[str], str], free_port: Callable[[], int]) -> Iterator[Town]:
    folder, files = tmp_path / "broker", tmp_path / "files"
    folder.mkdir()
    made = Town(
        quarter(tmp_path / "data", sites=2), tmp_path / "data", files, folder / "pid", free_port(), free_port(),
        authority(tmp_path / "ca"),
    )  # fmt: skip
    made.write()
    certificate, key = server_certificate(made.ca, tmp_path / "server")
    shutil.copy(certificate, files / "server.pem")
    shutil.copy(key, files / "server.key")
    with running(program("mosquitto"), folder, files, made.tls_port, made.own_port):
        wait_for(lambda: _tries(made), 90, "the broker to let the server in")
        yield made


def _tries(town: Town) -> bool:
    try:
        client = town.server()
    except OSError:
        return False
    client.close()
    return True


OUTSIDE = (
    "qw/v1/s1/d2/noise", "qw/v1/s2/d1/noise", "qw/v1/s1/d2/status", "qw/v1/s1/d1/stored", "qw/v1/s1/d1/config",
    "qw/v1/s1/d1/noise/more", "qw/v1/s1/d1", "qw/v1/s1//noise", "/qw/v1/s1/d1/noise", "qw/v1/s1/d1/NOISE", "else",
    "$SYS/broker/uptime", "$share/ingest/qw/v1/s1/d1/noise", "homeassistant/status", "qw/v1/s1/d1/../d2/noise",
)  # fmt: skip


@pytest.mark.parametrize("version", [MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311])
def test_a_device_writes_under_its_own_topics_alone(town: Town, version: MQTTProtocolVersion) -> None:
    watcher = town.server()
    assert watcher.subscribe("qw/v1/#") and watcher.subscribe("homeassistant/#")
    for topic in OUTSIDE:
        for retain in (False, True):
            intruder = town.device("s1", "d1", version=version)
            intruder.publish(topic, retain=retain)
            intruder.close()
    device = town.device("s1", "d1", version=version)
    for kind in ("noise", "spectrum", "water", "event", "status"):
        device.publish(f"qw/v1/s1/d1/{kind}")
    wait_for(lambda: "qw/v1/s1/d1/status" in watcher.heard, 90, "what the device may write")
    assert watcher.heard == [
        f"qw/v1/s1/d1/{kind}" for kind in ("noise", "spectrum", "water", "event", "status")
    ]
    device.close()
    watcher.close()


def test_a_device_reads_what_is_meant_for_it_alone(town: Town) -> None:
    server, device = town.server(), town.device("s1", "d1")
    for topic in (
        "#", "qw/#", "qw/v1/#", "qw/v1/+/+/stored", "qw/v1/s1/+/stored", "qw/v1/s1/d2/stored", "qw/v1/s1/d2/config",
        "qw/v1/s1/d2/noise", "+/v1/s1/d1/stored", "$SYS/#", "$share/ingest/qw/v1/+/+/noise",
        "$share/x/qw/v1/s1/d2/stored", "qw/v1/s1/d1/#", "qw/v1/s1/d1/stored", "qw/v1/s1/d1/config",
    ):  # fmt: skip
        device.subscribe(topic)  # what is granted may still not be delivered: what is heard counts
    other = town.device("s1", "d2")
    for kind in ("noise", "status"):
        other.publish(f"qw/v1/s1/d2/{kind}")
    watcher = town.server()
    assert watcher.subscribe("qw/v1/s1/d2/status")
    other.publish("qw/v1/s1/d2/status")
    wait_for(lambda: watcher.heard, 90, "the other device")
    for topic in ("qw/v1/s1/d2/stored", "qw/v1/s2/d1/config", "qw/v1/s1/d1/config", "qw/v1/s1/d1/stored"):
        server.publish(topic)
    wait_for(lambda: "qw/v1/s1/d1/stored" in device.heard, 90, "what is meant for the device")
    assert set(device.heard) == {"qw/v1/s1/d1/config", "qw/v1/s1/d1/stored"}
    for one in (device, other, server, watcher):
        one.close()


def test_a_last_will_does_not_reach_farther_than_its_device(town: Town) -> None:
    watcher = town.server()
    assert watcher.subscribe("qw/v1/#")
    town.device("s1", "d1", will="qw/v1/s1/d2/status").vanish()
    town.device("s1", "d2", will="qw/v1/s1/d2/status").vanish()
    wait_for(lambda: "qw/v1/s1/d2/status" in watcher.heard, 60, "the device's own will")
    assert watcher.heard == ["qw/v1/s1/d2/status"]
    watcher.close()


def test_nobody_takes_another_devices_place(town: Town) -> None:
    first = town.device("s1", "d1", client_id="s1.d1")
    intruder = town.device("s1", "d2", client_id="s1.d1")
    watcher = town.server()
    assert watcher.subscribe("qw/v1/#")
    first.publish("qw/v1/s1/d1/noise")
    wait_for(lambda: watcher.heard, 90)
    assert first.inside and intruder.inside and not first.gone.is_set()
    for one in (first, intruder, watcher):
        one.close()


def test_nobody_comes_in_without_the_right_password_or_certificate(town: Town) -> None:
    name, password = town.quarter.login("s1", "d1")
    for given in ((None, None), (name, "wrong"), (name, None), ("nobody", password), ("quietwater", "wrong")):
        assert not Client(town.tls_port, *given, ca_file=town.ca.cert_file).inside
    assert not Client(town.own_port).inside
    stranger = authority(town.data / "stranger")
    with pytest.raises(ssl.SSLCertVerificationError):
        Client(town.tls_port, name, password, ca_file=stranger.cert_file)
    plain = Client(town.tls_port, name, password) if _answers_plain(town) else None
    assert plain is None


def _answers_plain(town: Town) -> bool:
    """Whether the port for devices speaks without TLS."""
    probe = mqtt.Client(CallbackAPIVersion.VERSION2)
    met = threading.Event()
    probe.on_connect = lambda *_: met.set()
    ended = threading.Event()
    probe.on_disconnect = lambda *_: ended.set()
    probe.connect("127.0.0.1", town.tls_port)
    probe.loop_start()
    wait_for(lambda: met.is_set() or ended.is_set(), 90)
    probe.loop_stop()
    return met.is_set()


def test_what_changes_in_the_registry_counts_after_the_files_are_written_anew(town: Town) -> None:
    assert town.device("s1", "d1").inside
    with town.quarter.registry.session() as session:
        session.get_one(Device, ("s1", "d1")).enabled = False
        session.get_one(Device, ("s1", "d2")).mosquitto_hash = None
    assert "s1/d2 has no password that Mosquitto understands" in town.write()
    wait_for(lambda: not town.device("s1", "d1").inside, 90, "the device that is switched off to be refused")
    assert not town.device("s1", "d2").inside and town.device("s2", "d1").inside


def test_an_agents_link_works_through_it(town: Town) -> None:
    watcher = town.server()
    assert watcher.subscribe("qw/v1/s1/d1/#")
    username, password = town.quarter.login("s1", "d1")
    stored: list[object] = []
    link = Link(
        Broker(f"mqtts://localhost:{town.tls_port}", username, password, ca_file=str(town.ca.cert_file)), "s1", "d1",
        on_stored=stored.append, on_config=print, on_connected=lambda: None,
    )  # fmt: skip
    link.start()
    wait_for(lambda: link.connected, 90)
    link.publish("noise", b"[]")
    link.publish_status(DeviceStatus(state="online"))
    wait_for(lambda: {"qw/v1/s1/d1/noise", "qw/v1/s1/d1/status"} <= set(watcher.heard), 90)
    watcher.publish("qw/v1/s1/d1/stored", b'{"stored":[[1,1]]}')
    wait_for(lambda: stored, 90, "stored")
    link.stop(last_status=DeviceStatus(state="offline"))
    watcher.close()
