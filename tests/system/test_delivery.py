"""60,000 messages in one burst, ingest killed in the middle, and two processes that share the load."""

import json
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from store.series.address import InfluxAddress
from store.series.duckdb_store import DuckDbStore
from store.series.influx_setup import init_store
from store.series.influx_store import InfluxStore
from store.series.retention import Retention
from tests.broker import BareClient, embedded, mosquitto, quarter, wait_for
from tests.store.series.servers import influxdb

pytestmark = [pytest.mark.system, pytest.mark.slow]
PROJECT = Path(__file__).parents[2]
DEVICES = 10


@contextmanager
def ingest(folder: Path, *words: str):
    """Run ingest as a process until the end of the block; yields it once it is connected."""
    with (folder / "ingest.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.ingest_runner", str(folder / "data"), *words], stdout=subprocess.PIPE,
            stderr=log, text=True, cwd=PROJECT,
        )  # fmt: skip
    assert process.stdout is not None
    try:
        while (line := process.stdout.readline()) != "ready\n":
            assert line, (folder / "ingest.log").read_text()[-2000:]
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            process.communicate(timeout=30)


START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=6)


def publish(port: int, login, count: int) -> None:
    client = BareClient(port, login, name="burst")
    for n in range(count):
        t = (START + timedelta(seconds=n // DEVICES)).strftime("%Y-%m-%dT%H:%M:%SZ")
        reading = {"seq": n, "t": t, "laeq_db": 50.0, "lafmax_db": 55.0, "lafmin_db": 45.0, "laf_db": 50.0}
        client.publish(f"qw/v1/s1/d{n % DEVICES + 1}/noise", json.dumps([reading]).encode())
    client.settle()
    client.close()


class Duck:
    """DuckDB within ingest."""

    words = ()

    def __init__(self, folder: Path):
        self._path = folder / "data" / "ingest.duckdb"

    def count(self) -> int:
        store = DuckDbStore(self._path)
        try:
            return store.count("noise")
        finally:
            store.close()


class Influx:
    """InfluxDB as a process of its own."""

    def __init__(self, url: str):
        self._address = InfluxAddress(url)
        self.words = ("--influx", url)
        init_store(self._address, Retention())

    def count(self) -> int:
        store = InfluxStore(self._address)
        try:
            return store.count("noise")
        finally:
            store.close()


@pytest.mark.parametrize("stack_of", ["embedded-duckdb", "mosquitto-influxdb"])
def test_a_burst_of_60_000_is_stored_once_with_ingest_killed_in_the_middle(
    tmp_path, free_port, program, stack_of
):
    port = free_port()
    town = quarter(tmp_path / "data", devices=DEVICES, meters=0)
    with ExitStack() as stack:
        stack.callback(town.registry.close)
        if stack_of == "embedded-duckdb":
            broker = stack.enter_context(embedded(tmp_path / "broker", town.registry, port))
            login, words, store, quiet_s = broker.login, (broker.url, *broker.login), Duck(tmp_path), 13.0
        else:
            server = stack.enter_context(influxdb(program("influxd"), tmp_path))
            url = stack.enter_context(mosquitto(program("mosquitto"), tmp_path / "m", port))
            store = Influx(server.url)
            login, words, quiet_s = None, (url, *store.words), 4.0
        with ingest(tmp_path, *words):
            pass  # makes the session in which the broker keeps messages
        publish(port, login, 60_000)
        answers = BareClient(port, login, name="answers")
        answers.subscribe("qw/v1/+/+/stored", qos=0)
        with ingest(tmp_path, *words) as process:
            wait_for(lambda: _named(answers) > 0)
            process.kill()
            process.wait()
        partly = store.count()
        assert 0 < partly < 60_000
        with ingest(tmp_path, *words):
            # What was committed just before the kill is answered to nobody (its device would send it again); what the
            # killed process had in its hands comes again, from the embedded broker after its ack_wait of 10 s.
            quiet_since = [time.monotonic(), 0]
            wait_for(lambda: _quiet(answers, quiet_since, quiet_s), 150)
        assert store.count() == 60_000


def _quiet(client: BareClient, since: list[float], seconds: float) -> bool:
    """Whether no answer has named anything new for so long."""
    named = _named(client)
    if named != since[1]:
        since[:] = [time.monotonic(), named]
    return time.monotonic() - since[0] > seconds


_heard: dict[int, tuple[bytearray, dict[str, set[int]]]] = {}


def _named(client: BareClient) -> int:
    """Return how many readings the answers that were heard so far name."""
    buffer, seqs = _heard.setdefault(id(client), (bytearray(), {}))
    client._socket.setblocking(False)
    with suppress(BlockingIOError):
        while data := client._socket.recv(1 << 20):
            buffer += data
    while (start := buffer.find(b'{"stored"')) >= 0 and (end := buffer.find(b"}", start)) > 0:
        device = bytes(buffer[:start]).rsplit(b"qw/v1/", 1)[-1].decode()
        for first, last in json.loads(bytes(buffer[start : end + 1]))["stored"]:
            seqs.setdefault(device, set()).update(range(first, last + 1))
        del buffer[: end + 1]
    return sum(map(len, seqs.values()))


def test_two_processes_share_the_load_and_one_that_is_killed_comes_back_to_its_share(
    tmp_path, program, free_port
):
    port = free_port()
    quarter(tmp_path / "data", devices=DEVICES, meters=0).registry.close()
    with ExitStack() as stack:
        store = Influx(stack.enter_context(influxdb(program("influxd"), tmp_path)).url)
        url = stack.enter_context(mosquitto(program("mosquitto"), tmp_path / "m", port))
        first, second = ((url, "--name", name, "--group", "ingest", *store.words) for name in ("one", "two"))
        other = stack.enter_context(ingest(tmp_path, *second))
        with ingest(tmp_path, *first) as process:
            publish(port, None, 6_000)
            process.kill()
            process.wait()
            publish(port, None, 6_000)  # the very same: nothing of it may be stored twice
        again = stack.enter_context(ingest(tmp_path, *first))
        answers = BareClient(port, name="answers")
        answers.subscribe("qw/v1/+/+/stored", qos=0)
        publish(port, None, 6_000)
        wait_for(lambda: _named(answers) == 6_000, 90)
        shares = [_ended(one) for one in (other, again)]
        assert min(shares) > 500, f"each took its part: {shares}"
        assert store.count() == 6_000


def _ended(process: subprocess.Popen[str]) -> int:
    """End an ingest and return how many readings it says that it stored."""
    process.terminate()
    out, _ = process.communicate(timeout=30)
    return int(out.rsplit("stored ", 1)[1])
