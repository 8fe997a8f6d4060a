"""What is InfluxDB's own: partial writes, interruptions, logins, retention, several processes."""

from __future__ import annotations

import gzip
import http.server
import json
import signal
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from contract.sitetime import floor_hour
from ingest.commit import write_or_isolate
from store.series import influx_lines as lines
from store.series.address import InfluxAddress
from store.series.columns import split
from store.series.influx_http import InfluxHttp, Refused
from store.series.influx_setup import init_store
from store.series.influx_store import InfluxStore
from store.series.interface import DirtyHour, StoreNotSetUp, StoreUnavailable
from store.series.retention import Retention
from tests.store.series.made import (
    DAY,
    DEVICE,
    HOUR,
    METER,
    MINUTE,
    SECOND,
    SITE,
    T0,
    event,
    minute,
    put,
    second,
    seconds,
    water,
)
from tests.store.series.servers import Server, influxdb


def _ask(url: str, statement: str) -> list[list[object]]:
    form = urllib.parse.urlencode({"q": statement}).encode()
    with urllib.request.urlopen(f"{url}/query", form) as response:
        (result,) = json.load(response)["results"]
    return [row for one in result.get("series", []) for row in one["values"]]


@pytest.fixture
def own_server(program: Callable[[str], str], tmp_path: Path) -> Iterator[Server]:
    """A server that the test may stop."""
    with influxdb(program("influxd"), tmp_path) as server:
        yield server


def test_points_beyond_retention_are_refused_and_their_neighbours_stored(influx_server: Server) -> None:
    address = InfluxAddress(influx_server.url, prefix="short")
    init_store(address, Retention(seconds_days=2, minutes_days=30))
    store = InfluxStore(address)
    now = datetime.now(UTC).replace(microsecond=0)
    batch = [second(now - n * HOUR, 50.0) for n in range(0, 96, 3)]
    report = store.write([*batch, water(now - 10 * DAY, 1), water(now - 40 * DAY, 1)])
    old = [n for n, entry in enumerate(batch) if now - entry.reading.t > 3 * DAY]
    refused = [index for index, _ in report.rejected]
    assert set(old) <= set(refused)
    assert refused[-1] == len(batch) + 1
    assert len(batch) not in refused
    assert all("retention" in reason for _, reason in report.rejected)
    assert store.count("noise") == len(batch) - (len(refused) - 1)
    assert report.accepted == len(batch) + 2 - len(refused)
    assert store.count("water") == 1
    store.close()


def test_one_line_of_the_wrong_type_takes_no_neighbour_along(influx_address: InfluxAddress) -> None:
    http = InfluxHttp(influx_address)
    http.write(
        influx_address.minutes,
        f'water_reading,site=x,source=y flow_m3h="oops" {int(T0.timestamp())}000000000'.encode(),
    )
    store = InfluxStore(influx_address)
    batch = [water(T0 + n * SECOND, n, flow_m3h=0.5 if n == 7 else None) for n in range(100)]
    report = store.write(batch)
    assert [index for index, _ in report.rejected] == [7]
    assert "type conflict" in report.rejected[0][1]
    assert report.accepted == 99
    assert store.count("water", site=SITE) == 99
    assert {mark.t for mark in store.dirty_hours(T0 + DAY)} == {T0}
    put(store, [one for n, one in enumerate(batch) if n != 7])
    store.close()
    http.close()


def test_a_large_batch_goes_in_pieces(influx_address: InfluxAddress) -> None:
    store = InfluxStore(influx_address)
    batch = [second(T0 + n * SECOND, 40.0 + n % 40, device=f"d{m}") for m in range(3) for n in range(4000)]
    put(store, batch)
    assert store.count("noise") == 12_000
    put(store, batch)
    assert store.count("noise") == 12_000
    store.close()


