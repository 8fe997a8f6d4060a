"""Devices by certificate at the shipped configurations of Mosquitto and of nats-server, both run for real."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from paho.mqtt.enums import MQTTProtocolVersion

from app.broker import server_path
from app.cli import main
from contract.messages import DeviceStatus
from contract.tls import TlsFiles
from edge.link import Broker, Link
from ingest.source import BrokerAddress
from ingest.source_mqtt import MqttSource
from store.registry.authority import Authority
from store.registry.models import Device
from tests.broker import Quarter, quarter, wait_for
from tests.certificates import authority, client_certificate
from tests.deploy.mqtt_client import Client

SHIPPED = Path(__file__).parents[2] / "deploy"
PASSWORD = "of-the-server"
pytestmark = pytest.mark.system


def admin(data: Path, *words: str) -> str:
    """Run ``quietwater admin``; return what it prints."""
    done = CliRunner(env={"QUIETWATER_BROKER_PASSWORD": PASSWORD}).invoke(
        main, ["admin", "--data", str(data), *words]
    )
    assert done.exit_code == 0, done.output
    return done.output


@dataclass
class Town:
    """A broker that runs with the shipped configuration; ``kind`` is its name on the command line."""

    kind: str
    quarter: Quarter
    data: Path
    files: Path
    given: Path
    pid_file: Path
    port: int

    @property
    def ca_file(self) -> Path:
        return self.files / "ca.pem"

    def write(self) -> str:
        return admin(self.data, self.kind, "--out", str(self.files), "--reload", str(self.pid_file))

    def certificate(self, site: str, name: str) -> tuple[Path, Path]:
        out = self.given / f"{site}.{name}.{len(list(self.given.glob('*')))}"
        admin(self.data, "certificate", "device", site, name, "--out", str(out))
        return out / "device.pem", out / "device.key"

    def come(self, pair: tuple[Path, Path] | None, **more) -> Client:
        version = MQTTProtocolVersion.MQTTv311  # the one that both speak
        return Client(self.port, ca_file=self.ca_file, pair=pair, version=version, **more)

    def server(self) -> Client:
        return self.come((self.given / "server" / "client.pem", self.given / "server" / "client.key"))


def _config(kind: str, folder: Path, files: Path, port: int, own_port: int) -> str:
    """Return the shipped configuration with this test's ports and folders."""
    if kind == "mosquitto":
        text = (SHIPPED / "mosquitto" / "quietwater-certificates.conf").read_text()
        text = text.replace("/etc/mosquitto/quietwater", str(files)).replace("1883 127", f"{own_port} 127")
        text = text.replace("listener 8883", f"listener {port} 127.0.0.1")
        return f"user root\npid_file {folder}/pid\npersistence_location {folder}/\n{text}"
    text = (SHIPPED / "nats" / "quietwater.conf").read_text()
    for shipped, ours in {
        "/etc/nats/quietwater": str(files), "/var/lib/nats/quietwater": f"{folder}/store",
        "127.0.0.1:4222": f"127.0.0.1:{own_port}", "0.0.0.0:8883": f"127.0.0.1:{port}",
    }.items():  # fmt: skip
        assert shipped in text
        text = text.replace(shipped, ours)
    return f"pid_file: {folder}/pid\n{text}"


@contextmanager
def running(program: str, kind: str, folder: Path, files: Path, port: int, own_port: int) -> Iterator[None]:
    config = files.parent / "broker.conf"  # nats-server looks for what it includes beside it
    config.write_text(_config(kind, folder, files, port, own_port))
    with (folder / "log").open("wb") as output:
        process = subprocess.Popen([program, "-c", str(config)], stdout=output, stderr=output)
    try:
        wait_for(lambda: (folder / "pid").exists() or process.poll() is not None)
        assert process.poll() is None, (folder / "log").read_text()
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@pytest.fixture(params=["mosquitto", "nats"])
def town(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    program: Callable[[str], str],
    free_port: Callable[[], int],
) -> Iterator[Town]:
    folder, data, files = tmp_path / "broker", tmp_path / "data", tmp_path / "quietwater"
    for one in (folder, tmp_path / "given"):
        one.mkdir()
    made = Town(
        request.param, quarter(data, sites=2), data, files, tmp_path / "given", folder / "pid", free_port()
    )
    admin(data, "certificate", "server", "localhost", "127.0.0.1", "--out", str(files))
    admin(data, "certificate", "client", "--out", str(made.given / "server"))
    admin(data, made.kind, "--out", str(files))
    binary = program("mosquitto") if made.kind == "mosquitto" else server_path()
    with running(binary, made.kind, folder, files, made.port, free_port()):
        wait_for(lambda: _lets_in(made), what="the broker to let the server in")
        yield made


