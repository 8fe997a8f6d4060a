"""What a Raspberry Pi can be expected to carry: an estimate, computed from figures measured on another machine.

    PYTHONPATH=. python benchmarks/sound_peers.py --json > figures.json
    python benchmarks/sound_estimates.py figures.json

About half of the meter's time goes into matrix products and half into everything else (calls, passes over memory). The
table below says how much slower one core of a board does each than one core of a current x86 server with AVX-512, from
clock rates and double-precision operations per cycle: from knowledge, not measured. Treat the result as within a
factor of two, and measure on the board.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

MATRIX_SHARE = 0.5


@dataclass(frozen=True)
class Board:
    """A board: how many times slower a core is in matrix products and in the rest, and how many cores it has."""

    name: str
    matrix: float
    rest: float
    cores: int

    @property
    def factor(self) -> float:
        """How many times slower it is in the mix."""
        return MATRIX_SHARE * self.matrix + (1 - MATRIX_SHARE) * self.rest


BOARDS = (
    Board("Raspberry Pi 5 (Cortex-A76, 2.4 GHz)", 8, 3, 4),
    Board("Raspberry Pi 4 (Cortex-A72, 1.8 GHz)", 22, 6, 4),
    Board("Raspberry Pi 3B+ (Cortex-A53, 1.4 GHz)", 60, 14, 4),
    Board("Raspberry Pi Zero 2 W (Cortex-A53, 1.0 GHz)", 85, 18, 4),
)


def main() -> None:
    """Print the table."""
    figures = json.loads(Path(sys.argv[1]).read_text())
    everything = figures["quietwater_everything"]["cpu_s_per_h"]
    levels = figures["quietwater_levels"]["cpu_s_per_h"]
    print("| board | levels only | everything | microphones at half of its cores |")
    print("| --- | --- | --- | --- |")
    for board in BOARDS:
        light, full = levels * board.factor / 3600, everything * board.factor / 3600
        carried = int(board.cores / 2 / full)
        print(f"| {board.name} | {light:.1%} of a core | {full:.0%} of a core | {carried} |")


if __name__ == "__main__":
    main()
