"""Starts the process that renders, waits for it within bounds, and says what became of it."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

from api.reports.child import PDF_IMPOSSIBLE
from api.reports.pdf import PdfImpossible

_COMMAND: Final = (sys.executable, "-m", "api.reports.child")
CHECK_TIMEOUT_S: Final = 60.0


class RenderFailed(Exception):
    """The report could not be rendered; the text says why."""


class RenderTimeout(RenderFailed):
    """Rendering took longer than it may, and was stopped."""


class Renderer:
    """Renders one report at a time in a child; :meth:`stop` ends the one that runs."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def render(self, tree: bytes, form: str, target: Path) -> None:
        """Render to ``target``, which is there only once whole. Raises ``PdfImpossible``, :class:`RenderFailed`."""
        with self._lock:
            if self._stopped:
                raise RenderFailed("the server is stopping")
            child = subprocess.Popen(
                [*_COMMAND, form, str(target)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )  # fmt: skip
            self._child = child
        try:
            _, told = child.communicate(tree, timeout=self._timeout_s)
        except subprocess.TimeoutExpired:
            raise RenderTimeout(
                f"rendering took longer than {self._timeout_s:.0f} s and was stopped; ask for a month instead of a year"
            ) from None
        finally:
            _end(child)
            target.with_suffix(".part").unlink(missing_ok=True)
        _demand(child.returncode, told)

    def stop(self) -> None:
        """End the child that runs, and start none any more."""
        with self._lock:
            self._stopped = True
            if self._child is not None and self._child.poll() is None:
                self._child.kill()


def check_pdf() -> None:
    """Ask in a child whether this machine can make PDFs. Raises ``PdfImpossible`` that names the missing packages."""
    try:
        done = subprocess.run(
            [*_COMMAND, "check"], capture_output=True, timeout=CHECK_TIMEOUT_S, check=False
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise RenderTimeout(f"the trial of a PDF took longer than {CHECK_TIMEOUT_S:.0f} s") from None
    _demand(done.returncode, done.stderr)


def _demand(code: int, told: bytes) -> None:
    words = told.decode("utf-8", "replace").strip()
    if code == PDF_IMPOSSIBLE:
        raise PdfImpossible(words)
    if code != 0:
        raise RenderFailed(words.splitlines()[-1][:300] if words else f"the renderer ended with {code}")


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.kill()
    child.wait()
