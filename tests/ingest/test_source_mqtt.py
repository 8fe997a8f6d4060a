"""The source against real brokers: what is not acknowledged comes again, and what is full waits."""

import json
import time
from contextlib import ExitStack

import pytest

from contract.messages import Stored
from contract.tls import TlsFiles
from ingest.source import BrokerAddress
from ingest.source_mqtt import MqttSource
from tests.broker import BareClient, embedded, mosquitto, quarter, wait_for
from tests.certificates import authority, server_certificate
from tests.proxy import Proxy

pytestmark = pytest.mark.system
TOPIC = "qw/v1/s1/d1/noise"
PUBACK_BYTES = 4


class Bench:
    def __init__(self, stack, name, tmp_path, program, port):
        self.stack, self.port, self.name, self.login = stack, port, name, None
        if name == "mosquitto":
            stack.enter_context(mosquitto(program("mosquitto"), tmp_path / "m", port))
        else:
            town = quarter(tmp_path / "data")
            self.login = stack.enter_context(embedded(tmp_path / "broker", town.registry, port)).login
        self.proxy = Proxy(port)
        stack.callback(self.proxy.close)

    def source(self, **more) -> MqttSource:
        address = {key: more.pop(key) for key in ("name", "group") if key in more}
        source = MqttSource(
            BrokerAddress(f"mqtt://127.0.0.1:{self.proxy.port}", *(self.login or (None, None)), **address),
            **more,
        )
        source.start()
        self.stack.callback(source.stop)
        wait_for(lambda: source.connected)
        return source

    def client(self, name="other") -> BareClient:
        client = BareClient(self.port, self.login, name=name)
        self.stack.callback(client.close)
        return client


@pytest.fixture(params=["nats", "mosquitto"])
def bench(request, tmp_path, program, free_port):
    with ExitStack() as stack:
        yield Bench(stack, request.param, tmp_path, program, free_port())


def take(source, count, timeout_s=90.0):
    got = []
    deadline = time.monotonic() + timeout_s
    while len(got) < count and time.monotonic() < deadline:
        arrival = source.take(0.2)
        if arrival:
            got.append(arrival)
    return got


def test_what_is_not_acknowledged_comes_again_on_the_next_connection_and_only_that(bench):
    source, client = bench.source(), bench.client()
    for n in range(100):
        client.publish(TOPIC, b"%03d" % n)
    got = take(source, 100)
    assert [one.payload for one in got] == [b"%03d" % n for n in range(100)]
    client.settle()
    before = bench.proxy.handed_to_target
    for one in got[:60]:
        source.acknowledge(one)
    wait_for(lambda: bench.proxy.handed_to_target >= before + 60 * PUBACK_BYTES)
    bench.proxy.cut()
    wait_for(lambda: not source.connected)
    bench.proxy.mend()
    again = take(source, 40)  # Mosquitto sends them at once, nats-server after its ack_wait
    assert {one.payload for one in again} == {b"%03d" % n for n in range(60, 100)}
    for one in got[60:]:
        source.acknowledge(one)  # of the earlier connection: must acknowledge nothing of this one
    assert len(source._live.held) == 40


def test_a_full_queue_stops_reading_and_loses_nothing(bench):
    source, client = bench.source(queue_messages=50), bench.client()
    for n in range(1_000):
        client.publish(TOPIC, b"%04d" % n)
    wait_for(lambda: source.waiting >= 50)
    assert source.waiting <= 51
    assert source._live.client.holds_bytes, "paho reads through our buffer, where the rest waits"
    got = set()
    while len(got) < 1_000:
        (one,) = take(source, 1)
        got.add(one.payload)
        source.acknowledge(one)
        assert source.waiting <= 51
    assert source.stats.paused > 1


def test_messages_in_our_hands_are_bounded_by_their_bytes(bench):
    source, client = bench.source(queue_bytes=1 << 20), bench.client()
    for n in range(100):
        client.publish(TOPIC, b"%03d" % n + b"x" * 100_000)
    wait_for(lambda: source._bytes >= 1 << 20)
    assert source._bytes < (1 << 20) + 200_000
    for _ in range(100):
        (one,) = take(source, 1)
        source.acknowledge(one)
    assert source._bytes == 0


def test_a_message_at_qos_0_needs_no_acknowledgement_and_does_no_harm(bench):
    source, client = bench.source(), bench.client()
    client.publish(TOPIC, b"zero", qos=0)
    client.publish(TOPIC, b"one")
    got = take(source, 2)
    assert {one.payload for one in got} == {b"zero", b"one"}
    for one in got:
        source.acknowledge(one)
    client.publish(TOPIC, b"two")
    assert take(source, 1)[0].payload == b"two"
    assert source.stats.connects == 1


def test_a_retained_status_is_known_as_such(bench):
    client = bench.client()
    client.publish("qw/v1/s1/d1/status", b'{"state":"offline"}', retain=True)
    client.settle()
    wait_for(lambda: bench.client("looks").gets_at_once("qw/v1/s1/d1/status"))
    source = bench.source()
    (first,) = take(source, 1)
    assert first.retained
    bench.client("third").publish("qw/v1/s1/d1/status", b'{"state":"online"}')
    (second,) = take(source, 1)
    assert not second.retained


