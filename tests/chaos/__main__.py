"""Chaos at length: ``python -m tests.chaos [--minutes 30] [--seed N] [--broker B] [--store S] [--registry R]``."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path
from typing import get_args

from app.broker import free_port
from tests.chaos.faults import Faults
from tests.chaos.ledger import Verdict
from tests.chaos.parts import Broker, Registry, Store
from tests.chaos.town import Plan, run


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description="Break everything at random, then count."
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--edges", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    parser.add_argument("--broker", choices=get_args(Broker), default="embedded")
    parser.add_argument("--store", choices=get_args(Store), default="influxdb")
    parser.add_argument("--registry", choices=get_args(Registry), default="sqlite")
    parser.add_argument(
        "--ingests", type=int, default=1, help="with Mosquitto and InfluxDB: they share the load"
    )
    options = parser.parse_args()
    if options.ingests > 1 and (options.broker, options.store) != ("mosquitto", "influxdb"):
        parser.error("several ingest processes need --broker mosquitto and --store influxdb")
    print(
        f"seed {options.seed}: {options.edges} edges, {options.broker} broker, {options.ingests} ingest, "
        f"{options.store}, registry on {options.registry}, {options.minutes:g} minutes",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(
            edges=options.edges, seconds=options.minutes * 60, seed=options.seed, store=options.store,
            broker=options.broker, ingests=options.ingests, registry=options.registry,
        )  # fmt: skip
        faults, verdict = run(Path(folder), free_port(), plan)
    print(told(faults, verdict))
    sys.exit(bool(verdict.faults))


def told(faults: Faults, verdict: Verdict) -> str:
    """Return the outcome in words: the faults by kind, and what became of every reading."""
    lines = [f"{name:34} {times:5}" for name, times in sorted(faults.count.items())]
    lines += [
        f"{'faults in all':34} {faults.count.total():5}",
        f"committed to outboxes {verdict.promised}: stored {verdict.stored}, dropped by the bound and told "
        f"{verdict.dropped_told}, lost with an outbox that was truncated {verdict.lost_by_damage}",
        f"drops by the bound {verdict.drops} ({verdict.dropped_counted} readings, some of them stored all the same): "
        f"{verdict.drops_exact} match their event to the reading, {verdict.drops_unsure} within a commit that was cut "
        "short or a truncated file",
        f"outboxes truncated {verdict.damaged}, replacements told {verdict.replaced}",
        *verdict.faults[:50],
        "nothing lost, nothing doubled" if not verdict.faults else f"{len(verdict.faults)} faults",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