def test_no_server_then_a_server(own_server: Server) -> None:
    address = InfluxAddress(own_server.url, timeout_ms=3000)
    init_store(address, Retention(None, None))
    store = InfluxStore(address)
    put(store, seconds(T0, [50, 51]))
    own_server.stop()
    with pytest.raises(StoreUnavailable, match="does not answer"):
        store.write(seconds(T0, [50, 51, 52, 53]))
    with pytest.raises(StoreUnavailable, match="does not answer"):
        store.noise_hours(SITE, DEVICE, T0, T0 + HOUR)
    own_server.start()
    put(store, seconds(T0, [50, 51, 52, 53]))
    assert list(store.noise_seconds(SITE, DEVICE, T0, T0 + MINUTE).laeq_db) == [50, 51, 52, 53]
    store.close()


def test_what_was_reported_stored_survives_kill_9_of_the_server(own_server: Server) -> None:
    address = InfluxAddress(own_server.url)
    init_store(address, Retention(None, None))
    store = InfluxStore(address)
    for n in range(10):
        put(store, [second(T0 + (n * 100 + i) * SECOND) for i in range(100)] + [water(T0 + n * MINUTE, n)])
    own_server.stop()
    own_server.start()
    assert (store.count("noise"), store.count("water")) == (1000, 10)
    assert store.dirty_hours(T0 + DAY) == [
        DirtyHour("noise", SITE, DEVICE, T0),
        DirtyHour("water", SITE, METER, T0),
    ]
    store.close()


def test_a_server_that_hangs_is_tried_again_and_nothing_is_doubled(own_server: Server) -> None:
    address = InfluxAddress(own_server.url, timeout_ms=300)
    init_store(replace(address, timeout_ms=10_000), Retention(None, None))
    store, patient = InfluxStore(address), InfluxStore(replace(address, timeout_ms=30_000))
    put(patient, seconds(T0, [50, 51]))
    assert store.count("noise") == 2
    assert own_server.process is not None
    own_server.process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnavailable, match="does not answer"):
            store.write(seconds(T0, [50, 51, 52, 53]))
    finally:
        own_server.process.send_signal(signal.SIGCONT)
    put(patient, seconds(T0, [50, 51, 52, 53]))  # the first request may have been stored after all
    assert list(patient.noise_seconds(SITE, DEVICE, T0, T0 + MINUTE).laeq_db) == [50, 51, 52, 53]
    store.close()
    patient.close()


def test_a_request_that_is_too_large_goes_in_halves(program: Callable[[str], str], tmp_path: Path) -> None:
    with influxdb(program("influxd"), tmp_path, HTTP_MAX_BODY_SIZE="3000") as server:
        address = InfluxAddress(server.url)
        init_store(address, Retention(None, None))
        store = InfluxStore(address)
        put(store, seconds(T0, [50 + n % 10 for n in range(300)]))
        assert store.count("noise") == 300
        assert store.dirty_hours(T0 + DAY) == [DirtyHour("noise", SITE, DEVICE, T0)]
        store.close()


def test_a_server_with_too_many_series_loses_no_reading(
    program: Callable[[str], str], tmp_path: Path
) -> None:
    limit = "INFLUXDB_DATA_MAX_SERIES_PER_DATABASE"
    with influxdb(program("influxd"), tmp_path, DATA_MAX_SERIES_PER_DATABASE="6") as server:
        address = InfluxAddress(server.url)
        init_store(address, Retention(None, None))
        store = InfluxStore(address)
        put(store, [second(T0, device=f"d{n}") for n in range(2)])  # four series with their marks
        later = [second(T0 + SECOND, device=f"d{n}") for n in range(6)]
        with pytest.raises(StoreUnavailable, match="max-series-per-database limit exceeded"):
            write_or_isolate(store, later)
        assert store.count("noise", source="d0") == 2  # its neighbours did not keep it out
        store.close()
        server.stop()
        server.environment = {**server.environment, limit: "100"}
        server.start()
        store = InfluxStore(address)
        put(store, later)
        assert store.count("noise") == 8
        store.close()


