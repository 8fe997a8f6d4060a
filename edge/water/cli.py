"""Commands of the water part for ``quietwater edge``."""

from __future__ import annotations

import click

COMMANDS: tuple[click.Command, ...] = ()
