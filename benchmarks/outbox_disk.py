"""What the outbox writes to the SD card and takes on it: one hour of a device at 1 Hz, counted by the kernel.

``python -m benchmarks.outbox_disk [--hours 1]``. *Away*: the server confirms nothing, every reading goes to disk in the
group commits. *Prompt*: every reading is confirmed before the next one, and only what was reserved is written. *Usual*:
the confirmation of a reading comes a second later, so that each commit finds one that is still open.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from contract.messages import NoiseMinute, NoiseSecond
from edge.outbox import Outbox

START = datetime(2026, 3, 1, tzinfo=UTC)
COMMIT_S = 5


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--folder", type=Path, help="a folder on the disk that is to be counted")
    options = parser.parse_args()
    seconds = int(options.hours * 3600)
    for name, confirmed_after in (("away", None), ("usual", 1), ("prompt", 0)):
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            written, rows, size = _run(Path(folder) / "o.sqlite", seconds, confirmed_after)
        per_day = written / options.hours * 24 / 1e6
        text = f"{name:8} written {per_day:8.1f} MB a day"
        if rows > 100:
            text += f", {size / rows:.0f} bytes a reading on disk ({rows} readings)"
        print(text)


def _run(path: Path, seconds: int, confirmed_after: int | None) -> tuple[int, int, int]:
    outbox = Outbox(path, now=START)
    open_seqs: list[tuple[int, int]] = []
    before = _written()
    for n in range(seconds):
        t = START + timedelta(seconds=n)
        level = 40 + n * 7 % 300 / 10
        seqs = [outbox.append(NoiseSecond(
            seq=0, t=t, laeq_db=level, lafmax_db=level + 5.3, lafmin_db=level - 4.1, laf_db=level + 0.2,
            lceq_db=level + 8.8, lcpeak_db=level + 20.1,
        ))]  # fmt: skip
        if n % 60 == 59:
            bins = tuple(range(400, 460))
            minute = NoiseMinute(
                seq=0,
                t=t.replace(second=0),
                laf_bins=bins,
                laf_counts=(8,) * 60,
                first_band=10,
                bands_db=(40.5,) * 34,
            )
            seqs.append(outbox.append(minute))
        if confirmed_after is not None:
            open_seqs.append((seqs[0], seqs[-1]))
            if len(open_seqs) > confirmed_after:
                outbox.confirm([open_seqs.pop(0)])
        if n % COMMIT_S == COMMIT_S - 1:
            outbox.commit(t)
    written, rows = _written() - before, outbox.depth()
    outbox.close()
    return written, rows, path.stat().st_size


def _written() -> int:
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    raise SystemExit("the kernel does not count this process's writes")


if __name__ == "__main__":
    main()
