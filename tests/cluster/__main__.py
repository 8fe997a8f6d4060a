"""``python -m tests.cluster [--seconds 180] [--devices 50] [--rate 100] [--outage 20]``: the trial at length."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.cluster.trial import Plan, Trial, told


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster", description="Kill and cut a cluster, then count."
    )
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--devices", type=int, default=50)
    parser.add_argument("--rate", type=int, default=100, help="readings a second of each device")
    parser.add_argument("--outage", type=float, default=20.0, help="how long each outage lasts, s")
    options = parser.parse_args()
    influxd = shutil.which("influxd") or sys.exit(
        "influxd is not installed; on Debian: apt-get install influxdb"
    )
    plan = Plan(options.seconds, options.devices, options.rate, options.outage)
    with tempfile.TemporaryDirectory() as folder:
        outcome = Trial(Path(folder), plan, influxd).run()
    print(told(outcome))
    whole = outcome.made == outcome.stored and not outcome.doubled + outcome.wrong + outcome.quarantined
    sys.exit(not (whole and max(outcome.gaps.values()) < 10.0))


if __name__ == "__main__":
    main()
