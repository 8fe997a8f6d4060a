"""Fills a small file system until it is full, lets an outbox live on it, and says "sound" if all is told.

``python -m tests.edge.outbox_full FOLDER outbox|others|others-early``: what fills it is the outbox itself, or somebody
else's file, which stays; early, when the outbox is still almost empty.
"""

import sqlite3
import sys
from contextlib import suppress
from pathlib import Path

from contract.codec import decode_reading
from edge.outbox import Outbox
from tests.edge.made import NOW, second

ALL = 1 << 53


def main() -> None:
    folder, filled_by = Path(sys.argv[1]), sys.argv[2]
    outbox = Outbox(folder / "o.sqlite", now=NOW, memory_limit=2_000)
    seqs = []
    for n in range(12_000):
        seqs.append(outbox.append(second(n)))
        if n % 50 == 0:
            outbox.commit(NOW)
        if n == {"others": 3_000, "others-early": 60}.get(filled_by):
            with suppress(OSError), (folder / "ballast").open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
    outbox.commit(NOW)
    with sqlite3.connect(f"file:{folder / 'o.sqlite'}?mode=ro", uri=True) as disk:
        on_disk = {seq for (seq,) in disk.execute("SELECT seq FROM entries")}
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
    assert max(missing) < min(seq for seq in seqs if seq in left), "the oldest went"
    expected = 200 if filled_by == "others-early" else 1_500
    durable = len(set(seqs[-expected:]) & on_disk)
    assert durable == expected, f"{durable} of the newest {expected} are on the disk, full as it is"
    outbox.close()
    print("kept", len(left), "dropped", len(missing), "sound")


main()
