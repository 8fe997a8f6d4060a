"""Logging of every process of ours: one line an event, for people or as JSON.

With JSON every line of standard output and standard error is one object: our own events, those of libraries that use
the standard library's logging, warnings, and exceptions that nobody caught, in whatever thread.
"""

from __future__ import annotations

import logging
import sys
import threading
from typing import Any, Final, Literal

import click
import structlog
import structlog.tracebacks

LogFormat = Literal["text", "json"]

_EXCEPTIONS: Final = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)
_JSON: Final = structlog.processors.JSONRenderer(ensure_ascii=False)
_SHARED: Final[list[structlog.typing.Processor]] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]

log = structlog.get_logger(__name__)
_format: LogFormat = "text"


def set_up(level: str = "info", log_format: LogFormat = "text") -> None:
    """Send structlog and the standard library's logging to standard error. ``level`` is debug, info, …"""
    global _format  # noqa: PLW0603  one process has one log
    _format = log_format
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*_SHARED, *([_EXCEPTIONS, _JSON] if log_format == "json" else [_for_people()])],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        # It writes a line and its end at once: two threads never share one.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_libraries() if log_format == "json" else logging.Formatter("%(name)s %(message)s"))
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler])
    if log_format == "json":
        logging.captureWarnings(True)
        _tell_what_nobody_caught()


def is_json() -> bool:
    """Whether every line has to be an object."""
    return _format == "json"


def announce(text: str, event: str, **fields: Any) -> None:
    """Tell on standard output what no level leaves out: ``text`` to people, ``event`` with its ``fields`` as JSON."""
    if not is_json():
        click.echo(text)
        return
    structlog.wrap_logger(
        structlog.WriteLogger(sys.stdout), processors=[*_SHARED, _JSON],
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
    ).info(event, **fields)  # fmt: skip


class FailureAsJson(click.ClickException):
    """Why a command ends, as a line of JSON."""

    def __init__(self, error: click.ClickException) -> None:
        super().__init__(error.format_message())
        setattr(self, "exit_code", error.exit_code)  # noqa: B010  click reads it from the object, too

    def show(self, file: Any = None) -> None:  # noqa: ARG002  it goes where the log goes
        """Tell it."""
        log.critical("the command failed", cause=self.message)


def _for_people() -> structlog.typing.Processor:
    # Plain: a rich traceback prints the local variables, and with them passwords.
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )


def _libraries() -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_SHARED, structlog.stdlib.add_logger_name],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _EXCEPTIONS, _JSON],
    )


def _tell_what_nobody_caught() -> None:
    def in_main(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        log.critical("an exception that nobody caught", exc_info=(kind, error, trace))

    def in_thread(told: threading.ExceptHookArgs) -> None:
        if told.exc_value is not None:
            log.critical(
                "an exception ended a thread", thread=told.thread.name if told.thread else "",
                exc_info=(told.exc_type, told.exc_value, told.exc_traceback),
            )  # fmt: skip

    def in_passing(told: Any) -> None:
        log.error(
            "an exception where none can be raised", of=repr(told.object)[:200],
            exc_info=(told.exc_type, told.exc_value, told.exc_traceback),
        )  # fmt: skip

    sys.excepthook, threading.excepthook, sys.unraisablehook = in_main, in_thread, in_passing