def test_without_databases_the_cure_is_named(influx_server: Server) -> None:
    store = InfluxStore(InfluxAddress(influx_server.url, prefix="nobody-made-it"))
    for call in (lambda: store.write([second(T0)]), lambda: store.count("noise")):
        with pytest.raises(StoreUnavailable, match="quietwater admin init-store"):
            call()
    store.close()


def test_a_wrong_login_is_told_and_a_right_one_works(program: Callable[[str], str], tmp_path: Path) -> None:
    with influxdb(program("influxd"), tmp_path, HTTP_AUTH_ENABLED="true") as server:
        _ask(server.url, "CREATE USER boss WITH PASSWORD 'a b:c' WITH ALL PRIVILEGES")
        right = InfluxAddress(server.url, username="boss", password="a b:c")
        with pytest.raises(StoreUnavailable, match="refuses the login"):
            init_store(replace(right, password="wrong"), Retention())
        init_store(right, Retention(None, None))
        store = InfluxStore(right)
        put(store, [second(T0)])
        assert store.count("noise") == 1
        assert "a b:c" not in repr(right)
        store.close()


def test_init_again_sets_the_retention(influx_server: Server) -> None:
    address = InfluxAddress(influx_server.url, prefix="again")
    init_store(address, Retention())
    put_in = InfluxStore(address)
    put(put_in, [event(T0)])
    assert init_store(address, Retention(seconds_days=30)) == [
        "database again-seconds, kept 30 days",
        "database again-minutes, kept 1095 days",
        "database again-lasting, kept for ever",
    ]
    durations = {
        name: _ask(influx_server.url, f'SHOW RETENTION POLICIES ON "again-{name}"')[0][1:3]
        for name in ("seconds", "minutes", "lasting")
    }
    assert durations["seconds"] == ["720h0m0s", "24h0m0s"]
    assert durations["minutes"] == ["26280h0m0s", "168h0m0s"]
    assert durations["lasting"][0] == "0s"
    assert put_in.count("event") == 1
    put_in.close()


def test_processes_share_the_server(influx_address: InfluxAddress) -> None:
    """Two ingest processes and one of analysis: copies do no harm, and no touch of an hour gets lost."""
    one, two, analysis = (InfluxStore(influx_address) for _ in range(3))
    put(one, seconds(T0, [50] * 10))
    put(two, seconds(T0, [50] * 20))
    mark = DirtyHour("noise", SITE, DEVICE, T0)
    assert analysis.dirty_hours(T0 + DAY) == [mark]
    rows = analysis.noise_hours(SITE, DEVICE, T0, T0 + HOUR)
    put(one, [second(T0 + MINUTE)])
    analysis.write_rollups(rows, [])
    assert analysis.dirty_hours(T0 + DAY) == [mark]
    analysis.write_rollups(analysis.noise_hours(SITE, DEVICE, T0, T0 + HOUR), [])
    assert analysis.dirty_hours(T0 + DAY) == []
    assert one.dirty_hours(T0 + DAY) == []
    (row,) = two.noise_rollups(T0, T0 + DAY)
    assert (row.seconds, row.revision) == (21, 1)
    put(two, [second(T0 + 2 * MINUTE)])
    later = InfluxStore(influx_address)
    assert later.dirty_hours(T0 + DAY) == analysis.dirty_hours(T0 + DAY) == [mark]
    for store in (one, two, analysis, later):
        store.close()


