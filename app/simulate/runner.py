"""A run of the simulator: connect, send until the end or Ctrl-C, wait for what is not confirmed, write the truth."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from app.simulate import truth
from app.simulate.connections import Gate
from app.simulate.fleet import Fleet, Pace
from app.simulate.scenario import Scenario, text_of
from app.whole_file import whole_file
from contract.clock import Clock

PROGRESS_S: Final = 10.0
_PATIENCE_S: Final = 60.0
"""How long the end of a run waits for readings to be confirmed."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A run: what, how, for how long (``None``: until Ctrl-C), where the labels go."""

    scenario: Scenario
    pace: Pace
    clock: Clock
    seconds: int | None
    out: Path


def simulate(plan: Plan, gate: Gate, tell: Callable[[str], None]) -> dict[str, Any]:
    """Run to the end and return the summary, which lies in ``summary.json`` too. Raises ``OSError``."""
    plan.out.mkdir(parents=True, exist_ok=True)
    if not os.access(plan.out, os.W_OK):
        raise PermissionError(f"{plan.out} cannot be written")
    try:
        import uvloop

        run = uvloop.run
    except ImportError:  # it is not made for every system
        run = asyncio.run
    return run(_run(plan, gate, tell))


async def _run(plan: Plan, gate: Gate, tell: Callable[[str], None]) -> dict[str, Any]:
    stop, hurry = asyncio.Event(), asyncio.Event()

    def interrupt() -> None:
        (hurry if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    fleet = Fleet(plan.scenario, gate, plan.clock, plan.pace)
    progress = loop.create_task(_progress(fleet, tell))
    began = time.monotonic()
    await fleet.connect(stop)
    connected_s = time.monotonic() - began
    if not stop.is_set():
        tell(f"{len(fleet.connections)} connections are up after {connected_s:.1f} s; measuring begins")
        await fleet.run(stop, plan.seconds)
        tell("measuring has ended; waiting for what is not confirmed yet (Ctrl-C: at once)")
        await fleet.drain(hurry, _PATIENCE_S)
    progress.cancel()
    await fleet.leave()
    return _finish(fleet, plan, connected_s)


async def _progress(fleet: Fleet, tell: Callable[[str], None]) -> None:
    before, made, confirmed, at = fleet.counts.lags.copy(), 0, 0, time.monotonic()
    while True:
        await asyncio.sleep(PROGRESS_S)
        counts, now_s = fleet.counts, time.monotonic()
        recent, before = counts.lags.since(before), counts.lags.copy()
        lag = f"{recent.below(0.5):.2f} / {recent.below(0.99):.2f} / {recent.highest_s:.2f}"
        trouble = next((one.trouble for one in fleet.connections if one.trouble and not one.up), "")
        tell(
            f"{text_of(fleet.next_s)}  {(counts.made - made) / (now_s - at):.0f} readings/s made, "
            f"{(counts.confirmed - confirmed) / (now_s - at):.0f} stored; {fleet.unconfirmed} not confirmed; "
            f"stored after {lag} s (median / 99 % / most); {counts.expired} sent again; "
            f"{fleet.connected} of {len(fleet.connections)} connections"
            + (f" ({trouble})" if trouble else "")
        )
        made, confirmed, at = counts.made, counts.confirmed, now_s


def _finish(fleet: Fleet, plan: Plan, connected_s: float) -> dict[str, Any]:
    counts, lags = fleet.counts, fleet.counts.lags
    summary = {
        "begin_s": fleet.begin_s, "end_s": fleet.next_s,
        "made": counts.made, "confirmed": counts.confirmed, "refused": counts.refused,
        "unconfirmed": fleet.unconfirmed, "sent": counts.sent, "messages": counts.messages,
        "expired": counts.expired, "statuses": counts.statuses,
        "labels": truth.write(plan.out, fleet.noise, fleet.water, (fleet.begin_s, fleet.next_s)),
        "connections": len(fleet.connections), "connected_after_s": round(connected_s, 2),
        "reconnects": sum(max(0, one.connects - 1) for one in fleet.connections),
        "lag_p50_s": round(lags.below(0.5), 2), "lag_p99_s": round(lags.below(0.99), 2),
        "lag_max_s": round(lags.highest_s, 2), "cpu_s": round(sum(os.times()[:2]), 2),
    }  # fmt: skip
    with whole_file(plan.out / "summary.json") as file:
        file.write(json.dumps(summary, indent=1).encode() + b"\n")
    return summary
