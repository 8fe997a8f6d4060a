"""The folder of a broker of one's own, kept by ``admin mosquitto`` and ``admin nats``: files whole, and read anew."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import click

_WATCH_S: Final = 2.0


def keep_written(turn: Callable[[], tuple[str, ...]], out: Path, *, watch: bool) -> None:
    """Call ``turn`` once, or every two seconds until SIGTERM or Ctrl-C; say each of its complaints when it is new.

    Raises ``ClickException`` where a file cannot be written.
    """
    stop = threading.Event()
    if watch:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
    told: tuple[str, ...] = ()
    try:
        while True:
            complaints = turn()
            for text in complaints:
                if text not in told:
                    click.echo(text, err=True)
            told = complaints
            if not watch or stop.wait(_WATCH_S):
                return
    except OSError as error:
        raise click.ClickException(
            f"{error.filename or out}: {error.strerror}; run this with sudo?"
        ) from error


def write_files(out: Path, texts: Mapping[str, str], group: str) -> list[str]:
    """Write the files that are different, for the folder's owner and the broker's group alone; return their names."""
    out.mkdir(parents=True, exist_ok=True)
    return [name for name, text in texts.items() if _write(out / name, text, group)]


def tell_to_reload(pid_file: Path, broker: str) -> None:
    """Send the broker of a pid file SIGHUP, or say that it was not told."""
    try:
        os.kill(int(pid_file.read_text()), signal.SIGHUP)
    except (OSError, ValueError) as error:
        click.echo(f"{broker} was not told to read the files anew ({pid_file}: {error})", err=True)


def _write(path: Path, text: str, group: str) -> bool:
    with suppress(FileNotFoundError):
        if path.read_text() == text:
            return False
    draft = path.with_name(path.name + ".new")
    draft.touch(mode=0o640)
    draft.chmod(0o640)
    with draft.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())  # after a cut of power a file is the old one or the new one, and never empty
    if os.geteuid() == 0:
        # Who keeps the folder goes on with what root begins.
        shutil.chown(draft, path.parent.stat().st_uid, path.parent.stat().st_gid)
        with suppress(LookupError):  # no such group: the broker runs as somebody else
            shutil.chown(draft, group=group)
    draft.replace(path)
    return True
