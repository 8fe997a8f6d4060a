"""The broker of compose.yaml: its own script and configuration, under a real Mosquitto with TLS."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509

from app.cli import main
from store.registry.authority import Authority, Pair
from store.registry.models import Device
from tests.broker import Quarter, quarter, wait_for
from tests.deploy.mqtt_client import Client

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose"
PASSWORD = "of-the-server"


def _write(data: Path, files: Path) -> None:
    """Do what the container `broker-files` does."""
    done = CliRunner(env={"QUIETWATER_BROKER_PASSWORD": PASSWORD}).invoke(
        main, ["admin", "--data", str(data), "mosquitto", "--out", str(files)]
    )
    assert done.exit_code == 0, done.output


@contextmanager
def _running(
    folder: Path, files: Path, tls_port: int, own_port: int, mosquitto: str
) -> Iterator[subprocess.Popen[bytes]]:
    text = (COMPOSE / "mosquitto.conf").read_text()
    for shipped, here in (
        ("/etc/mosquitto/quietwater", str(files)),
        ("/mosquitto/data/", f"{folder}/"),
        ("listener 8883", f"listener {tls_port} 127.0.0.1"),
        ("listener 1883", f"listener {own_port} 127.0.0.1"),
    ):
        assert shipped in text
        text = text.replace(shipped, here)
    (folder / "mosquitto.conf").write_text(f"user root\n{text}")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["/bin/sh", str(COMPOSE / "mosquitto.sh"), str(folder / "mosquitto.conf"), str(files)],
            stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, "PATH": f"{Path(mosquitto).parent}:{os.environ['PATH']}"},
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(60)


def _inside(make: Callable[[], Client]) -> bool:
    try:
        client = make()
    except OSError:
        return False
    inside = client.inside
    client.close()
    return inside


def _give(files: Path, pair: Pair) -> None:
    (files / "server.key").write_bytes(pair.key)
    (files / "server.pem").write_bytes(pair.certificate)


def _shown(port: int) -> str:
    """Return the serial number of the certificate that the broker shows."""
    try:
        pem = ssl.get_server_certificate(("127.0.0.1", port), timeout=30)
    except OSError:
        return ""
    return format(x509.load_pem_x509_certificate(pem.encode()).serial_number, "x")


@pytest.mark.system
def test_it_takes_changes_up_by_itself_and_ends_when_it_is_told(
    tmp_path: Path, program: Callable[[str], str], free_port: Callable[[], int]
) -> None:
    data, files, folder = tmp_path / "data", tmp_path / "files", tmp_path / "broker"
    folder.mkdir()
    people: Quarter = quarter(data, devices=2)
    ca = Authority.open_or_make(data / "ca", datetime.now(UTC))
    files.mkdir()
    _give(files, ca.for_server(["localhost", "127.0.0.1"], datetime.now(UTC), days=30))
    _write(data, files)
    tls_port, own_port = free_port(), free_port()

    def device(name: str) -> Client:
        return Client(tls_port, *people.login("s1", name), ca_file=data / "ca" / "ca.pem")

    with _running(folder, files, tls_port, own_port, program("mosquitto")) as broker:
        wait_for(lambda: _inside(lambda: device("d1")), 90, "the first device inside")
        assert _inside(lambda: Client(own_port, "quietwater", PASSWORD))
        assert not _inside(lambda: Client(own_port, "quietwater", "something else"))
        assert not _inside(lambda: Client(tls_port, ca_file=data / "ca" / "ca.pem"))  # nobody without a name
        with people.registry.session() as session:
            session.get_one(Device, ("s1", "d2")).enabled = False
        _write(data, files)
        wait_for(lambda: not _inside(lambda: device("d2")), 90, "the second device outside")
        assert _inside(lambda: device("d1"))
        # Its own certificate, two days before the end of its thirty: the broker shows the new one without a restart.
        soon_over = ca.for_server(["localhost", "127.0.0.1"], datetime.now(UTC) - timedelta(days=28), days=30)
        _give(files, soon_over)
        wait_for(lambda: _shown(tls_port) == soon_over.serial, 90, "the certificate that is soon over")
        _write(data, files)
        wait_for(lambda: _shown(tls_port) not in ("", soon_over.serial), 90, "a new certificate")
        wait_for(lambda: _inside(lambda: device("d1")), 90, "the first device inside again")
        broker.terminate()
        assert broker.wait(60) == 0, (folder / "log").read_text()
    with pytest.raises(OSError):
        device("d1")
    people.registry.close()
