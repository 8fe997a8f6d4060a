"""Broken set-ups, each made for real, and what the doctor says of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from app.cli import main
from app.doctor import broker, folder, registry, server
from store.registry.database import Registry
from tests.broker import mosquitto

pytestmark = pytest.mark.own_registry

MOSQUITTO = shutil.which("mosquitto")
PASSWD = shutil.which("mosquitto_passwd")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def write_certificate(pem: Path, secret: Path, until: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - timedelta(days=30))
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem.write_bytes(certificate.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


@contextmanager
def answering(**headers: str):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response_only(204)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()

        def log_message(self, *_):
            pass

    web = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{web.server_port}"
    finally:
        web.shutdown()
        thread.join()
        web.server_close()


def run(*arguments: str) -> tuple[int, list[dict[str, str]]]:
    result = CliRunner().invoke(main, ["doctor", "--json", *arguments])
    return result.exit_code, json.loads(result.stdout)


def broken(findings: list[dict[str, str]]) -> set[str]:
    assert all(finding["cure"] for finding in findings if finding["level"] != "ok")
    return {finding["key"] for finding in findings if finding["level"] != "ok"}


def test_a_sound_server_folder_is_well(tmp_path: Path) -> None:
    Registry.in_folder(tmp_path).close()
    duckdb.connect(str(tmp_path / "series.duckdb")).close()
    code, findings = run("--data", str(tmp_path))
    assert (code, broken(findings)) == (0, set())
    assert {"registry", "store_file", "folder", "disk"} == {finding["key"] for finding in findings}


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    code, findings = run("--data", str(tmp_path / "none"))
    assert (code, broken(findings)) == (2, {"folder_missing"})


def test_a_full_disk(tmp_path: Path) -> None:
    assert folder.folder(tmp_path, free_bytes=lambda _: 5 << 20)[0].key == "disk_full"


def test_a_file_system_that_is_really_full(tmp_path: Path) -> None:
    """A small file system in a mount namespace of its own; needs root or user namespaces."""
    script = (
        f"mount -t tmpfs -o size=1m tmpfs {tmp_path} && (cat /dev/zero > {tmp_path}/fill || true) 2>&- && "
        f"exec {sys.executable} -m app doctor --json --data {tmp_path}"
    )
    own = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user", "--user"]
    done = subprocess.run(
        [*own, "sh", "-c", script], check=False, capture_output=True, text=True, timeout=120
    )
    if "unshare failed" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no mounts here: {done.stderr.strip()[:100]}")
    assert (done.returncode, broken(json.loads(done.stdout))) == (2, {"disk_full"})


def test_a_folder_that_takes_no_file() -> None:
    assert folder.folder(Path("/proc"), free_bytes=lambda _: 1 << 40)[1].key == "folder_read_only"


@pytest.mark.parametrize(("revision", "key"), [("0000", "registry_older"), ("9999", "registry_newer")])
def test_a_registry_of_another_version(tmp_path: Path, revision: str, key: str) -> None:
    Registry.in_folder(tmp_path).close()
    with sqlite3.connect(tmp_path / "registry.sqlite") as db:
        db.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    db.close()
    assert broken(run("--data", str(tmp_path))[1]) == {key}


def test_a_registry_that_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "registry.sqlite"
    file.write_bytes(b"not a database" * 100)
    assert [finding.key for finding in registry.registry(file, "1")] == ["registry_unreadable"]


def test_a_store_that_another_process_holds(tmp_path: Path) -> None:
    file = tmp_path / "series.duckdb"
    program = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"open\n"
        found = [finding.key for finding in folder.series_file(file)]
        holder.communicate()
    assert found == ["store_held"]


def test_a_store_that_is_damaged(tmp_path: Path) -> None:
    file = tmp_path / "series.duckdb"
    file.write_bytes(b"damaged" * 10_000)
    assert [finding.key for finding in folder.series_file(file)] == ["store_unreadable"]


def test_a_damaged_outbox(tmp_path: Path) -> None:
    (tmp_path / "a.outbox.sqlite").write_bytes(b"damaged" * 1000)
    assert [finding.key for finding in folder.outboxes(tmp_path)] == ["outbox_corrupt"]


def test_a_configuration_with_a_wrong_key(tmp_path: Path) -> None:
    file = tmp_path / "edge.toml"
    file.write_text('site = "a"\ndevice = "b"\nnoize = 1\n')
    code, findings = run("--config", str(file))
    assert (code, broken(findings)) == (2, {"config_invalid"})
    assert "noize" in findings[0]["text"]


def test_a_wrong_clock() -> None:
    there = datetime(2026, 1, 1, tzinfo=UTC)
    with answering(Date="Thu, 01 Jan 2026 00:00:00 GMT") as url:
        assert server.clock(url, there + timedelta(seconds=2)).key == "clock"
        assert server.clock(url, there + timedelta(hours=1)).key == "clock_wrong"
    assert server.clock(url, there).key == "server_unreachable"


def test_stores_that_are_not_what_is_needed() -> None:
    for version, key in (("0.13.0", "store_version"), ("1.6.7~rc0", "store"), ("v2.7.1", "store")):
        with answering(X_Influxdb_Version=version) as url:
            assert server.influx(url).key == key
    with answering() as url:
        assert server.influx(url).key == "store_unknown"
    assert server.influx(url).key == "store_unreachable"


def test_a_broker_that_is_not_there() -> None:
    code, findings = run("--broker", f"mqtt://127.0.0.1:{free_port()}")
    assert (code, broken(findings)) == (2, {"broker_unreachable"})


def test_a_port_where_no_broker_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"mqtt://127.0.0.1:{listener.getsockname()[1]}"
        assert broker.broker(url, "a.b", "any", timeout_s=0.2).key == "broker_silent"


@pytest.mark.skipif(not (MOSQUITTO and PASSWD), reason="needs Mosquitto")
def test_a_wrong_password(tmp_path: Path) -> None:
    assert MOSQUITTO and PASSWD
    users = tmp_path / "users"
    subprocess.run([PASSWD, "-c", "-b", str(users), "a.b", "right"], check=True, capture_output=True)
    lines = ("allow_anonymous false", f"password_file {users}")
    with mosquitto(MOSQUITTO, tmp_path / "broker", free_port(), *lines) as url:
        assert broker.broker(url, "a.b", "right").key == "broker"
        assert broker.broker(url, "a.b", "wrong").key == "broker_refused"


@pytest.mark.skipif(not MOSQUITTO, reason="needs Mosquitto")
@pytest.mark.parametrize(
    ("days", "trusted", "key"),
    [
        (9, True, "broker"),
        (-1, True, "broker_certificate_expired"),
        (9, False, "broker_certificate_untrusted"),
    ],
)
def test_certificates_of_a_broker(tmp_path: Path, days: int, trusted: bool, key: str) -> None:
    assert MOSQUITTO
    pem, secret = tmp_path / "server.pem", tmp_path / "server.key"
    write_certificate(pem, secret, datetime.now(UTC) + timedelta(days=days))
    lines = (f"certfile {pem}", f"keyfile {secret}")
    with mosquitto(MOSQUITTO, tmp_path / "broker", free_port(), *lines) as url:
        address = url.replace("mqtt:", "mqtts:")
        assert broker.broker(address, "a.b", "any", ca_file=str(pem) if trusted else None).key == key


def test_every_outcome_is_documented() -> None:
    root = Path(__file__).parents[3]
    source = "".join(file.read_text() for file in (root / "app" / "doctor").glob("*.py"))
    keys = set(re.findall(r"(?:error|warning)\(\s*\"([a-z_]+)\"", source))
    documented = set(re.findall(r"^\| `([a-z_]+)`", (root / "docs" / "doctor.md").read_text(), re.M))
    assert len(keys) >= 12
    assert keys == documented
