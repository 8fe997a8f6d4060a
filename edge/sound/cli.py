"""Commands of the sound part for ``quietwater edge``. What they need is imported when they run."""

from __future__ import annotations

import click

from edge.sound.cli_calibrate import calibrate
from edge.sound.cli_measure import devices, measure
from edge.sound.cli_selftest import selftest

COMMANDS: tuple[click.Command, ...] = (measure, calibrate, selftest, devices)
