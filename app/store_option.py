"""The ``--store`` option: where the series are."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click

from store.series.address import BadAddress, StoreAddress, parse_address


def store_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--store``; the command gets ``store``, an address or ``None`` for the file in the data folder."""
    return click.option(
        "--store", envvar="QUIETWATER_STORE", metavar="ADDRESS", callback=_address,
        help="Where the series are: duckdb:///file or http://host:8086 (InfluxDB; its token or password comes from "
        "QUIETWATER_INFLUX_TOKEN or _PASSWORD, or from a file that …_FILE names).  "
        "[default: series.duckdb in the data folder]",
    )(command)  # fmt: skip


def _address(_ctx: click.Context, _parameter: click.Parameter, text: str | None) -> StoreAddress | None:
    try:
        return parse_address(text, os.environ) if text else None
    except BadAddress as error:
        raise click.BadParameter(str(error)) from error
