"""60,000 messages in one burst, ingest killed in the middle, and two processes that share the load."""

import json
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from store.series.duckdb_store import DuckDbStore
from tests.broker import BareClient, embedded, mosquitto, quarter, wait_for

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
    try:
        while (line := process.stdout.readline()) != "ready\n":
            assert line, (folder / "ingest.log").read_text()[-2000:]
        yield process
    finally:
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


def stored(folder: Path, name: str = "ingest") -> int:
    store = DuckDbStore(folder / "data" / f"{name}.duckdb")
    try:
        return store.count("noise")
    finally:
        store.close()


def test_a_burst_of_60_000_is_stored_once_with_ingest_killed_in_the_middle(tmp_path, free_port):
    port = free_port()
    town = quarter(tmp_path / "data", devices=DEVICES, meters=0)
    with embedded(tmp_path / "broker", town.registry, port) as broker:
        words = (broker.url, *broker.login)
        with ingest(tmp_path, *words):
            pass  # makes the session in which the broker keeps messages
        publish(port, broker.login, 60_000)
        answers = BareClient(port, broker.login, name="answers")
        answers.subscribe("qw/v1/+/+/stored", qos=0)
        with ingest(tmp_path, *words) as process:
            wait_for(lambda: _named(answers) > 0)
            process.kill()
            process.wait()
        partly = stored(tmp_path)
        assert 0 < partly < 60_000
        with ingest(tmp_path, *words):
            # What was committed just before the kill is answered to nobody (its device would send it again); what the
            # killed process had in its hands comes again after the broker's ack_wait of 10 s.
            quiet_since = [time.monotonic(), 0]
            wait_for(lambda: _quiet(answers, quiet_since, 13.0), 150)
    assert stored(tmp_path) == 60_000


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
        url = stack.enter_context(mosquitto(program("mosquitto"), tmp_path / "m", port))
        first = ("--name", "one", "--group", "ingest")
        stack.enter_context(ingest(tmp_path, url, "--name", "two", "--group", "ingest"))
        with ingest(tmp_path, url, *first) as process:
            publish(port, None, 6_000)
            process.kill()
            process.wait()
            publish(port, None, 6_000)  # the very same: nothing of it may be stored twice
        stack.enter_context(ingest(tmp_path, url, *first))
        answers = BareClient(port, name="answers")
        answers.subscribe("qw/v1/+/+/stored", qos=0)
        publish(port, None, 6_000)
        wait_for(lambda: _named(answers) == 6_000, 60)
    assert stored(tmp_path, "one") > 500
    assert stored(tmp_path, "two") > 500
    union = _times(tmp_path, "one") | _times(tmp_path, "two")
    assert len(union) == 6_000


def _times(folder: Path, name: str) -> set[tuple[str, datetime]]:
    store = DuckDbStore(folder / "data" / f"{name}.duckdb")
    now = datetime.now(UTC)
    try:
        return {
            (device, t)
            for device in (f"d{n}" for n in range(1, DEVICES + 1))
            for t in store.noise_seconds("s1", device, now - timedelta(days=1), now + timedelta(days=1)).t
        }
    finally:
        store.close()
