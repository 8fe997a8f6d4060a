"""The fleet at work: each second's readings at their moment, the backlog behind them, outages, statuses, answers.

One thread, one event loop. A second of the fleet is cut into slices; a device always sends in the same one, so that
the load is spread as a network spreads it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import structlog

from app.simulate.connections import Gate, connect_fleet
from app.simulate.device import SimulatedDevice
from app.simulate.interruptions import BLOCK_S, Outage, outages
from app.simulate.outstanding import ANSWER_TIMEOUT_S, PATIENCE_MOST_S
from app.simulate.readings import NoiseReadings, WaterReadings
from app.simulate.scenario import Scenario, utc
from app.simulate.statistics import Counts
from contract.clock import Clock
from contract.codec import decode_stored
from contract.topics import parse

log = structlog.get_logger(__name__)

SLICES: Final = 20
STATUS_INTERVAL_S: Final = 30
"""As agents tell their status."""
_BACKLOG_PER_S: Final = 2_000
_NAP_S: Final = 0.02
_CARE_S: Final = 5.0
_SETTLE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How the fleet sends: ``batch`` seconds a message, the moments spread over ``spread_s`` of each second."""

    batch: int = 1
    spread_s: float = 0.8


class Fleet:
    """All devices of a scenario, on the connections that ``gate`` describes. Raises nothing once it runs."""

    def __init__(self, scenario: Scenario, gate: Gate, clock: Clock, pace: Pace) -> None:
        self.scenario, self.counts = scenario, Counts()
        self.noise, self.water = NoiseReadings(scenario), WaterReadings(scenario)
        self.begin_s = self.next_s = scenario.start_s
        """The first second that is measured, and the next one."""
        self._clock, self._pace = clock, pace
        self.devices = [
            SimulatedDevice(n, scenario.site_name(scenario.device_site(n)), scenario.device_name(n), "noise")
            for n in range(scenario.devices)
        ]
        self.gateways = [
            SimulatedDevice(site, scenario.site_name(site), scenario.gateway_name(), "water")
            for site in range(scenario.sites) if scenario.meters_at(site)
        ]  # fmt: skip
        self._by_name = {(one.site, one.name): one for one in (*self.devices, *self.gateways)}
        self._groups = _grouped(self.devices, pace.batch)
        self._behind: dict[SimulatedDevice, None] = {}
        """Devices with a backlog."""
        self._outages: list[Outage] = []
        self._planned_until_s = 0
        self._ends: dict[int, list[SimulatedDevice]] = {}
        self._cared_at = 0.0
        self._patience_s, self._confirmed_then = ANSWER_TIMEOUT_S, 0
        self.connections = connect_fleet(
            gate, [*self.devices, *self.gateways],
            on_stored=self._on_stored, on_up=self._on_up, on_down=self._on_down,
        )  # fmt: skip

    @property
    def unconfirmed(self) -> int:
        """Readings that no ``stored`` has named yet."""
        return sum(one.outstanding.depth for one in self._by_name.values())

    @property
    def connected(self) -> int:
        """Connections that are up."""
        return sum(one.up for one in self.connections)

    async def connect(self, stop: asyncio.Event) -> None:
        """Start the connections and wait until all are up; the scenario's first outages are those of :meth:`run`."""
        for one in self.connections:
            one.start()
        await _until(lambda: self.connected == len(self.connections) or stop.is_set(), None)
        deadline = time.monotonic() + _SETTLE_S  # the first statuses of all devices come at once
        await _until(lambda: all(one.settled for one in self.connections) or stop.is_set(), deadline)

    async def run(self, stop: asyncio.Event, seconds: int | None) -> None:
        """Measure from now on and send, until ``stop`` or for so many seconds."""
        self.begin_s = self.next_s = max(self.scenario.start_s, int(self._clock.now().timestamp()))
        end_s = None if seconds is None else self.begin_s + seconds
        piece = 0
        self._begin_second(self.next_s)
        while not stop.is_set() and (end_s is None or self.next_s < end_s):
            due_s = self.next_s + 1 + piece / SLICES * self._pace.spread_s
            wait_s = (due_s - self._clock.now().timestamp()) / self._clock.speed
            if wait_s > 0:
                await asyncio.sleep(min(wait_s, _NAP_S))
                continue
            self._guarded(self._slice, piece)
            piece += 1
            if piece == SLICES:
                piece, self.next_s = 0, self.next_s + 1
                self._guarded(self._begin_second, self.next_s)
            await asyncio.sleep(0)  # what has arrived is read between slices also when we are late
        self._guarded(self._finish, piece)

    async def drain(self, stop: asyncio.Event, patience_s: float) -> None:
        """Wait until everything is confirmed, ``stop`` or the end of patience; who is offline comes back."""
        for device in self.devices:
            if device.offline:
                self._come_back(device)
        deadline = time.monotonic() + patience_s
        while self.unconfirmed and not stop.is_set() and time.monotonic() < deadline:
            self._guarded(self._catch_up, list(self._behind))
            self._guarded(self._care)
            await asyncio.sleep(_NAP_S * 5)

    async def leave(self) -> None:
        """Say good-bye as devices do: a last status, then the end of the connection."""
        now = self._clock.now()
        left = list(self._by_name.values())
        deadline = time.monotonic() + 10.0
        while left and time.monotonic() < deadline:
            left = [
                one for one in left if one.connection and one.connection.up and not one.tell("offline", now)
            ]
            await asyncio.sleep(_NAP_S)
        await _until(lambda: all(one.settled for one in self.connections if one.up), deadline)
        for one in self.connections:
            one.close()
        await asyncio.sleep(_NAP_S)

    # -- a second ------------------------------------------------------------------------------------------------

    def _guarded(self, action: Callable[..., None], *arguments: object) -> None:
        try:
            action(*arguments)
        except Exception:
            log.exception("the simulator failed and goes on", action=action.__name__)

    def _begin_second(self, second: int) -> None:
        for device in self._ends.pop(second, ()):
            self._come_back(device)
        for outage in self._outages_at(second):
            device = self.devices[outage.device]
            self._lose(device)
            self._ends.setdefault(max(outage.end_s, second + 1), []).append(device)
        if time.monotonic() - self._cared_at > _CARE_S:
            self._care()

    def _slice(self, piece: int) -> None:
        second = self.next_s
        group = self._groups[second % self._pace.batch][piece]
        if group:
            self._measure(group, second)
        for gateway in self.gateways[piece::SLICES]:
            self._read_meters(gateway, second)
        self._catch_up([one for one in self._behind if one.number % SLICES == piece])
        now = utc(self._clock.now().timestamp())
        for device in (*self.devices[piece::SLICES], *self.gateways[piece::SLICES]):
            if (device.number // SLICES + second) % STATUS_INTERVAL_S == 0 and not device.offline:
                self.counts.statuses += device.tell("online", now)

    def _finish(self, piece: int) -> None:
        """Complete the second that was begun, and hold what waits for its message to be full."""
        if piece:
            for rest in range(piece, SLICES):
                self._slice(rest)
            self.next_s += 1
        last, batch = self.next_s - 1, self._pace.batch
        for residue, slices in enumerate(self._groups):
            first = max(self.begin_s, last - (last - residue) % batch + 1)
            for device in (one for group in slices for one in group if first <= last):
                seqs = self._labelled(device, range(first, last + 1))[1]
                self.counts.made += len(seqs)
                self._hold(device, seqs)

    def _measure(self, group: Sequence[SimulatedDevice], second: int) -> None:
        batch = self._pace.batch
        first = max(self.begin_s, second - batch + 1)
        rows: list[tuple[SimulatedDevice, list[int], list[int]]] = []
        for device in group:
            true, seqs = self._labelled(device, range(first, second + 1))
            self.counts.made += len(seqs)
            if seqs and device.reachable:
                rows.append((device, true, seqs))
            elif seqs:
                self._hold(device, seqs)
        if not rows:
            return
        encoded = iter(
            self.noise.encode_many(
                np.repeat([device.number for device, _, _ in rows], [len(true) for _, true, _ in rows]),
                np.array([t for _, true, _ in rows for t in true], np.int64),
                [seq for _, _, seqs in rows for seq in seqs],
            )
        )
        for device, _, seqs in rows:
            self._send(device, seqs, [next(encoded) for _ in seqs], live=True)

    def _labelled(self, device: SimulatedDevice, true: range) -> tuple[list[int], list[int]]:
        """Return the true seconds in which a device makes a reading, and what its clock says of each."""
        if device.number not in self.noise.faults:
            return list(true), list(true)
        self._note_clock(device, true[-1])
        pairs = [(t, seq) for t in true if (seq := self.noise.label(device.number, t)) is not None]
        return [t for t, _ in pairs], [seq for _, seq in pairs]

    def _read_meters(self, gateway: SimulatedDevice, second: int) -> None:
        seqs = list(self.water.due(gateway.number, second, second + 1))
        if not seqs:
            return
        self.counts.made += len(seqs)
        if gateway.reachable:
            self._send(gateway, seqs, self.water.encode(gateway.number, seqs), live=True)
        else:
            self._hold(gateway, seqs)

    def _catch_up(self, behind: Sequence[SimulatedDevice]) -> None:
        for device in behind:
            if not device.outstanding.waiting:
                self._behind.pop(device, None)
            elif device.reachable:
                messages = device.outstanding.take(_BACKLOG_PER_S)
                encode = self.noise.encode if device.kind == "noise" else self.water.encode
                for seqs in messages:
                    self._send(device, seqs, encode(device.number, seqs), live=False)

    def _send(self, device: SimulatedDevice, seqs: list[int], readings: list[bytes], *, live: bool) -> None:
        if device.send(readings):
            device.outstanding.sent(seqs, time.monotonic(), live=live)
            self.counts.sent += len(seqs)
            self.counts.messages += 1
        else:
            self._hold(device, seqs)

    def _hold(self, device: SimulatedDevice, seqs: Sequence[int]) -> None:
        device.outstanding.keep(seqs)
        self._behind[device] = None

    def _care(self) -> None:
        now_s = self._cared_at = time.monotonic()
        expired = 0
        for device in self._by_name.values():
            if device.outstanding.under_way:
                expired += device.outstanding.expire(now_s, self._patience_s)
            if device.outstanding.waiting:
                self._behind[device] = None
        self.counts.expired += expired
        if self.counts.confirmed != self._confirmed_then:
            self._patience_s, self._confirmed_then = ANSWER_TIMEOUT_S, self.counts.confirmed
        elif expired:  # a server that answers nothing at all is not sent the same over and over
            self._patience_s = min(PATIENCE_MOST_S, 2 * self._patience_s)
        for one in self.connections:
            one.keep_alive(now_s)

    def _note_clock(self, device: SimulatedDevice, second: int) -> None:
        fault = self.noise.faults[device.number]
        wrong = fault.begin_s <= second < fault.end_s
        device.clock_offset_s = fault.offset_s if wrong else 0
        device.clock_synced = not (wrong and fault.kind == "clock_unsynced")

    # -- what comes and goes -------------------------------------------------------------------------------------

    def _outages_at(self, second: int) -> Iterator[Outage]:
        if second >= self._planned_until_s:
            end = max(second + 1, (second // BLOCK_S + 1) * BLOCK_S)
            fresh = second == self.begin_s
            self._outages = [
                one for one in outages(self.scenario, second, end) if one.begin_s >= second or fresh
            ]
            self._planned_until_s = end
        for one in self._outages:
            if max(one.begin_s, self.begin_s) == second:
                yield one

    def _lose(self, device: SimulatedDevice) -> None:
        connection = device.connection
        if connection is None:
            return
        if connection.is_own:
            connection.hold()  # the broker publishes the last will
        else:
            device.tell("offline", self._clock.now())
        device.offline = True
        device.outstanding.disconnected()
        self._behind[device] = None

    def _come_back(self, device: SimulatedDevice) -> None:
        device.offline = False
        connection = device.connection
        if connection is None:
            return
        if connection.is_own:
            connection.start()
        else:
            device.tell("online", self._clock.now())

    def _on_up(self, devices: Sequence[SimulatedDevice]) -> None:
        now = self._clock.now()
        for device in devices:
            if not device.offline:
                self.counts.statuses += device.tell("online", now)

    def _on_down(self, devices: Sequence[SimulatedDevice]) -> None:
        for device in devices:
            device.outstanding.disconnected()
            self._behind[device] = None

    def _on_stored(self, topic: str, payload: bytes) -> None:
        try:
            name = parse(topic)
            if name.kind != "stored":
                return
            answer = decode_stored(payload)
        except (ValueError, msgspec.DecodeError) as error:
            log.warning("an answer that cannot be read", topic=topic, cause=str(error))
            return
        device = self._by_name.get((name.site, name.device))
        if device is None:
            return
        gone, late = device.outstanding.confirmed(answer.stored)
        self.counts.confirmed += len(gone) + late
        refused, late = device.outstanding.confirmed(answer.refused)
        self.counts.refused += len(refused) + late
        if device.kind == "noise" and device.number not in self.noise.faults:
            now_s = self._clock.now().timestamp()
            for seq, live in gone:
                if live:
                    self.counts.lags.add(now_s - seq - 1)


async def _until(condition: Callable[[], bool], deadline_s: float | None) -> None:
    while not condition() and (deadline_s is None or time.monotonic() < deadline_s):  # noqa: ASYNC110  many states
        await asyncio.sleep(_NAP_S)


def _grouped(devices: Sequence[SimulatedDevice], batch: int) -> list[list[list[SimulatedDevice]]]:
    """Return the devices by the residue of the second that ends their batch, and by slice; each list ascends."""
    groups: list[list[list[SimulatedDevice]]] = [[[] for _ in range(SLICES)] for _ in range(batch)]
    for device in devices:
        groups[device.number // SLICES % batch][device.number % SLICES].append(device)
    return groups
