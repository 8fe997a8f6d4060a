import json
import threading
import time
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.codec import encode
from contract.messages import DeviceConfig, DeviceStatus, Stored
from edge.link import Broker, Link, backoff_s
from tests.broker import BareClient, embedded, mosquitto, quarter, wait_for
from tests.certificates import authority, client_certificate, server_certificate
from tests.proxy import Proxy

pytestmark = pytest.mark.system


class Bench:
    """A broker and what stands around a link."""

    def __init__(self, stack: ExitStack, name: str, tmp_path, program, port: int):
        self.port = port
        self.server_login = None
        self.device_login: tuple[str | None, str | None] = (None, None)
        self.version = "5" if name == "mosquitto" else "3.1.1"
        if name == "mosquitto":
            stack.enter_context(mosquitto(program("mosquitto"), tmp_path / "m", port))
        else:
            town = quarter(tmp_path / "data")
            self.broker = stack.enter_context(embedded(tmp_path / "broker", town.registry, port))
            self.server_login, self.device_login = self.broker.login, town.login("s1", "d1")
        self.proxy = Proxy(port)
        stack.callback(self.proxy.close)
        self.stored: list[Stored] = []
        self.configs: list[DeviceConfig] = []
        self.connects = 0
        self.stack = stack

    def link(self, *, protocol="auto", through_proxy=True) -> Link:
        port = self.proxy.port if through_proxy else self.port
        user, password = self.device_login
        link = Link(
            Broker(f"mqtt://127.0.0.1:{port}", user, password, protocol), "s1", "d1",
            on_stored=self.stored.append, on_config=self.configs.append, on_connected=self._on_connected,
        )  # fmt: skip
        link.start()
        self.stack.callback(link.stop, last_status=DeviceStatus(state="offline", version="end"))
        return link

    def server(self, name="server", *filters) -> "Listener":
        listener = Listener(BareClient(self.port, self.server_login, name=name), filters)
        self.stack.callback(listener.client.close)
        return listener

    def _on_connected(self):
        self.connects += 1


class Listener:
    def __init__(self, client, filters):
        self.client = client
        self.data = b""
        if filters:
            assert set(client.subscribe(*filters, qos=0)) == {0}
            client._socket.settimeout(None)
            threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        try:
            while part := self.client._socket.recv(65_536):
                self.data += part
        except OSError:
            pass


@pytest.fixture(params=["nats", "mosquitto"])
def bench(request, tmp_path, program, free_port):
    with ExitStack() as stack:
        yield Bench(stack, request.param, tmp_path, program, free_port())


def test_it_finds_the_brokers_version_and_takes_answers_and_configuration(bench):
    link = bench.link()
    wait_for(lambda: link.connected)
    assert (link._version == 5) == (bench.version == "5")
    server = bench.server()
    server.client.publish("qw/v1/s1/d1/stored", encode(Stored(stored=((1, 5),))))
    server.client.publish("qw/v1/s1/d1/config", encode(DeviceConfig(version=3)), retain=True)
    wait_for(lambda: bench.stored and bench.configs)
    assert bench.stored == [Stored(stored=((1, 5),))]
    assert bench.configs[0].version == 3


def test_what_it_publishes_arrives_and_its_window_is_bounded_and_freed(bench):
    server = bench.server("server", "qw/v1/+/+/noise")
    link = bench.link()
    wait_for(lambda: link.connected)
    for n in range(500):
        wait_for(lambda n=n: link.publish("noise", b'[{"n":%04d}]' % n))
    wait_for(lambda: b'"n":0499' in server.data)
    assert all(b'"n":%04d' % n in server.data for n in range(500))
    bench.proxy.go_silent()
    refused_at = next(n for n in range(1_000) if not link.publish("noise", b"[]"))
    assert refused_at <= 40


def test_a_message_that_is_no_answer_does_no_harm(bench):
    link = bench.link()
    wait_for(lambda: link.connected)
    server = bench.server()
    for payload in (b"", b"nonsense", b'{"stored":[[1]]}', b"\xff", b'{"stored":[["a","b"]]}'):
        server.client.publish("qw/v1/s1/d1/stored", payload)
    server.client.publish("qw/v1/s1/d1/config", b"[]")
    server.client.publish("qw/v1/s1/d1/stored", encode(Stored(stored=((7, 7),))))
    wait_for(lambda: bench.stored)
    assert bench.stored == [Stored(stored=((7, 7),))]
    assert link.connected


def test_the_broker_tells_the_others_when_a_device_is_gone_and_the_device_itself_when_it_leaves(bench):
    server = bench.server("server", "qw/v1/+/+/status")
    link = bench.link()
    wait_for(lambda: link.connected)
    link.publish_status(DeviceStatus(state="online", version="9.9"))
    wait_for(lambda: b'"9.9"' in server.data)
    bench.proxy.cut()
    wait_for(lambda: b'{"state":"offline"}' in server.data, 40, "the last will")
    wait_for(lambda: not link.connected)  # the broker may have noticed before we have
    bench.proxy.mend()
    wait_for(lambda: link.connected, 90)
    link.stop(last_status=DeviceStatus(state="offline", version="bye"))
    wait_for(lambda: b'"bye"' in server.data)


def test_it_comes_back_after_the_broker_was_out_of_reach_and_its_session_has_kept_the_answers(bench):
    link = bench.link()
    wait_for(lambda: link.connected)
    bench.proxy.cut()
    wait_for(lambda: not link.connected)
    assert not link.publish("noise", b"[]"), "nothing is taken that would be lost"
    server = bench.server()
    server.client.publish("qw/v1/s1/d1/stored", encode(Stored(stored=((2, 3),))))
    server.client.settle()
    bench.proxy.mend()
    wait_for(lambda: link.connected, 90)
    wait_for(lambda: bench.stored == [Stored(stored=((2, 3),))])
    assert bench.connects == 2


def test_drop_makes_a_new_connection(bench):
    link = bench.link()
    wait_for(lambda: link.connected)
    link.drop()
    wait_for(lambda: bench.connects == 2 and link.connected)


def test_nothing_of_an_earlier_connection_is_sent_again(bench):
    server = bench.server("server", "qw/v1/+/+/noise")
    link = bench.link()
    wait_for(lambda: link.connected)
    bench.proxy.go_silent()
    while link.publish("noise", b'["old"]'):
        pass
    bench.proxy.cut()
    wait_for(lambda: not link.connected)
    bench.proxy.mend()
    wait_for(lambda: link.connected, 90)
    before = server.data.count(b"old")
    wait_for(lambda: link.publish("noise", b'["new"]'))
    wait_for(lambda: b"new" in server.data)
    assert server.data.count(b"old") == before


def test_it_starts_before_the_broker_does(tmp_path, program, free_port):
    port = free_port()
    connects = []
    link = Link(
        Broker(f"mqtt://127.0.0.1:{port}"), "s1", "d1", on_stored=print, on_config=print,
        on_connected=lambda: connects.append(1),
    )  # fmt: skip
    link.start()
    assert not link.publish("noise", b"[]")
    with mosquitto(program("mosquitto"), tmp_path, port):
        wait_for(lambda: link.connected, 90)
        link.stop(last_status=DeviceStatus(state="offline"))
    assert connects == [1]


def test_a_wrong_password_is_told_and_tried_again_ever_more_rarely(tmp_path, free_port, capsys):
    port = free_port()
    town = quarter(tmp_path / "data")
    with embedded(tmp_path / "broker", town.registry, port):
        link = Link(
            Broker(f"mqtt://127.0.0.1:{port}", "s1.d1", "wrong"), "s1", "d1",
            on_stored=print, on_config=print, on_connected=print,
        )  # fmt: skip
        link.start()
        wait_for(lambda: "the broker refused" in link._last_trouble)
        assert not link.connected
        link.stop(last_status=DeviceStatus(state="offline"))
    captured = capsys.readouterr()
    assert (captured.out + captured.err).count("the broker refused") == 1, "once, not at every try"


def test_what_the_broker_does_not_let_it_publish_is_told(tmp_path, program, free_port, monkeypatch):
    port = free_port()
    acl = tmp_path / "acl"
    acl.write_text("topic write qw/v1/s1/d1/#\n")
    acl.chmod(0o600)
    with mosquitto(program("mosquitto"), tmp_path, port, f"acl_file {acl}"):
        link = Link(
            Broker(f"mqtt://127.0.0.1:{port}"),
            "s1",
            "other",
            on_stored=print,
            on_config=print,
            on_connected=print,
        )
        link.start()
        told = []
        monkeypatch.setattr(link, "_trouble", told.append)
        wait_for(lambda: link.connected)
        link.publish("noise", b"[]")
        wait_for(lambda: "the broker refuses what we publish: Not authorized" in told)
        link.stop(last_status=DeviceStatus(state="offline"))


def test_a_refused_subscription_is_told_because_nothing_could_be_confirmed(tmp_path, free_port, monkeypatch):
    port = free_port()
    town = quarter(tmp_path / "data")
    with embedded(tmp_path / "broker", town.registry, port):
        link = Link(
            Broker(f"mqtt://127.0.0.1:{port}", *town.login("s1", "d1")), "s1", "d2", on_stored=print,
            on_config=print, on_connected=print,
        )  # fmt: skip
        told = []
        monkeypatch.setattr(link, "_trouble", told.append)
        link.start()
        wait_for(lambda: any("let s1.d1 read qw/v1/s1/d2/stored" in one for one in told))
        link.stop(last_status=DeviceStatus(state="offline"))


