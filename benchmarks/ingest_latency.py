"""How long a second takes from the device to an open page, with 1,000 devices at 1 Hz.

``python -m benchmarks.ingest_latency [--devices 1000] [--seconds 30]`` runs ``quietwater up`` as a process, connects
every device with its own password, and reads ``/api/v1/live`` over HTTP as a page does, in a process of its own each.
It prints p50, p99 and the longest time

* from the end of a device's second to the arrival at the page, and
* from there to the device's ``stored``: committed to the series store,

twice: with every device at a moment of its own within the second, and with all of them at its very beginning, as clocks
that agree bring about. One device of them is the edge's own outbox, courier and link; the others publish by a
bare client.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

from app.broker import free_port
from contract.clock import SystemClock
from contract.messages import DeviceStatus, NoiseSecond, Stored
from edge.courier import Courier
from edge.link import Broker, Link
from edge.outbox import Outbox
from store.registry.users import ensure_admin
from tests.broker import BareClient, quarter, wait_for

SITES = 20
Key = tuple[str, str]
Times = dict[tuple[str, str, str], float]
"""By site, device and the second's time in text: monotonic seconds, the same clock in every process."""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--devices", type=int, default=1_000)
    parser.add_argument("--seconds", type=int, default=30)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _run(Path(folder), options.devices, options.seconds)