def test_answers_reach_the_device(bench):
    source, client = bench.source(), bench.client()
    client.subscribe("qw/v1/s1/d1/stored", qos=0)
    source.answer("s1", "d1", Stored(stored=((1, 9),)))
    heard = b""
    while b"}" not in heard:
        heard += client._socket.recv(4096)
    assert json.loads(heard[heard.index(b"{") :]) == {"stored": [[1, 9]]}
    bench.proxy.cut()
    wait_for(lambda: not source.connected)
    source.answer("s1", "d1", Stored(stored=((1, 9),)))
    assert source.stats.answers_lost == 1


def test_an_oversize_payload_is_cut_and_its_size_told(bench):
    source, client = bench.source(), bench.client()
    client.publish(TOPIC, b"x" * (3 << 20))
    (one,) = take(source, 1)
    assert (len(one.payload), one.size_bytes) == (64 << 10, 3 << 20)


def test_nats_sends_again_what_was_not_acknowledged_in_time_and_we_do_not_take_it_twice(
    tmp_path, free_port, monkeypatch
):
    import app.broker

    config = app.broker.server_config
    monkeypatch.setattr(app.broker, "server_config", lambda *a: config(*a).replace('"10s"', '"1s"'))
    with ExitStack() as stack:
        bench = Bench(stack, "nats", tmp_path, None, free_port())
        source, client = bench.source(), bench.client()
        client.publish(TOPIC, b"slow")
        (one,) = take(source, 1)
        wait_for(lambda: source.stats.repeated >= 2)
        assert source.waiting == 0
        source.acknowledge(one)
        client.publish(TOPIC, b"next")
        assert take(source, 1)[0].payload == b"next"


def test_nats_sends_at_most_max_ack_pending_and_goes_on_with_each_acknowledgement(tmp_path, free_port):
    with ExitStack() as stack:
        bench = Bench(stack, "nats", tmp_path, None, free_port())
        source, client = bench.source(), bench.client()
        for n in range(3_000):
            client.publish(TOPIC, b"%04d" % n)
        client.settle()
        first = take(source, 2_000)
        assert len(first) == 2_000 and not take(source, 1, timeout_s=2), "the window of one subscription"
        for one in first[:500]:
            source.acknowledge(one)
        assert len(take(source, 500)) == 500 and not take(source, 1, timeout_s=2)


def test_two_sources_of_a_group_share_the_load_on_mosquitto(tmp_path, program, free_port):
    with ExitStack() as stack:
        bench = Bench(stack, "mosquitto", tmp_path, program, free_port())
        sources = [bench.source(name=f"ingest-{n}", group="ingest") for n in (1, 2)]
        client = bench.client()
        for n in range(2_000):
            client.publish(TOPIC, b"%04d" % n)
        shares: list[set[bytes]] = [set(), set()]
        while len(shares[0]) + len(shares[1]) < 2_000:
            for source, share in zip(sources, shares, strict=True):
                arrival = source.take(0.05)
                if arrival:
                    share.add(arrival.payload)
                    source.acknowledge(arrival)
        assert not shares[0] & shares[1]
        assert min(map(len, shares)) > 400
        client.publish("qw/v1/s1/d1/status", b"{}")
        assert [take(source, 1)[0].payload for source in sources] == [b"{}", b"{}"], (
            "the status is not shared"
        )


def test_it_speaks_tls_and_reads_what_is_already_decrypted(tmp_path, program, free_port):
    port, plain = free_port(), free_port()
    ours = authority(tmp_path / "ca")
    cert, key = server_certificate(ours, tmp_path / "server")
    lines = (
        f"cafile {ours.cert_file}", f"certfile {cert}", f"keyfile {key}", f"listener {plain} 127.0.0.1",
        "max_inflight_messages 0",
    )  # fmt: skip
    with ExitStack() as stack:
        stack.enter_context(mosquitto(program("mosquitto"), tmp_path / "m", port, *lines))
        source = MqttSource(
            BrokerAddress(f"mqtts://localhost:{port}", tls_files=TlsFiles(str(ours.cert_file)))
        )
        source.start()
        stack.callback(source.stop)
        wait_for(lambda: source.connected)
        client = BareClient(plain)
        stack.callback(client.close)
        wait_for(lambda: client.publish(TOPIC, b"subscribed?") or source.take(0.1))
        sent = {b"%03d" % n + b"x" * (n * 100) for n in range(300)}
        for payload in sent:
            client.publish(TOPIC, payload)
        got = set()
        while not sent <= got:
            (one,) = take(source, 1)
            got.add(one.payload)
            source.acknowledge(one)


def test_an_address_that_is_none_is_refused():
    with pytest.raises(ValueError, match="broker address must be mqtt://host:port"):
        BrokerAddress("http://x")
