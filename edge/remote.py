"""The server's configuration at the device: laid over its own, kept on disk, tried before it is trusted."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from contract.messages import DeviceConfig
from contract.remote_settings import faults
from edge.config import AgentConfig, ConfigError, from_table
from edge.remote_state import (
    ConfigReport,
    Kept,
    failed,
    offered,
    passed,
    report,
    started,
    unreadable,
)

log = structlog.get_logger(__name__)

TRIAL_S: Final = 60.0
"""For so long the parts must run with a new configuration before it is kept."""
_LOOK_S: Final = 0.5


class RemoteConfig:
    """Takes configurations in (newest wins, one waits at most), has them applied, and goes back when one fails.

    ``apply`` makes the agent run with a configuration and raises ``ValueError`` or ``OSError`` when it cannot;
    ``trouble`` says what has failed since. ``on_change`` is called when there is news for the status.
    """

    def __init__(self, path: Path, own: AgentConfig, by: str, *, trial_s: float = TRIAL_S) -> None:
        """Read what is kept at ``path``; ``own`` is the device's own configuration, ``by`` the agent's version."""
        self._path = path
        self._own = own
        self._by = by
        self._trial_s = trial_s
        self._kept = started(_read(path), by)
        self._until_s: float | None = None
        self._waiting: DeviceConfig | str | None = None
        self._due = threading.Event()
        self._write()

    @property
    def report(self) -> ConfigReport:
        """What the status tells."""
        return report(self._kept)

    def begin(self, apply: Callable[[AgentConfig], None]) -> None:
        """Apply what is in force, going back as often as it cannot be. Raises what the device's own gives."""
        while True:
            try:
                apply(overlaid(self._own, self._kept.running))
                break
            except (ValueError, OSError) as error:
                if not self._kept.running.settings:
                    raise
                self._change(failed(self._kept, str(error), self._by))
        self._until_s = time.monotonic() + self._trial_s

    def offer(self, config: DeviceConfig | str) -> None:
        """Hand over what the server sent, or why it cannot be read. Quick; from any thread."""
        self._waiting = config
        self._due.set()

    def run(
        self, apply: Callable[[AgentConfig], None], trouble: Callable[[], str | None],
        on_change: Callable[[], None], stop: threading.Event,
    ) -> None:  # fmt: skip
        """Work until ``stop``."""
        while not stop.is_set():
            self._due.wait(_LOOK_S)
            self._due.clear()
            waiting, self._waiting = self._waiting, None
            before = self._kept
            if waiting is not None:
                self._take(waiting, apply)
            self._watch(apply, trouble)
            if self._kept != before:
                on_change()

    def _take(self, sent: DeviceConfig | str, apply: Callable[[AgentConfig], None]) -> None:
        if isinstance(sent, str):
            self._change(unreadable(self._kept, sent, self._by))
            return
        running = self._kept.running
        kept = offered(self._kept, sent, self._fault(sent), self._by)
        self._change(kept)
        if kept.running != running:
            self._apply_or_go_back(apply)
            self._until_s = time.monotonic() + self._trial_s

    def _watch(self, apply: Callable[[AgentConfig], None], trouble: Callable[[], str | None]) -> None:
        if self._kept.trial is None:
            return
        cause = trouble()
        if cause is not None:
            self._change(failed(self._kept, cause, self._by))
            self._apply_or_go_back(apply)
        elif self._until_s is not None and time.monotonic() >= self._until_s:
            self._change(passed(self._kept))

    def _apply_or_go_back(self, apply: Callable[[AgentConfig], None]) -> None:
        try:
            apply(overlaid(self._own, self._kept.running))
        except (ValueError, OSError) as error:
            if not self._kept.running.settings:
                raise
            self._change(failed(self._kept, str(error), self._by))
            self._apply_or_go_back(apply)

    def _fault(self, config: DeviceConfig) -> str | None:
        try:
            overlaid(self._own, config)
        except ConfigError as error:
            return str(error)
        return None

    def _change(self, kept: Kept) -> None:
        if kept == self._kept:
            return
        self._kept = kept
        told = report(kept)
        log.info(
            "configuration", version=told.version, on_trial=told.on_trial, error=told.error,
            device=f"{self._own.site}.{self._own.device}",
        )  # fmt: skip
        self._write()

    def _write(self) -> None:
        """Write whole or not at all; a disk that is full does not keep the agent from measuring."""
        if self._kept == Kept() and not self._path.exists():
            return
        draft = self._path.with_name(self._path.name + ".new")
        try:
            with draft.open("wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(self._kept)))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            log.error("the configuration could not be kept; a restart forgets it", cause=str(error))


def overlaid(own: AgentConfig, config: DeviceConfig) -> AgentConfig:
    """Return the device's own configuration with the server's settings over it. Raises :class:`ConfigError`."""
    if not config.settings:
        return own
    if found := faults(config.settings):  # also of what was kept: by a later release, it may be
        raise ConfigError("; ".join(found))
    table: dict[str, Any] = msgspec.to_builtins(own)
    for key, value in config.settings.items():
        part, _, rest = key.partition(".")
        if not rest:
            table[key] = value
        elif part == "water":
            for meter in (table["water"] or {}).get("meters", ()):
                meter[rest] = value
        elif table[part] is not None:
            _put(table[part], rest.split("."), value)
    return from_table(table, f"version {config.version} over the device's own configuration")


def _put(table: dict[str, Any], path: list[str], value: object) -> None:
    for step in path[:-1]:
        table = table[step]
    table[path[-1]] = value


def _read(path: Path) -> Kept:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Kept)
    except FileNotFoundError:
        return Kept()
    except (OSError, ValueError) as error:
        log.error(
            "the kept configuration cannot be read; the device's own runs", file=str(path), cause=str(error)
        )
        with contextlib.suppress(OSError):
            path.replace(path.with_name(path.name + ".unreadable"))
        return Kept()
