"""A child process that is kept running: started again when it ends, ended with us."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog

from app.broker import dying_with_parent

log = structlog.get_logger(__name__)

_RESTART_FIRST_S: Final = 1.0
_RESTART_MOST_S: Final = 60.0
_STEADY_S: Final = 120.0
"""A child that lived this long begins again with the shortest back-off."""
_POLL_S: Final = 0.5


class SupervisedChild:
    """Runs ``command``, its output appended to ``log_path``, until :meth:`stop`."""

    def __init__(
        self, name: str, command: Sequence[str], log_path: Path, *, stop_timeout_s: float = 15.0
    ) -> None:
        self._name = name
        self._command = [*dying_with_parent(), *command]
        self._log_path = log_path
        self._stop_timeout_s = stop_timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"child-{name}", daemon=True)
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start it, in a thread that lives as long as the child may (the kernel ends the child with it)."""
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end, wait, and kill it if it does not."""
        self._stop.set()
        process = self._process
        if process and process.poll() is None:
            process.terminate()
            try:
                process.wait(self._stop_timeout_s)
            except subprocess.TimeoutExpired:
                log.warning("child does not end and is killed", child=self._name)
                process.kill()
                process.wait(5)
        if self._thread.is_alive():
            self._thread.join(5)

    def _run(self) -> None:
        wait_s = _RESTART_FIRST_S
        while not self._stop.is_set():
            started = time.monotonic()
            code = self._run_once()
            if self._stop.is_set():
                return
            wait_s = (
                _RESTART_FIRST_S
                if time.monotonic() - started > _STEADY_S
                else min(_RESTART_MOST_S, wait_s * 2)
            )
            log.error(
                "child ended and is started again", child=self._name, exit_code=code, after_s=wait_s,
                log=str(self._log_path),
            )  # fmt: skip
            self.restarts += 1
            self._stop.wait(wait_s)

    def _run_once(self) -> int | str:
        try:
            with self._log_path.open("ab") as output:
                # A session of its own: Ctrl-C is for us, and we end our children in the right order.
                self._process = subprocess.Popen(
                    self._command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )  # fmt: skip
        except OSError as error:
            return str(error)
        while self._process.poll() is None and not self._stop.wait(_POLL_S):
            pass
        return self._process.returncode if self._process.returncode is not None else "running"
