"""Three real nats-server processes as one JetStream cluster, MQTT on each; a proxy lies between nodes 1 and 2."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import nats

from tests.broker import wait_for
from tests.proxy import Proxy

NATS_SERVER = Path(sys.prefix) / "bin" / "nats-server"


@dataclass
class Node:
    """One server of the cluster."""

    number: int
    config: Path
    log: Path
    mqtt_port: int
    nats_port: int
    monitor_port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return f"n{self.number}"

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [str(NATS_SERVER), "-c", str(self.config)], stdout=output, stderr=output
            )

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def ask(self, path: str) -> dict:
        """Return what the monitoring answers, or nothing while the node is away."""
        with (
            suppress(OSError, ValueError),
            urllib.request.urlopen(f"http://127.0.0.1:{self.monitor_port}/{path}", timeout=2) as answer,
        ):
            return json.load(answer)
        return {}


@dataclass
class Cluster:
    """The nodes, and the proxy between the first and the second."""

    nodes: list[Node]
    between: Proxy

    @property
    def mqtt_url(self) -> str:
        return ",".join(f"mqtt://127.0.0.1:{node.mqtt_port}" for node in self.nodes)

    @property
    def nats_url(self) -> str:
        return ",".join(f"nats://127.0.0.1:{node.nats_port}" for node in self.nodes)

    def ready(self) -> bool:
        """Whether every node has the two others and the cluster has a leader."""
        return all(
            one.ask("healthz").get("status") == "ok" and len(_peers(one)) == len(self.nodes) - 1
            for one in self.nodes
        )

    def leader(self, stream: str) -> Node | None:
        """Return the leader of a stream."""
        for node in self.nodes:
            accounts = node.ask("jsz?streams=true").get("account_details") or []
            for account in accounts:
                for one in account.get("stream_detail") or []:
                    if one["name"] == stream and (name := one.get("cluster", {}).get("leader")):
                        return next(node for node in self.nodes if node.name == name)
        return None

    def lead(self, stream: str, node: Node) -> None:
        """Have a node lead a stream."""

        async def ask() -> None:
            client = await nats.connect(self.nats_url.split(","))
            await client.request(
                f"$JS.API.STREAM.LEADER.STEPDOWN.{stream}",
                json.dumps({"placement": {"preferred": node.name}}).encode(), timeout=10,
            )  # fmt: skip
            await client.close()

        if self.leader(stream) is not node:
            asyncio.run(ask())
            wait_for(lambda: self.leader(stream) is node, 30, f"{node.name} leads {stream}")


def _peers(node: Node) -> set[str]:
    return {one["remote_name"] for one in node.ask("routez").get("routes") or []}


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Run three nodes below ``folder`` and wait until they are one cluster."""
    ports = iter(_free_ports(12))
    table = [[next(ports) for _ in range(4)] for _ in range(3)]
    with ExitStack() as stack:
        between = Proxy(table[1][3])
        stack.callback(between.close)
        # Each pair has one route, asked for by one side, so that what lies between 1 and 2 can be cut.
        routes = {1: between.port, 2: table[2][3], 3: table[0][3]}
        nodes = [_node(folder, n, table[n - 1], routes[n]) for n in (1, 2, 3)]
        for node in nodes:
            stack.callback(node.kill)
            node.start()
        made = Cluster(nodes, between)
        wait_for(made.ready, 60, "three nodes that are one cluster")
        yield made


def _node(folder: Path, number: int, ports: list[int], other: int) -> Node:
    mqtt, nats, monitor, route = ports
    home = folder / f"n{number}"
    home.mkdir(parents=True)
    config = home / "nats.conf"
    config.write_text(
        json.dumps(
            {
                "server_name": f"n{number}", "listen": f"127.0.0.1:{nats}", "http": f"127.0.0.1:{monitor}",
                "max_payload": 16 << 20, "write_deadline": "60s",
                "jetstream": {"store_dir": str(home / "jetstream"), "sync_interval": "10s"},
                "mqtt": {
                    "host": "127.0.0.1", "port": mqtt, "ack_wait": "10s", "max_ack_pending": 2000,
                    # Unless told, the first client makes them with as many copies as nodes have met by then: one.
                    "stream_replicas": 3, "consumer_replicas": 3,
                },
                "cluster": {
                    "name": "quietwater", "listen": f"127.0.0.1:{route}", "no_advertise": True,
                    "routes": [f"nats://127.0.0.1:{other}"],
                },
                # A node that is cut off, and not dead, is noticed by its silence.
                "ping_interval": "2s", "ping_max": 2,
            }
        )
    )  # fmt: skip
    return Node(number, config, home / "nats.log", mqtt, nats, monitor)


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports
