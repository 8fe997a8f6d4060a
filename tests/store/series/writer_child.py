"""A process that writes batches into a store and says after each that it is committed; the test kills it."""

import resource
import sys
from pathlib import Path

from store.series.duckdb_store import DuckDbStore
from store.series.interface import StoreUnavailable
from tests.store.series.made import HOUR, SECOND, T0, minute, second, water

BATCH = 500


def batch(n: int) -> list:
    """Batch ``n``: half in order, half late, so that both ways of writing are cut off."""
    ahead = [second(T0 + n * HOUR + i * SECOND, 40.0 + i % 40) for i in range(BATCH // 2)]
    late = [
        second(T0 - n * HOUR - i * SECOND, 40.0 + i % 40, device="late") for i in range(1, BATCH // 2 + 1)
    ]
    return [*ahead, *late, minute(T0 + n * HOUR), water(T0 + n * HOUR, n)]


def main() -> None:
    path, largest_file = Path(sys.argv[1]), int(sys.argv[2])
    store = DuckDbStore(path, memory_mb=256, threads=1)
    if largest_file:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
    n = 0
    while True:
        try:
            store.write(batch(n))
        except StoreUnavailable as error:
            print("refused", n, error, flush=True)
            # Room is made: the same store goes on with the same batch.
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            store.write(batch(n))
            print("recovered", n, store.count("noise"), flush=True)
            return
        print("stored", n, flush=True)
        n += 1


if __name__ == "__main__":
    main()