def _lets_in(town: Town) -> bool:
    try:
        client = town.server()
    except OSError:
        return False
    client.close()
    return client.refused == ""


def test_a_device_with_its_certificate_comes_in_as_itself(town: Town) -> None:
    pair = town.certificate("s1", "d1")
    town.write()
    watcher = town.server()
    assert watcher.subscribe("qw/v1/#")
    wait_for(lambda: town.come(pair).inside, what="the certificate to be known")
    device = town.come(pair)
    assert device.subscribe("qw/v1/s1/d1/stored")
    device.publish("qw/v1/s1/d1/noise")
    wait_for(lambda: watcher.heard == ["qw/v1/s1/d1/noise"])
    watcher.publish("qw/v1/s1/d1/stored")
    wait_for(lambda: device.heard == ["qw/v1/s1/d1/stored"])
    device.close()
    watcher.close()


def test_nobody_comes_in_without_a_certificate_that_counts(town: Town) -> None:
    name, password = town.quarter.login("s1", "d1")
    stranger = authority(town.data / "stranger")
    ours = Authority.open(town.data / "ca")
    assert ours is not None
    over = _kept(ours.for_device("s1.d1", datetime.now(UTC) - timedelta(days=3), days=2), town.given / "over")
    unknown = _kept(ours.for_device("s1.nobody", datetime.now(UTC)), town.given / "unknown")
    for why, pair in {
        "none": None,
        "another authority's": client_certificate(stranger, town.data / "theirs", "s1.d1"),
        "over": over,
    }.items():
        assert not town.come(pair).inside, why
        assert not town.come(pair, username=name, password=password).inside, f"{why}, with a good password"
    intruder = town.come(unknown)  # Mosquitto lets it in, where it may do nothing
    if intruder.inside:
        watcher = town.server()
        assert watcher.subscribe("qw/v1/#")
        for topic in ("qw/v1/s1/nobody/noise", "qw/v1/s1/d1/noise"):
            intruder.push(topic)
        watcher.publish("qw/v1/s1/end/config")
        wait_for(lambda: watcher.heard)
        assert watcher.heard == ["qw/v1/s1/end/config"]
        watcher.close()
    intruder.close()


def _kept(pair, folder: Path) -> tuple[Path, Path]:
    folder.mkdir()
    (folder / "c.pem").write_bytes(pair.certificate)
    (folder / "c.key").write_bytes(pair.key)
    return folder / "c.pem", folder / "c.key"


def test_a_revoked_certificate_is_refused_and_the_devices_other_one_is_not(town: Town) -> None:
    old, other = town.certificate("s1", "d1"), town.certificate("s1", "d2")
    town.write()
    wait_for(lambda: town.come(old).inside and town.come(other).inside, what="the certificates to be known")
    serial = admin(town.data, "certificate", "list").splitlines()[0].split("\t")[-1]
    new = town.certificate("s1", "d1")
    admin(town.data, "certificate", "revoke", "s1", "d1", "--serial", serial)
    town.write()
    wait_for(lambda: not town.come(old).inside, what="the revoked certificate to be refused")
    wait_for(lambda: town.come(new).inside, what="the new certificate to be known")
    assert town.come(other).inside
    listed = admin(town.data, "certificate", "list")
    assert [line.split("\t")[:2] for line in listed.splitlines()] == [
        ["s1/d1", "counts"], ["s1/d1", "revoked"], ["s1/d2", "counts"],
    ]  # fmt: skip


def test_a_device_that_is_switched_off_does_nothing_any_more(town: Town) -> None:
    pair = town.certificate("s1", "d1")
    town.write()
    wait_for(lambda: town.come(pair).inside)
    with town.quarter.registry.session() as session:
        session.get_one(Device, ("s1", "d1")).enabled = False
    town.write()
    watcher = town.server()
    assert watcher.subscribe("qw/v1/#")

    def silenced() -> bool:
        device = town.come(pair)
        device.push("qw/v1/s1/d1/noise")
        watcher.heard.clear()
        watcher.publish("qw/v1/s1/end/config")
        wait_for(lambda: "qw/v1/s1/end/config" in watcher.heard)
        return watcher.heard == ["qw/v1/s1/end/config"]

    wait_for(silenced, what="the device to be silenced")
    watcher.close()


