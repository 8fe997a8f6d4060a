"""From a code to a device that measures: the command, a real server with its broker, and a real agent."""

from __future__ import annotations

import http.server
import json
import ssl
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import main
from app.settings import ServerSettings
from app.system import System
from contract.clock import SystemClock
from edge import enrol as enrolment
from edge.agent import Agent
from edge.certificate import demand_fits, make_request, pairs
from edge.config import load
from store.registry.authority import Authority
from store.registry.certificates import certificates, demand_may_renew, revoke
from store.registry.enrolment import make_code
from store.registry.models import Device
from store.registry.provisioning import add_device, add_site
from tests.app.recordings import CLIPS
from tests.broker import NOW, wait_for
from tests.certificates import authority, server_certificate


def run(*arguments: object):
    return CliRunner().invoke(main, [str(one) for one in arguments])


@pytest.fixture
def system(tmp_path, free_port) -> Iterator[System]:
    system = System(ServerSettings(data=tmp_path / "server", port=0, mqtt_port=free_port()))
    system.open()
    with system.registry.session() as session:
        add_site(session, "lake", label_zh="湖畔", label_en="Lakeside", now=NOW)
        for name in ("gate", "yard"):
            add_device(session, "lake", name, kind="noise", label_zh="门", label_en="Gate", now=NOW)
    system.start(SystemClock())
    yield system
    system.stop()


def code_of(system: System, name: str = "gate") -> str:
    with system.registry.session() as session:
        return make_code(session, session.get_one(Device, ("lake", name)), who="li", now=SystemClock().now())[
            1
        ]


@pytest.mark.system
def test_a_code_makes_a_machine_a_device_that_is_heard(system, tmp_path) -> None:
    server, config = system.address, tmp_path / "pi" / "edge.toml"
    told = run("edge", "enrol", code_of(system).lower(), "--server", server, "--config", config)
    assert told.exit_code == 0 and "This is lake/gate now." in told.output, told.output
    password = config.with_name("edge.password")
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    loaded = load(config)
    assert (loaded.site, loaded.device, loaded.mqtt.url) == ("lake", "gate", system.broker_url)

    # The agent of that very configuration, but for its microphone, reaches the store.
    sound = f'type = "file"\npath = "{next(iter(sorted(CLIPS.glob("*.ogg"))))}"\npace = "fast"'
    text = config.read_text().replace('type = "portaudio"', sound)
    config.write_text(text.replace("/var/lib/quietwater-edge", str(tmp_path / "pi" / "data")))
    agent = Agent(load(config), SystemClock())
    agent.start()
    try:
        wait_for(lambda: system.series.count("noise", site="lake") >= 3, 60.0, "seconds in the store")
    finally:
        agent.stop()

    # A second enrolment renews the password and leaves the configuration alone; the code before is worth nothing.
    before, kept = password.read_text(), config.read_text()
    again = run("edge", "enrol", code_of(system), "--server", server, "--config", config)
    assert again.exit_code == 0 and "(as it was)" in again.output
    assert password.read_text() != before and config.read_text() == kept


@pytest.mark.system
def test_what_cannot_be_is_told_and_costs_no_code(system, tmp_path) -> None:
    server, config = system.address, tmp_path / "edge.toml"
    code = code_of(system)
    assert run("edge", "enrol", code, "--server", server, "--config", config).exit_code == 0
    before = (tmp_path / "edge.password").read_text()
    for given, cause in (
        ((code, "--server", server), "used already"),
        (("0000-0000-0000", "--server", server), "no device has this code"),
        ((code_of(system, "yard"), "--server", server), "another device"),
        ((code, "--server", "http://192.0.2.1"), "without TLS"),
        ((code, "--server", "quietwater.example"), "no address such as"),
        ((code, "--server", "http://127.0.0.1:1"), "cannot be reached"),
    ):
        told = run("edge", "enrol", *given, "--config", config)
        assert told.exit_code == 1 and cause in told.output, told.output
        assert (tmp_path / "edge.password").read_text() == before
    broken = tmp_path / "broken.toml"
    broken.write_text("site = ")
    assert "not valid TOML" in run("edge", "enrol", code, "--server", server, "--config", broken).output
    folder = tmp_path / "file"
    folder.write_text("")
    assert (
        "cannot be written"
        in run("edge", "enrol", code, "--server", server, "--config", folder / "e.toml").output
    )
    # The code that was refused for another device is still good for its own.
    yard = tmp_path / "yard" / "edge.toml"
    assert run("edge", "enrol", code_of(system, "yard"), "--server", server, "--config", yard).exit_code == 0


def test_a_device_that_enrols_has_its_own_key_certified(tmp_path, free_port) -> None:
    data = tmp_path / "server"
    ours = Authority.open_or_make(data / "ca", SystemClock().now())
    system = System(
        ServerSettings(
            data=data, port=0, mqtt_port=free_port(), device_broker_url="mqtts://broker.example:8883"
        )
    )
    system.open()
    try:
        with system.registry.session() as session:
            add_site(session, "lake", label_zh="湖畔", label_en="Lakeside", now=NOW)
            add_device(session, "lake", "gate", kind="noise", label_zh="门", label_en="Gate", now=NOW)
        system.start(SystemClock())
        config = tmp_path / "pi" / "edge.toml"
        told = run("edge", "enrol", code_of(system), "--server", system.address, "--config", config)
        assert told.exit_code == 0, told.output
        pair = config.with_name("device.pem")
        assert stat.S_IMODE(pair.stat().st_mode) == 0o600
        demand_fits(
            pair.read_text(), pair.read_text()[pair.read_text().index("-----BEGIN PRIVATE") :], "lake.gate"
        )
        loaded = load(config)
        assert loaded.mqtt.cert_file == str(pair) and loaded.server is not None
        assert loaded.server.url == system.address
        assert config.with_name("broker-ca.pem").read_bytes() == ours.certificate_pem
        with system.registry.reader() as session:
            assert [(row.site, row.device) for row in certificates(session)] == [("lake", "gate")]

        # One that was revoked comes back with a code: with a certificate that the agent shows first.
        config.write_text(
            config.read_text().replace("/var/lib/quietwater-edge", str(tmp_path / "pi" / "data"))
        )
        loaded, now = load(config), SystemClock().now()
        with system.registry.session() as session:
            revoke(session, session.get_one(Device, ("lake", "gate")), now=now)
        again = run("edge", "enrol", code_of(system), "--server", system.address, "--config", config)
        assert again.exit_code == 0 and f"certificate    {loaded.renewed_file}" in again.output, again.output
        with system.registry.session() as session:
            demand_may_renew(session, session.get_one(Device, ("lake", "gate")), now)
        shown = pairs(loaded.mqtt.cert_file, loaded.mqtt.key_file, loaded.renewed_file)
        assert shown == [(loaded.renewed_file, None), (str(pair), None)]
        fresh = Path(loaded.renewed_file)
        assert stat.S_IMODE(fresh.stat().st_mode) == 0o600
        demand_fits(fresh.read_text(), fresh.read_text()[fresh.read_text().index("-----BEGIN PRIVATE") :])
    finally:
        system.stop()


@contextmanager
def answering(body: bytes, wrap: Callable | None = None) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if wrap:
        server.socket = wrap(server.socket)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def test_the_server_must_be_the_one_that_is_trusted(tmp_path) -> None:
    ours, theirs = authority(tmp_path / "ours"), authority(tmp_path / "theirs")
    certificate, key = server_certificate(ours, tmp_path / "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    given = json.dumps(
        {"site": "lake", "device": "gate", "username": "lake.gate", "password": "p", "broker_url": "mqtts://b",
         "configuration": 'site = "lake"\ndevice = "gate"\n'}
    ).encode()  # fmt: skip
    config = tmp_path / "edge.toml"
    with answering(given, lambda plain: context.wrap_socket(plain, server_side=True)) as port:
        address = ("AAAA", "--server", f"https://127.0.0.1:{port}", "--config", config)
        assert "is not trusted" in run("edge", "enrol", *address).output
        assert "is not trusted" in run("edge", "enrol", *address, "--ca", theirs.cert_file).output
        assert not config.exists()
        assert run("edge", "enrol", *address, "--ca", ours.cert_file).exit_code == 0
    assert config.exists() and not list(tmp_path.glob("*.new"))


def test_the_page_may_lie_below_a_path_and_its_authority_goes_along(tmp_path, monkeypatch) -> None:
    made, ca = make_request("lake.gate"), Authority.open_or_make(tmp_path / "ca", NOW)
    asked: list[str] = []

    def fetch(_code: str, server: str, _ca: Path | None, **_: object) -> enrolment.Identity:
        asked.append(server)
        return enrolment.Identity(
            site="lake", device="gate", username="lake.gate", password="p", broker_url="mqtts://b",
            configuration='site = "lake"\ndevice = "gate"\nnoise = {}\n',
            certificate=ca.for_request(made.csr, "lake.gate", NOW).certificate.decode(),
        )  # fmt: skip

    monkeypatch.setattr(enrolment, "make_request", lambda _: made)
    monkeypatch.setattr(enrolment, "fetch", fetch)
    theirs, config = authority(tmp_path / "home").cert_file, tmp_path / "pi" / "edge.toml"
    for unusable in ("https://quiet.example/water?x=1", "https://quiet.example/wa ter"):
        with pytest.raises(enrolment.EnrolmentFailed, match="no address such as"):
            enrolment.enrol("AAAA", unusable, config)
    assert asked == [], "the code still counts"
    enrolment.enrol("AAAA", "https://quiet.example/water", config, ca_file=theirs)
    server, copy = load(config).server, config.with_name("server-ca.pem")
    assert server is not None and server.url == "https://quiet.example/water"
    assert server.ca_file == str(copy) and copy.read_bytes() == theirs.read_bytes()
    assert str(theirs) not in config.read_text() and stat.S_IMODE(copy.stat().st_mode) == 0o644


def test_what_is_no_quietwater_server_is_named(tmp_path) -> None:
    with answering(b"<html>hello</html>") as port:
        told = run(
            "edge",
            "enrol",
            "AAAA",
            "--server",
            f"http://127.0.0.1:{port}",
            "--config",
            tmp_path / "edge.toml",
        )
    assert told.exit_code == 1 and "no Quietwater server" in told.output
