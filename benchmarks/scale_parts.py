"""Parts of Quietwater as processes of their own for the benchmarks of scale, and what each of them uses."""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.broker import wait_for

PROJECT = Path(__file__).parents[1]


class Part:
    """A process; where a wrapper starts the real one, ``find`` is part of that one's name."""

    def __init__(
        self, name: str, command: list[str], log: Path, env: dict[str, str] | None = None, find: str = ""
    ):
        self.name, self.log, self._find = name, log, find
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd=PROJECT,
                env={**os.environ, **(env or {})},
            )  # fmt: skip

    def watched(self) -> psutil.Process:
        process = psutil.Process(self.process.pid)
        if self._find:
            return next(one for one in process.children(recursive=True) if self._find in one.name())
        return process

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def until(self, pattern: str, timeout_s: float = 120) -> None:
        """Wait for a line of its output."""

        def seen() -> bool:
            if self.process.poll() is not None:
                raise SystemExit(f"{self.name} ended:\n{self.log.read_text(errors='replace')[-2000:]}")
            return re.search(pattern, self.log.read_text(errors="replace")) is not None

        wait_for(seen, timeout_s, f"{pattern!r} from {self.name}")


@contextmanager
def part(stack_folder: Path, name: str, *arguments: str, env: dict[str, str] | None = None) -> Iterator[Part]:
    """Run a ``quietwater`` command for the length of a block."""
    one = Part(name, [sys.executable, "-m", "app", *arguments], stack_folder / f"{name}.log", env)
    try:
        yield one
    finally:
        one.end()


def program(name: str, package: str) -> str:
    """Return a program's path, or end with what to install."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if path is None:
        raise SystemExit(f"{name} is not installed; on Debian: apt-get install {package}")
    return path


def metrics(port: int) -> dict[str, float]:
    """Return the numbers without labels of a part's metrics page; none while it does not answer."""
    with (
        suppress(OSError),
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer,
    ):
        lines = answer.read().decode().splitlines()
        return {
            name: float(value)
            for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))
            if "{" not in name
        }
    return {}


@dataclass
class Usage:
    """Memory (MB) and processor time (s) of one process, as sampled; times are seconds since the first sample."""

    at_s: list[float] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def used_cpu_s(self) -> float:
        return self.cpu_s[-1] - self.cpu_s[0] if self.cpu_s else 0.0

    def slope_mb_min(self) -> float:
        """Return how memory moves in the second half of the samples, MB a minute."""
        half = len(self.at_s) // 2
        if len(self.at_s) - half < 3:
            return float("nan")
        return 60 * statistics.linear_regression(self.at_s[half:], self.rss_mb[half:]).slope


class Watch:
    """Samples processes in a thread."""

    def __init__(self, processes: dict[str, psutil.Process], every_s: float = 10.0):
        self.usage = {name: Usage() for name in processes}
        self._processes, self._every_s = processes, every_s
        self._stop = threading.Event()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self.sample()
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self.sample()

    def sample(self) -> None:
        at_s = time.monotonic() - self._began
        for name, process in self._processes.items():
            with suppress(psutil.Error):
                times = process.cpu_times()
                usage = self.usage[name]
                usage.rss_mb.append(process.memory_info().rss / 1e6)
                usage.cpu_s.append(times.user + times.system)
                usage.at_s.append(at_s)

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self.sample()


def on_two_cores() -> None:
    """Keep this process and all that it starts to two processors."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
