import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from app.broker import BrokerFailed, EmbeddedBroker, lets_in
from store.registry.models import Device
from store.registry.provisioning import add_device
from tests.broker import NOW, BareClient, embedded, quarter, wait_for

pytestmark = pytest.mark.system


@pytest.fixture
def town(tmp_path):
    made = quarter(tmp_path / "data", sites=2, devices=2)
    yield made
    made.registry.close()


def test_a_device_is_refused_outside_its_own_topics(town, tmp_path, free_port):
    port = free_port()
    with embedded(tmp_path / "broker", town.registry, port) as broker:
        server = BareClient(port, broker.login, name="server")
        assert server.subscribe("qw/v1/+/+/+") == b"\x01"
        heard = []

        def listen(seconds: float) -> None:
            server._socket.settimeout(seconds)
            try:
                while True:
                    heard.append(server._socket.recv(65_536))
            except TimeoutError:
                pass

        for topic in (
            "qw/v1/s1/d2/noise",
            "qw/v1/s2/d1/noise",
            "qw/v1/s1/d1/stored",
            "qw/v1/s1/d1/config",
            "else",
        ):
            intruder = BareClient(port, town.login("s1", "d1"), name=f"intruder-{topic.replace('/', '-')}")
            intruder.publish(topic, b"[]")
            with contextlib.suppress(ConnectionError, TimeoutError):  # hanging up is a refusal as well
                intruder.settle()
            intruder.close()
        honest = BareClient(port, town.login("s1", "d1"), name="honest")
        honest.publish("qw/v1/s1/d1/noise", b"[1]")
        honest.settle()
        listen(1.0)
        everything = b"".join(heard)
        assert everything.count(b"qw/v1/") == 1
        assert b"qw/v1/s1/d1/noise" in everything
        granted = honest.subscribe("qw/v1/s1/d1/stored", "qw/v1/s1/d2/stored", "qw/v1/+/+/noise", "#")
        assert granted == b"\x01\x80\x80\x80"
        honest.close()
        server.close()


def test_nobody_comes_in_without_the_right_password(town, tmp_path, free_port):
    port = free_port()
    with embedded(tmp_path / "broker", town.registry, port) as broker:
        assert lets_in(port, *broker.login)
        assert not lets_in(port, broker.login[0], "wrong")
        for login in (None, ("s1.d1", "wrong"), ("nobody", "x")):
            with pytest.raises((PermissionError, ConnectionError)):
                BareClient(port, login)
    for path in (tmp_path / "broker" / "nats.conf", tmp_path / "broker" / "server.password"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_comes_back_after_kill_9_and_has_kept_every_message_it_acknowledged(town, tmp_path, free_port):
    port = free_port()
    with embedded(tmp_path / "broker", town.registry, port) as broker:
        reader = BareClient(port, broker.login, name="reader", clean=False)
        reader.subscribe("qw/v1/+/+/noise")
        reader.close()
        device = BareClient(port, town.login("s1", "d1"))
        for n in range(2_000):
            device.publish("qw/v1/s1/d1/noise", b"[%05d]" % n)
        device.settle()
        killed = broker.pid
        os.kill(killed, signal.SIGKILL)
        wait_for(lambda: broker.pid not in (None, killed) and lets_in(port, *broker.login))
        assert broker.restarts == 1
        again = BareClient(port, broker.login, name="reader", clean=False)
        data = b""
        while b"[01999]" not in data:
            data += again._socket.recv(1 << 20)
        assert {n for n in range(2_000) if b"[%05d]" % n in data} == set(range(2_000))
        again.close()


def test_it_comes_back_as_often_as_it_is_killed(town, tmp_path, free_port):
    port = free_port()
    with embedded(tmp_path / "broker", town.registry, port) as broker:
        for times in range(1, 4):
            killed = broker.pid
            os.kill(killed, signal.SIGKILL)
            wait_for(lambda times=times: broker.restarts == times and lets_in(port, *broker.login))
            assert broker.pid not in (None, killed)


def test_a_port_that_is_taken_is_told_with_the_cure_and_the_other_program_is_left_alone(town, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        broker = EmbeddedBroker(tmp_path / "broker", town.registry, port=port)
        with pytest.raises(
            BrokerFailed, match=rf"127\.0\.0\.1:{port}: Address already in use; .*--mqtt-port"
        ):
            broker.start()
        assert broker.pid is None
        broker.stop()


def test_a_server_that_cannot_start_is_told_in_its_own_words(town, tmp_path, free_port):
    (tmp_path / "broker").mkdir()
    (tmp_path / "broker" / "jetstream").write_text("in the way")
    broker = EmbeddedBroker(tmp_path / "broker", town.registry, port=free_port())
    with pytest.raises(BrokerFailed, match="last words: Can't start JetStream: storage directory"):
        broker.start()
    assert broker.pid is None


def test_a_device_that_is_added_comes_in_and_one_that_is_disabled_does_not(town, tmp_path, free_port):
    port = free_port()
    with embedded(tmp_path / "broker", town.registry, port) as broker:
        steady = BareClient(port, town.login("s2", "d2"), name="steady")
        assert not broker.refresh()
        with town.registry.session() as session:
            password = add_device(session, "s1", "new", kind="noise", label_zh="新", label_en="New", now=NOW)
            session.get(Device, ("s1", "d2")).enabled = False
        assert not lets_in(port, "s1.new", password)
        assert broker.refresh()
        wait_for(lambda: lets_in(port, "s1.new", password))
        wait_for(lambda: not lets_in(port, *town.login("s1", "d2")))
        steady.publish("qw/v1/s2/d2/noise", b"[]")
        steady.settle()
        steady.close()


def test_stop_ends_it_and_the_password_stays_for_the_next_start(town, tmp_path, free_port):
    port = free_port()
    with embedded(tmp_path / "broker", town.registry, port) as broker:
        pid, login = broker.pid, broker.login
    assert not psutil.pid_exists(pid)
    with embedded(tmp_path / "broker", town.registry, port) as broker:
        assert broker.login == login


_STARTER = """
import sys, time
from pathlib import Path
from app.broker import EmbeddedBroker
from store.registry.database import Registry
folder = Path(sys.argv[1])
broker = EmbeddedBroker(folder / "broker", Registry.in_folder(folder / "data"), port=int(sys.argv[2]))
broker.start()
print(broker.pid, flush=True)
time.sleep(600)
"""


def test_it_does_not_outlive_its_starter(town, tmp_path, free_port):
    starter = subprocess.Popen(
        [sys.executable, "-c", _STARTER, str(tmp_path), str(free_port())], stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    pid = int(starter.stdout.readline())
    starter.kill()
    starter.wait()
    wait_for(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
