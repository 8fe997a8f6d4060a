"""Appends and commits readings as fast as it can and says which are committed, until it is killed."""

import os
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
        say(f"used {seqs[-1]}\n")
        outbox.commit(NOW)
        say(f"kept {seqs[0]} {seqs[-1]}\n")


def say(line: str) -> None:
    """Write a line whole: ``print`` may be cut between its words by the kill."""
    os.write(sys.stdout.fileno(), line.encode())


main()
