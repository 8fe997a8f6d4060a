"""``python -m tests.ingest.fuzz [--count 1000000] [--seed N]``: mutated messages through ingest's whole judgement.

Every message is judged by itself as ingest does, refused ones are held in a real quarantine in batches, and good ones
are written to a real store. None may raise; the first that does is printed.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from ingest.commit import write_or_isolate
from ingest.validate import judge
from store.registry.database import Registry
from store.registry.known import Known
from store.registry.quarantine import counts, hold
from store.series.duckdb_store import DuckDbStore
from tests.ingest.mutate import mutated

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KNOWN = Known(frozenset({("s1", "d1")}), {("s1", "m1"): "d1"})
_BATCH = 2_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.ingest.fuzz")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        registry, store = Registry.in_folder(Path(folder)), DuckDbStore(Path(folder) / "series.duckdb")
        outcomes = _run(options.seed, options.count, registry, store)
        with registry.reader() as session:
            print("quarantine", counts(session))
        store.close()
        registry.close()
    print(", ".join(f"{name} {count}" for name, count in sorted(outcomes.items())))
    sys.exit(bool(outcomes["raised"] or outcomes["internal_error"]))


def _run(seed: int, count: int, registry: Registry, store: DuckDbStore) -> Counter[str]:
    outcomes: Counter[str] = Counter(raised=0, internal_error=0)
    began, entries, rejected = time.monotonic(), [], []
    for number, (topic, payload) in enumerate(mutated(random.Random(seed), count), 1):
        try:
            judged = judge(topic, payload, len(payload), NOW, KNOWN)
        except Exception as error:
            outcomes["raised"] += 1
            print(f"raised {type(error).__name__}: {error}\n  topic {topic!r}\n  payload {payload[:500]!r}")
            continue
        outcomes["messages with a good reading"] += bool(judged.entries)
        outcomes["messages with a bad reading"] += bool(judged.rejected)
        entries += judged.entries
        rejected += judged.rejected
        if number % _BATCH == 0 or number == count:
            faults = write_or_isolate(store, entries) if entries else {}
            outcomes["internal_error"] += sum(code == "internal_error" for code, _ in faults.values())
            with registry.session() as session:
                hold(session, rejected, NOW)
            entries, rejected = [], []
        if number % 100_000 == 0:
            print(f"{number} messages, {number / (time.monotonic() - began):.0f}/s", flush=True)
    return outcomes


if __name__ == "__main__":
    main()