def test_an_hour_under_way_is_marked_once_and_again_at_its_end(influx_address: InfluxAddress) -> None:
    hour = floor_hour(T0)
    wall = [int((hour + 10 * MINUTE).timestamp()) * 10**9]
    store = InfluxStore(influx_address, wall_ns=lambda: wall[0])
    for n in range(5):
        put(store, [second(hour + n * SECOND)])
        wall[0] += 10**9
    touched = f'SELECT count(hour_s) FROM "{influx_address.seconds}".."touched"'
    assert _ask(influx_address.url, touched)[0][1] == 1
    wall[0] = int((hour + 59 * MINUTE + 51 * SECOND).timestamp()) * 10**9
    for n in range(5, 8):
        put(store, [second(hour + n * SECOND)])
        wall[0] += 10**9
    assert _ask(influx_address.url, touched)[0][1] == 4
    store.close()


def test_a_start_does_not_read_the_whole_log(influx_address: InfluxAddress) -> None:
    wall = [int(T0.timestamp()) * 10**9]
    store = InfluxStore(influx_address, wall_ns=lambda: wall[0])
    for n in range(4):
        put(store, [second(T0 - DAY + n * HOUR)])
        store.dirty_hours(T0)
        store.write_rollups(store.noise_hours(SITE, DEVICE, T0 - DAY, T0), [])
        wall[0] += 3600 * 10**9
    (row,) = _ask(influx_address.url, f'SELECT last(upto_ns) FROM "{influx_address.minutes}".."watermark"')
    assert 0 < wall[0] - int(str(row[1])) < 2.5 * 3600 * 10**9
    put(store, [second(T0 - DAY)])  # a copy
    put(store, [second(T0 - DAY + SECOND)])
    again = InfluxStore(influx_address, wall_ns=lambda: wall[0])
    assert again.dirty_hours(T0) == store.dirty_hours(T0) == [DirtyHour("noise", SITE, DEVICE, T0 - DAY)]
    store.close()
    again.close()


# -- the v2 write path, against a server that has it -----------------------------------------------------------------


def test_the_v2_write_path_of_the_client(victoria_server: Server) -> None:
    """VictoriaMetrics takes what an InfluxDB 2 client writes; it keeps numbers, so texts are not looked at here."""
    http = InfluxHttp(InfluxAddress(victoria_server.url, prefix="v2", token="any"))
    version = http.version()
    assert (version.generation, version.has_v2_write) == ("other", True)
    start = datetime.now(UTC).replace(microsecond=0) - HOUR
    entries = seconds(start, [50.5, 61.25]) + [
        second(start + n * SECOND, 45.0, device="roof") for n in range(3000)
    ]
    batch = split(entries).families["noise"]
    body = b"\n".join(lines.seconds(entries, batch, range(len(entries))))
    http.write("v2-seconds", body)
    http.write("v2-seconds", body)
    urllib.request.urlopen(f"{victoria_server.url}/internal/force_flush").close()
    query = urllib.parse.urlencode({"match[]": f'noise_second_laeq_db{{source="{DEVICE}"}}'})
    with urllib.request.urlopen(f"{victoria_server.url}/api/v1/export?{query}") as response:
        (series,) = [json.loads(line) for line in response]
    assert series["metric"] == {
        "__name__": "noise_second_laeq_db", "db": "v2-seconds", "site": SITE, "source": DEVICE,
    } or series["metric"] == {"__name__": "noise_second_laeq_db", "site": SITE, "source": DEVICE}  # fmt: skip
    stored = dict(zip(series["timestamps"], series["values"], strict=True))
    assert stored == {int(start.timestamp() * 1000): 50.5, int((start + SECOND).timestamp() * 1000): 61.25}
    http.close()


# -- what only the documentation of InfluxDB 2 and 3 says, played by a stand-in -----------------------------------


