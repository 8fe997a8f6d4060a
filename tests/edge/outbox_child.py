"""Appends and commits readings as fast as it can and says which are committed, until it is killed."""

import sys
from pathlib import Path

from edge.outbox import Outbox
from tests.edge.made import NOW, second


def main() -> None:
    outbox = Outbox(Path(sys.argv[1]), now=NOW)
    n = 0
    while True:
        seqs = [outbox.append(second(n + i)) for i in range(20)]
        n += 20
        print("used", seqs[-1], flush=True)
        outbox.commit(NOW)
        print("kept", seqs[0], seqs[-1], flush=True)


main()
