"""500 malformed messages among good readings, for real: broker, ingest process, DuckDB, SQLite."""

import json
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from store.registry.database import Registry
from store.registry.quarantine import counts, newest
from store.series.duckdb_store import DuckDbStore
from tests.broker import BareClient, embedded, quarter, wait_for

pytestmark = pytest.mark.system
PROJECT = Path(__file__).parents[2]
TOPIC = "qw/v1/s1/d1/noise"


def _second(n: int, start: datetime, **changes) -> dict:
    t = (start + timedelta(seconds=n)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "seq": n,
        "t": t,
        "laeq_db": 50.0,
        "lafmax_db": 55.0,
        "lafmin_db": 45.0,
        "laf_db": 50.0,
        **changes,
    }


def _bad_messages(start: datetime) -> list[tuple[str, bytes, str]]:
    """Return 500 of (topic, payload, the quarantine's code), no two alike."""
    kinds = [
        lambda n: (TOPIC, b"not json %d" % n, "bad_payload"),
        lambda n: (TOPIC, json.dumps([_second(n, start, laeq_db="loud")]).encode(), "bad_reading"),
        lambda n: (TOPIC, json.dumps([_second(n, start, laeq_db=float("nan"))]).encode(), "bad_payload"),
        lambda n: (f"qw/v1/s9/d{n}/noise", json.dumps([_second(n, start)]).encode(), "unknown_device"),
        lambda n: (TOPIC, json.dumps([_second(n, start, t="1970-01-01T00:00:00Z")]).encode(), "too_old"),
        lambda n: (TOPIC, json.dumps([_second(n, start, t="2100-01-01T00:00:00Z")]).encode(), "in_future"),
        lambda n: (TOPIC, json.dumps([_second(n, start, seq=-n - 1)]).encode(), "bad_reading"),
        lambda n: (TOPIC, json.dumps({"seq": n}).encode(), "bad_payload"),
        lambda n: (TOPIC, b"\xff\xfe%d" % n, "bad_payload"),
        lambda n: (TOPIC, b"[" * (50_000 + n), "bad_payload"),
        lambda n: ("qw/v1/s1/d1/status", b'{"state":"dancing %d"}' % n, "bad_payload"),
        lambda n: ("qw/v1/S1/d1/noise", b"[%d]" % n, "bad_topic"),
    ]
    messages = [kinds[n % len(kinds)](n) for n in range(497)]
    return messages + [(TOPIC, b"%d" % n + b"x" * (10 << 20), "bad_payload") for n in range(3)]


def test_bad_messages_leave_every_good_reading_stored_and_lie_in_quarantine_with_a_reason(
    tmp_path, free_port
):
    port = free_port()
    data = tmp_path / "data"
    town = quarter(data, sites=1, devices=2)
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
    with embedded(tmp_path / "broker", town.registry, port) as broker:
        ingest = subprocess.Popen(
            [sys.executable, "-m", "tests.ingest_runner", str(data), broker.url, *broker.login],
            stdout=subprocess.PIPE, stderr=(tmp_path / "ingest.log").open("wb"), text=True, cwd=PROJECT,
        )  # fmt: skip
        try:
            while (line := ingest.stdout.readline()) != "ready\n":
                assert line, (tmp_path / "ingest.log").read_text()[-2000:]
            answers = BareClient(port, town.login("s1", "d2"), name="answers")
            answers.subscribe("qw/v1/s1/d2/stored", qos=0)
            server = BareClient(port, broker.login, name="server")
            bad = _bad_messages(start)
            good = [_second(n, start) for n in range(2_000)]
            mixed = [("qw/v1/s1/d2/noise", json.dumps([one]).encode()) for one in good]
            mixed += [(topic, payload) for topic, payload, _ in bad]
            mixed += [(topic, payload) for topic, payload, _ in bad[:50]]  # the very same again
            neighbours = [
                *(_second(5_000 + n, start) for n in range(5)),
                _second(5_005, start, lafmax_db=999),
            ]
            mixed.append(("qw/v1/s1/d2/noise", json.dumps(neighbours).encode()))
            random.Random(7).shuffle(mixed)
            for topic, payload in mixed:
                server.publish(topic, payload)
            server.settle()
            heard = b""
            while heard.count(b"stored") < 1 or not _all_named(heard, 2_006):
                heard += answers._socket.recv(65_536)
            with town.registry.reader() as session:
                wait_for(lambda: sum(row.times for row in newest(session, limit=1_000)) >= 551)
            assert ingest.poll() is None, "ingest is alive"
        finally:
            ingest.terminate()
            out, _ = ingest.communicate(timeout=60)
    assert "stored 2005" in out
    store = DuckDbStore(data / "ingest.duckdb")
    assert store.count("noise", site="s1", source="d2") == 2_005
    assert store.count("noise") == 2_005
    store.close()
    _check_quarantine(town.registry, bad)


def _all_named(heard: bytes, count: int) -> bool:
    """Whether the ranges of all answers together name this many readings."""
    named: set[int] = set()
    for at in range(len(heard)):
        if heard[at : at + 1] == b"{":
            end = heard.find(b"}", at)
            if end > 0:
                answer = json.loads(heard[at : end + 1])
                for key in ("stored", "refused"):
                    for first, last in answer.get(key, ()):
                        named.update(range(first, last + 1))
    return len(named) >= count


def _check_quarantine(registry: Registry, bad: list[tuple[str, bytes, str]]) -> None:
    with registry.reader() as session:
        rows = newest(session, limit=1_000)
        assert all(row.reason for row in rows)
        expected: dict[str, int] = {"bad_reading": 1}  # the loud neighbour
        for _, _, code in bad:
            expected[code] = expected.get(code, 0) + 1
        assert counts(session) == {**expected, "evicted": 0}
        assert sum(row.times for row in rows) == 551, "the same message again counts up"
        assert {row.size_bytes for row in rows if row.size_bytes > 1 << 20} == {(10 << 20) + 1}
        by_code = {row.code: row.reason for row in rows}
        assert "before 2020-01-01" in by_code["too_old"]
        assert "ahead of the server's clock" in by_code["in_future"]
        assert "knows no enabled device" in by_code["unknown_device"]
