"""Fills a small file system with an outbox until it is full, then empties it again; says "sound" if all is told."""

import sys
from pathlib import Path

from contract.codec import decode_reading
from edge.outbox import Outbox
from tests.edge.made import NOW, second

ALL = 1 << 53


def main() -> None:
    folder = Path(sys.argv[1])
    outbox = Outbox(folder / "o.sqlite", now=NOW, memory_limit=2_000)
    seqs = []
    for n in range(12_000):
        seqs.append(outbox.append(second(n)))
        if n % 50 == 0:
            outbox.commit(NOW)
    (folder / "ballast").unlink(missing_ok=True)
    outbox.commit(NOW)
    left = {entry.seq: entry for entry in outbox.older_than(ALL, 1_000_000)}
    told = [
        one.detail
        for entry in left.values()
        if entry.kind == "event"
        and (one := decode_reading("event", entry.payload)).kind == "readings_dropped"
    ]
    missing = [seq for seq in seqs if seq not in left]
    assert missing, "the disk was not full"
    assert sum(one["count"] for one in told) == len(missing), (
        sum(one["count"] for one in told),
        len(missing),
    )
    assert all(any(one["first_seq"] <= seq <= one["last_seq"] for one in told) for seq in missing)
    assert seqs[-1] in left
    outbox.close()
    print("kept", len(left), "dropped", len(missing), "sound")


main()
