"""The options of how long readings are kept."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import click

from store.series.retention import Retention

_DEFAULT: Final = Retention()
_DAYS: Final = click.IntRange(0, 36_500)


def retention_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--keep-seconds`` and ``--keep-minutes``; the command gets ``retention``."""

    @functools.wraps(command)
    def with_retention(*args: Any, keep_seconds: int, keep_minutes: int, **others: Any) -> Any:
        return command(*args, retention=Retention(keep_seconds or None, keep_minutes or None), **others)

    minutes = click.option(
        "--keep-minutes", type=_DAYS, default=_DEFAULT.minutes_days, show_default=True, metavar="DAYS",
        envvar="QUIETWATER_KEEP_MINUTES",
        help="Keep minutes of noise and water readings so long; 0 for ever. Hours are kept for ever.",
    )  # fmt: skip
    seconds = click.option(
        "--keep-seconds", type=_DAYS, default=_DEFAULT.seconds_days, show_default=True, metavar="DAYS",
        envvar="QUIETWATER_KEEP_SECONDS", help="Keep the seconds of noise so long; 0 for ever.",
    )  # fmt: skip
    return seconds(minutes(with_retention))