OUTSIDE = (
    "qw/v1/s1/d2/noise", "qw/v1/s2/d1/noise", "qw/v1/s1/d1/stored", "qw/v1/s1/d1/config", "qw/v1/s1/d1/noise/more",
    "qw/v1/s1/d1", "else", "$share/ingest/qw/v1/s1/d1/noise", "homeassistant/status",
)  # fmt: skip


def test_a_device_keeps_to_its_own_topics(town: Town) -> None:
    pair = town.certificate("s1", "d1")
    town.write()
    wait_for(lambda: town.come(pair).inside)
    watcher = town.server()
    assert watcher.subscribe("qw/v1/#") and watcher.subscribe("else") and watcher.subscribe("homeassistant/#")
    for topic in OUTSIDE:
        intruder = town.come(pair)
        intruder.push(topic)
        intruder.close()
    listener = town.come(pair)
    for topic in (
        "#",
        "qw/v1/#",
        "qw/v1/+/+/stored",
        "qw/v1/s1/d2/stored",
        "qw/v1/s1/d2/config",
        "qw/v1/s1/d2/noise",
    ):
        listener.subscribe(topic)  # what is granted may still not be delivered: what is heard counts
        if listener.gone.is_set():
            listener = town.come(pair)
    assert listener.subscribe("qw/v1/s1/d1/stored")
    for topic in ("qw/v1/s1/d2/stored", "qw/v1/s1/d2/config", "qw/v1/s1/d1/stored"):
        watcher.publish(topic)
    wait_for(lambda: "qw/v1/s1/d1/stored" in listener.heard)
    assert set(listener.heard) == {"qw/v1/s1/d1/stored"}
    device = town.come(pair)
    device.publish("qw/v1/s1/d1/status")
    wait_for(lambda: "qw/v1/s1/d1/status" in watcher.heard)
    told = {"qw/v1/s1/d2/stored", "qw/v1/s1/d2/config", "qw/v1/s1/d1/stored"}  # the watcher's own
    assert set(watcher.heard) == {"qw/v1/s1/d1/status", *told}
    for one in (watcher, listener, device):
        one.close()


def test_an_agents_link_and_ingest_work_through_it(town: Town) -> None:
    cert, key = map(str, town.certificate("s1", "d1"))
    town.write()
    url = f"mqtts://localhost:{town.port}"
    server = town.given / "server"
    with ExitStack() as stack:
        source = MqttSource(
            BrokerAddress(
                url,
                tls_files=TlsFiles(str(town.ca_file), str(server / "client.pem"), str(server / "client.key")),
            )
        )
        source.start()
        stack.callback(source.stop)
        wait_for(lambda: source.connected)
        link = Link(
            Broker(url, ca_file=str(town.ca_file), cert_file=cert, key_file=key), "s1", "d1",
            on_stored=print, on_config=print, on_connected=lambda: None,
        )  # fmt: skip
        link.start()
        stack.callback(link.stop, last_status=DeviceStatus(state="offline"))
        wait_for(lambda: link.connected and link.publish("noise", b"[]"))
        arrived = wait_for(lambda: source.take(0.2))
    assert arrived.topic == "qw/v1/s1/d1/noise"


def test_what_has_not_changed_is_not_written_again(town: Town) -> None:
    town.certificate("s1", "d1")
    town.write()
    before = {path: path.stat().st_mtime_ns for path in town.files.iterdir()}
    town.write()
    assert {path: path.stat().st_mtime_ns for path in town.files.iterdir()} == before
    assert all(path.stat().st_mode & 0o077 in (0, 0o040) for path in town.files.iterdir())
    assert (town.data / "ca" / "ca.key").stat().st_mode & 0o777 == 0o600


def test_a_broker_without_an_authority_is_told_what_to_do_first(tmp_path: Path) -> None:
    quarter(tmp_path / "data")
    done = CliRunner(env={"QUIETWATER_BROKER_PASSWORD": PASSWORD}).invoke(
        main, ["admin", "--data", str(tmp_path / "data"), "nats", "--out", str(tmp_path / "out")]
    )
    assert done.exit_code == 1 and "quietwater admin certificate server" in done.output
    assert not (tmp_path / "out" / "users.conf").exists()