class _StandIn(http.server.ThreadingHTTPServer):
    """Answers as the tests tell it and keeps what it was asked."""

    def __init__(self, answers: dict[tuple[str, str], tuple[int, bytes]], headers: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers, self.headers = answers, headers
        self.asked: list[tuple[str, str, bytes]] = []


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _StandIn

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        path = self.path.split("?")[0]
        self.server.asked.append((self.command, self.path, body))
        status, answer = self.server.answers.get((self.command, path), (204, b""))
        self.send_response(status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PATCH = _answer

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _stand_in(
    answers: dict[tuple[str, str], tuple[int, bytes]], headers: dict[str, str] | None = None
) -> Iterator[tuple[_StandIn, InfluxAddress]]:
    server = _StandIn(answers, headers or {})
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        yield server, InfluxAddress(url, token="secret", org="quarter", timeout_ms=2000)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "told"), [(503, "answered 503"), (429, "answered 429"), (500, "answered 500")]
)
def test_a_server_in_trouble_is_to_be_tried_again(status: int, told: str) -> None:
    trouble = {
        ("POST", "/query"): (status, b'{"error":"busy"}'),
        ("POST", "/write"): (status, b'{"error":"busy"}'),
    }
    with _stand_in(trouble, {"X-Influxdb-Version": "1.7.0"}) as (_, address):
        store = InfluxStore(address)
        with pytest.raises(StoreUnavailable, match=told):
            store.write([second(T0)])
        store.close()


def test_what_one_database_does_not_take_is_to_be_tried_again(influx_address: InfluxAddress) -> None:
    http = InfluxHttp(influx_address)
    http.command(f'DROP DATABASE "{influx_address.minutes}"')
    store = InfluxStore(influx_address)
    store._writer._learned["water"].add(0)  # the series is known, so that the write itself is what fails
    report = store.write([water(T0, 1), second(T0), second(T0 + SECOND)])
    assert report.accepted == 2
    assert [index for index, _ in report.retry] == [0]
    assert "init-store" in report.retry[0][1]
    store.close()
    http.close()


def test_writes_to_influxdb_2_go_through_its_own_path() -> None:
    with _stand_in({}, {"X-Influxdb-Version": "v2.7.1"}) as (server, address):
        http_ = InfluxHttp(address)
        http_.write(address.seconds, b"m v=1 1")
        http_.write(address.seconds, b"m v=1 1\n" * 2000)
        http_.close()
    writes = [(path, body) for method, path, body in server.asked if method == "POST"]
    assert [len(body) for _, body in writes] == [7, 16_000]
    for path, _ in writes:
        assert path.startswith("/api/v2/write?")
        asked = urllib.parse.parse_qs(urllib.parse.urlsplit(path).query)
        assert asked == {"org": ["quarter"], "bucket": ["quietwater-seconds"], "precision": ["ns"]}


def test_buckets_and_their_mapping_are_made_on_influxdb_2() -> None:
    answers = {
        ("GET", "/api/v2/orgs"): (200, b'{"orgs":[{"id":"0000000000000001","name":"quarter"}]}'),
        ("GET", "/api/v2/buckets"): (200, b'{"buckets":[]}'),
        ("POST", "/api/v2/buckets"): (201, b'{"id":"00000000000000bb","name":"x"}'),
        ("GET", "/api/v2/dbrps"): (200, b'{"content":[{"bucketID":"00000000000000bb","virtual":true}]}'),
        ("POST", "/api/v2/dbrps"): (201, b"{}"),
    }
    headers = {"X-Influxdb-Version": "v2.7.1", "Content-Type": "application/json"}
    with _stand_in(answers, headers) as (server, address):
        assert len(init_store(address, Retention())) == 3
    buckets = [
        json.loads(body)
        for method, path, body in server.asked
        if (method, path) == ("POST", "/api/v2/buckets")
    ]
    assert [(one["name"], one["retentionRules"]) for one in buckets] == [
        ("quietwater-seconds", [{"type": "expire", "everySeconds": 90 * 86_400}]),
        ("quietwater-minutes", [{"type": "expire", "everySeconds": 1095 * 86_400}]),
        ("quietwater-lasting", []),
    ]
    mappings = [
        json.loads(body) for method, path, body in server.asked if (method, path) == ("POST", "/api/v2/dbrps")
    ]
    assert [one["database"] for one in mappings] == [one["name"] for one in buckets]
    assert {one["bucketID"] for one in mappings} == {"00000000000000bb"}