def _run(folder: Path, devices: int, seconds: int) -> None:
    town = quarter(folder / "data", sites=SITES, devices=devices // SITES, meters=0)
    with town.registry.session() as session:
        password = ensure_admin(session, datetime.now(UTC)) or ""
    town.registry.close()
    port, mqtt_port = free_port(), free_port()
    command = [sys.executable, "-m", "app", "--log-level", "warning", "up", "--data", str(folder / "data"),
               "--port", str(port), "--mqtt-port", str(mqtt_port)]  # fmt: skip
    with (folder / "up.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for(lambda: _answers(port), 60, "quietwater up")
        for together in (False, True):
            page = _Page(port, password)
            fleet = _Fleet(mqtt_port, town.passwords, folder, together, seconds)
            sent, stored = fleet.results()
            time.sleep(1.0)
            _print(devices, together, sent, page.close(), stored)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


def _answers(port: int) -> bool:
    try:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        client.request("GET", "/readyz")
        return client.getresponse().status == 200
    except OSError:
        return False


class _Child:
    """A function in a process of its own, at the other end of a pipe."""

    def __init__(self, work, *arguments: object):
        spawn = multiprocessing.get_context("spawn")
        self.pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=work, args=(theirs, *arguments), daemon=True)
        self._process.start()

    def close(self):
        answer = self.pipe.recv()
        self._process.join(10)
        return answer


# -- the page ------------------------------------------------------------------------------------------------------


class _Page(_Child):
    def __init__(self, port: int, password: str):
        super().__init__(_watch_live, port, password)
        self.pipe.recv()  # the stream is open

    def close(self) -> Times:
        self.pipe.send("enough")
        return super().close()


def _watch_live(pipe: Connection, port: int, password: str) -> None:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    body = json.dumps({"name": "admin", "password": password})
    client.request("POST", "/api/v1/login", body, {"Content-Type": "application/json"})
    answer = client.getresponse()
    cookie = (answer.getheader("Set-Cookie") or "").partition(";")[0]
    answer.read()
    if answer.status >= 300:
        raise SystemExit(f"log-in answered {answer.status}")
    client.request("GET", "/api/v1/live", headers={"Cookie": cookie, "Accept": "text/event-stream"})
    stream = client.getresponse()
    seen: Times = {}
    pipe.send("open")
    for at, data in _frames(stream, pipe):
        for one in data.get("levels", ()):
            seen.setdefault((one["site"], one["device"], one["t"]), at)
    pipe.send(seen)


def _frames(stream: http.client.HTTPResponse, pipe: Connection) -> Iterator[tuple[float, dict]]:
    rest = b""
    while not pipe.poll():
        part = stream.read1(1 << 20)
        at = time.monotonic()
        *whole, rest = (rest + part).split(b"\n\n")
        for one in whole:
            for line in one.split(b"\n"):
                if line.startswith(b"data: {"):
                    yield at, json.loads(line[6:])


# -- the devices ---------------------------------------------------------------------------------------------------


class _Fleet(_Child):
    def __init__(self, port: int, passwords: dict[Key, str], folder: Path, together: bool, seconds: int):
        super().__init__(_be_devices, port, passwords, folder, together, seconds)

    def results(self) -> tuple[Times, Times]:
        return self.close()


def _be_devices(
    pipe: Connection, port: int, passwords: dict[Key, str], folder: Path, together: bool, seconds: int
) -> None:
    (own, own_password), *others = passwords.items()
    edge = _Edge(port, own, own_password, folder)
    clients = {key: BareClient(port, (f"{key[0]}.{key[1]}", password), name=f"qw_{key[0]}_{key[1]}")
               for key, password in others}  # fmt: skip
    answers = _Answers(clients)
    first = int(time.time()) + 3  # the first whole second of the run; its reading is published at its end
    offset = time.monotonic() - time.time()
    sent: Times = {}
    numbers = {key: n for n, key in enumerate(passwords)}
    for second in range(first, first + seconds):
        t = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        payload = _second(second, t)
        for key, n in numbers.items():
            due = second + 1 + offset + (0.0 if together else n / len(numbers))
            while (left := due - time.monotonic()) > 0:
                time.sleep(left)
            sent[(*key, t)] = due
            if key == own:
                edge.measure(second)
            else:
                clients[key].publish(f"qw/v1/{key[0]}/{key[1]}/noise", payload)
    time.sleep(3.0)
    edge.close()
    stored = {**answers.close(), **edge.stored}
    pipe.send((sent, stored))


def _second(seq: int, t: str) -> bytes:
    reading = {"seq": seq, "t": t, "laeq_db": 50.0, "lafmax_db": 55.0, "lafmin_db": 45.0, "laf_db": 50.0}
    return json.dumps([reading]).encode()


class _Edge:
    """One device with the code that runs on the Pi."""

    def __init__(self, port: int, key: Key, password: str, folder: Path):
        self._key = key
        clock = SystemClock()
        self._outbox = Outbox(folder / "edge" / f"{time.monotonic_ns()}.sqlite", now=clock.now())
        self._seconds: dict[int, str] = {}
        self.stored: Times = {}
        broker = Broker(f"mqtt://127.0.0.1:{port}", f"{key[0]}.{key[1]}", password)
        link = Link(broker, *key, on_stored=self._on_stored, on_config=print, on_connected=self._on_connected)
        courier = self._courier = Courier(self._outbox, link, clock)
        self._link = link
        self._stop = threading.Event()
        self._thread = threading.Thread(target=courier.run, args=(self._stop,))
        link.start()
        self._thread.start()
        wait_for(lambda: link.connected)

    def measure(self, second: int) -> None:
        t = datetime.fromtimestamp(second, UTC)
        seq = self._outbox.append(
            NoiseSecond(seq=0, t=t, laeq_db=50.0, lafmax_db=55.0, lafmin_db=45.0, laf_db=50.0)
        )
        self._seconds[seq] = t.strftime("%Y-%m-%dT%H:%M:%SZ")

    def _on_connected(self) -> None:
        self._courier.on_connected()

    def _on_stored(self, answer: Stored) -> None:
        at = time.monotonic()
        for first, last in answer.stored:
            for seq in range(first, last + 1):
                if seq in self._seconds:
                    self.stored.setdefault((*self._key, self._seconds[seq]), at)
        self._courier.on_stored(answer)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._link.stop(last_status=DeviceStatus(state="offline"))
        self._outbox.close()


class _Answers:
    """Reads what the broker sends to all bare clients, and notes when each second is confirmed."""

    def __init__(self, clients: dict[Key, BareClient]):
        self._stop = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._rest: dict[Key, bytes] = {}
        self._times: Times = {}
        for key, client in clients.items():
            client.subscribe(f"qw/v1/{key[0]}/{key[1]}/stored", qos=0)
            self._selector.register(client._socket, selectors.EVENT_READ, key)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> Times:
        self._stop.set()
        self._thread.join()
        return self._times

    def _run(self) -> None:
        while not self._stop.is_set():
            for ready, _ in self._selector.select(0.2):
                peer, key = ready.fileobj, ready.data
                assert isinstance(peer, socket.socket)
                part = peer.recv(65_536)
                if not part:
                    raise SystemExit(f"the broker hung up on {key}")
                self._take(key, self._rest.get(key, b"") + part, time.monotonic())

    def _take(self, key: Key, data: bytes, at: float) -> None:
        while (start := data.find(b'{"stored"')) >= 0 and (end := data.find(b"}", start)) > 0:
            for first, last in json.loads(data[start : end + 1])["stored"]:
                for seq in range(first, last + 1):
                    t = datetime.fromtimestamp(seq, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                    self._times.setdefault((*key, t), at)
            data = data[end + 1 :]
        self._rest[key] = data


# -- the result ----------------------------------------------------------------------------------------------------


def _print(devices: int, together: bool, sent: Times, seen: Times, stored: Times) -> None:
    print(f"{devices} devices at 1 Hz, {'all at the same moment' if together else 'spread over the second'}")
    for what, times in (("to the page", seen), ("to `stored`", stored)):
        taken = [times[key] - at for key, at in sent.items() if key in times]
        missing = len(sent) - len(taken)
        p50, p99 = statistics.median(taken), statistics.quantiles(taken, n=100)[98]
        print(
            f"  {what:12} {len(taken)} of {len(sent)} seconds ({missing} missing): p50 {p50 * 1000:.0f} ms, "
            f"p99 {p99 * 1000:.0f} ms, longest {max(taken) * 1000:.0f} ms",
            flush=True,
        )


if __name__ == "__main__":
    main()