def test_it_speaks_tls_and_refuses_a_broker_that_it_does_not_know(tmp_path, program, free_port):
    port = free_port()
    known, other = authority(tmp_path / "ca"), authority(tmp_path / "other")
    cert, key = server_certificate(known, tmp_path / "server")
    lines = (f"cafile {known.cert_file}", f"certfile {cert}", f"keyfile {key}")
    connects = []
    with mosquitto(program("mosquitto"), tmp_path / "m", port, *lines):

        def link(ca_file) -> Link:
            made = Link(
                Broker(f"mqtts://localhost:{port}", ca_file=str(ca_file)), "s1", "d1", on_stored=print,
                on_config=print, on_connected=lambda: connects.append(1),
            )  # fmt: skip
            made.start()
            return made

        good = link(known.cert_file)
        wait_for(lambda: good.connected)
        for _ in range(200):
            wait_for(lambda: good.publish("noise", b"x" * 20_000))
        good.stop(last_status=DeviceStatus(state="offline"))
        bad = link(other.cert_file)
        wait_for(lambda: "CERTIFICATE_VERIFY_FAILED" in bad._last_trouble)
        assert not bad.connected
        bad.stop(last_status=DeviceStatus(state="offline"))


def test_a_device_is_who_its_certificate_says_and_may_use_its_own_topics_alone(
    tmp_path, program, free_port, monkeypatch
):
    port = free_port()
    ours = authority(tmp_path / "ca")
    cert, key = server_certificate(ours, tmp_path / "server")
    acl = tmp_path / "acl"
    acl.write_text("pattern readwrite qw/v1/s1/%u/#\n")
    acl.chmod(0o600)
    lines = (
        f"cafile {ours.cert_file}", f"certfile {cert}", f"keyfile {key}", f"acl_file {acl}",
        "require_certificate true", "use_identity_as_username true",
    )  # fmt: skip
    own_cert, own_key = map(str, client_certificate(ours, tmp_path / "d1", "d1"))
    told: dict[str, list[str]] = {}
    with mosquitto(program("mosquitto"), tmp_path / "m", port, *lines), ExitStack() as stack:

        def link(device: str, cert_file: str | None = own_cert, key_file: str | None = own_key) -> Link:
            broker = Broker(f"mqtts://localhost:{port}", ca_file=str(ours.cert_file), cert_file=cert_file,
                            key_file=key_file)  # fmt: skip
            made = Link(broker, "s1", device, on_stored=print, on_config=print, on_connected=lambda: None)
            monkeypatch.setattr(made, "_trouble", told.setdefault(f"{device} {cert_file is None}", []).append)
            made.start()
            stack.callback(made.stop, last_status=DeviceStatus(state="offline"))
            return made

        own, foreign, nobody = link("d1"), link("d2"), link("d3", None, None)
        wait_for(lambda: own.connected and own.publish("noise", b"[]"))
        wait_for(lambda: foreign.connected and foreign.publish("noise", b"[]"))
        wait_for(lambda: "the broker refuses what we publish: Not authorized" in told["d2 False"])
        wait_for(lambda: told["d3 True"])
        assert not nobody.connected
        assert told["d1 False"] == []


@pytest.mark.parametrize("bench", ["mosquitto"], indirect=True)
def test_a_node_that_acknowledges_nothing_is_left_for_another(bench, monkeypatch):
    monkeypatch.setattr("edge.link._STUCK_S", 0.5)
    silent, other = Proxy(bench.port), Proxy(bench.port)
    for one in (silent, other):
        bench.stack.callback(one.close)
    link = Link(
        Broker(f"mqtt://127.0.0.1:{silent.port},mqtt://127.0.0.1:{other.port}"), "s1", "d1",
        on_stored=bench.stored.append, on_config=bench.configs.append, on_connected=bench._on_connected,
    )  # fmt: skip
    link._turn_of = 0
    link.start()
    bench.stack.callback(link.stop, last_status=DeviceStatus(state="offline"))
    wait_for(lambda: link.connected)
    watcher = bench.server("watcher", "qw/v1/s1/d1/noise")
    silent.go_silent()
    assert link.publish("noise", b"[1]")
    wait_for(lambda: bench.connects == 2)
    wait_for(lambda: link.publish("noise", b"[2]"))
    wait_for(lambda: b"[2]" in watcher.data)
    assert other.handed_to_target > 0


def test_stopping_takes_no_longer_than_it_must_and_leaves_no_thread(bench):
    link = bench.link()
    wait_for(lambda: link.connected)
    began = time.monotonic()
    link.stop(last_status=DeviceStatus(state="offline"))
    assert time.monotonic() - began < 30
    assert not link._thread.is_alive()


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_backoff_grows_to_a_minute_and_never_lets_all_come_at_once(failures, chance):
    wait = backoff_s(failures, chance)
    assert 0.1 <= wait <= 60
    assert backoff_s(failures, 0.0) < backoff_s(failures, 1.0)
    if failures >= 6:
        assert backoff_s(failures, 1.0) == 60


@pytest.mark.parametrize("url", ["127.0.0.1:1883", "http://x", "tcp://x:1", ""])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(ValueError, match="broker address must be mqtt://host:port"):
        Broker(url)


def test_addresses():
    assert [Broker(url).node(0)[1] for url in ("mqtt://h", "mqtts://h", "mqtts://h:1")] == [1883, 8883, 1]
    assert json.dumps(Broker("mqtts://h").tls) == "true"
