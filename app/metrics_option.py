"""The options of the port for metrics and health, shared by the commands of single parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def metrics_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``metrics_port`` (``None`` for no such port) and ``metrics_host``."""
    for option in (
        click.option("--metrics-host", default="127.0.0.1", show_default=True, envvar="QUIETWATER_METRICS_HOST",
                     help="Address of the port for metrics; for one that other machines reach, a bearer token has to "
                     "be in QUIETWATER_METRICS_TOKEN, or in a file that …_FILE names."),
        click.option("--metrics-port", type=click.IntRange(0, 65535), envvar="QUIETWATER_METRICS_PORT",
                     help="Answer /metrics, /healthz and /readyz on this port; 0 takes any.  [default: no port]"),
    ):  # fmt: skip
        command = option(command)
    return command
