"""``python -m tests.chaos [--minutes 30] [--edges 20] [--seed N]``: the long form of the chaos test."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from app.broker import free_port
from tests.chaos.town import run


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description="Break everything at random, then count."
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--edges", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.edges} edges, {options.minutes:g} minutes", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        town, verdict = run(
            Path(folder),
            free_port(),
            edges=options.edges,
            seconds=options.minutes * 60,
            seed=options.seed,
            pause_s=10.0,
        )
    for fault, times in sorted(town.faults.items()):
        print(f"{fault.replace('_', ' '):24} {times}")
    print(
        f"promised {verdict.promised}: stored {verdict.stored}, dropped by the bound and told {verdict.dropped_told}, "
        f"lost with an outbox that was truncated {verdict.lost_by_damage}"
    )
    for fault in verdict.faults[:50]:
        print(fault)
    print("nothing lost, nothing doubled" if not verdict.faults else f"{len(verdict.faults)} faults")
    sys.exit(bool(verdict.faults))


main()