def test_an_unknown_organisation_of_influxdb_2_is_told() -> None:
    answers = {("GET", "/api/v2/orgs"): (200, b'{"orgs":[{"id":"1","name":"another"}]}')}
    with (
        _stand_in(answers, {"X-Influxdb-Version": "v2.7.1"}) as (_, address),
        pytest.raises(StoreNotSetUp, match=r"no organisation 'quarter'.*\?org="),
    ):
        init_store(address, Retention())


def test_databases_are_made_on_influxdb_3() -> None:
    answers = {
        ("GET", "/ping"): (200, b'{"version":"3.1.0","revision":"abc"}'),
        ("POST", "/api/v3/configure/database"): (409, b"the database already exists"),
    }
    with _stand_in(answers) as (server, address):
        assert len(init_store(address, Retention())) == 3
        http_ = InfluxHttp(address)
        assert http_.version().generation == "3"
        http_.close()
    made = [json.loads(body) for method, path, body in server.asked if path == "/api/v3/configure/database"]
    assert made == [
        {"db": "quietwater-seconds", "retention_period": "90d"},
        {"db": "quietwater-minutes", "retention_period": "1095d"},
        {"db": "quietwater-lasting"},
    ]


def test_a_server_that_refuses_everything_is_no_endless_work() -> None:
    dropped = b'{"error":"partial write: points beyond retention policy dropped=500"}'
    answers = {("POST", "/write"): (400, dropped), ("POST", "/query"): (200, b'{"results":[{},{}]}')}
    with _stand_in(answers, {"X-Influxdb-Version": "1.6.7"}) as (server, address):
        http_ = InfluxHttp(address)
        with pytest.raises(Refused, match="retention"):
            http_.write("x", b"m v=1 1")
        http_.close()
        store = InfluxStore(address)
        store._writer._learned["noise"].add(0)
        report = store.write([second(T0 + n * SECOND) for n in range(500)])
        store.close()
    assert len(report.rejected) == 500
    assert len(server.asked) < 10


def test_minutes_and_events_are_written_beside_one_another(influx_address: InfluxAddress) -> None:
    store = InfluxStore(influx_address)
    put(store, [minute(T0), event(T0), water(T0, 1), second(T0)])
    found = {
        name: {str(row[0]) for row in _ask(influx_address.url, f'SHOW MEASUREMENTS ON "{database}"')}
        for name, database in (
            ("s", influx_address.seconds),
            ("m", influx_address.minutes),
            ("l", influx_address.lasting),
        )
    }
    assert found == {
        "s": {"noise_second", "touched"}, "m": {"noise_minute", "water_reading", "touched"}, "l": {"event"},
    }  # fmt: skip
    store.close()


def test_every_level_that_is_sent_is_a_float_field(influx_address: InfluxAddress) -> None:
    levels = {
        "lceq_db": 60,
        "lzeq_db": 61.5,
        "lasmax_db": 62.25,
        "lasmin_db": 40,
        "lcpeak_db": 80.125,
        "lae_db": 50,
    }
    store = InfluxStore(influx_address)
    put(store, [second(T0, 50, **levels), second(T0 + SECOND, 50)])
    store.close()
    fields = ", ".join([*levels, "laeq_db"])
    rows = _ask(influx_address.url, f'SELECT {fields} FROM "{influx_address.seconds}".."noise_second"')
    assert [row[1:] for row in rows] == [[*levels.values(), 50], [None] * 6 + [50]]
    keys = _ask(influx_address.url, f'SHOW FIELD KEYS ON "{influx_address.seconds}" FROM "noise_second"')
    types = {str(row[0]): row[1] for row in keys}
    assert {types[key] for key in (*levels, "laeq_db", "lafmax_db", "energy_ms")} == {"float"}
