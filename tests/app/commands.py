"""Runs the ``quietwater`` command as a person would, in processes that end with the test."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

WAIT_S = 120.0


def wait_for(condition: Callable[[], object], what: str, timeout_s: float = WAIT_S) -> object:
    """Return the first true value of ``condition``; fail with ``what`` after the time-out."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        threading.Event().wait(0.05)
    raise AssertionError(f"waited {timeout_s:.0f} s in vain for {what}")


class Command:
    """A running ``quietwater``; its output is kept line by line."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __repr__(self) -> str:
        return f"quietwater {' '.join(self._arguments)}"

    def until(self, pattern: str, timeout_s: float = WAIT_S) -> re.Match[str]:
        """Wait for a line that matches; fail with the output when the process ends before."""

        def seen() -> re.Match[str] | None:
            for line in list(self.lines):
                if match := re.search(pattern, line):
                    return match
            if self.process.poll() is not None and not self._reader.is_alive():
                raise AssertionError(
                    f"{self!r} ended with {self.process.returncode}:\n" + "\n".join(self.lines)
                )
            return None

        found = wait_for(seen, f"{pattern!r} from {self!r}", timeout_s)
        assert isinstance(found, re.Match)
        return found

    def stop(self, number: int = signal.SIGINT, timeout_s: float = 30.0) -> int:
        """Send a signal and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(timeout_s)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self._reader.join(5)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))


@contextmanager
def running(*arguments: str) -> Iterator[Command]:
    """Run a command for the length of a block; it is ended in any case."""
    command = Command(*arguments)
    try:
        yield command
    finally:
        command.stop()


def run(*arguments: str, data: Path | None = None, expect: int = 0) -> str:
    """Run a command to its end and return its output; ``data`` is the folder for ``admin``."""
    words = list(arguments)
    if data is not None:
        words[1:1] = ["--data", str(data)]
    done = subprocess.run(
        [sys.executable, "-m", "app", *words], capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr
