"""Takes orders for reports, has them made one after the other in the background, and keeps the files.

The queue is bounded: an order that does not fit is refused at once. Facts are gathered in one thread, rendering runs in
a process of its own (``api.reports.worker``), so neither holds the event loop. What was made is kept beside a JSON that
describes it, the newest ``KEPT`` of them; an order that a stop of the server interrupted says so.
"""

from __future__ import annotations

import hashlib
import secrets
import tempfile
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import msgspec
import structlog

from analysis.dossier.snapshot import BrokenSnapshot
from analysis.report.model import Language, Report, encode
from api.reports.pdf import PdfImpossible
from api.reports.worker import Renderer, RenderFailed, RenderTimeout
from contract.clock import Clock
from store.registry.database import RegistryUnavailable
from store.series.interface import StoreUnavailable

log = structlog.get_logger(__name__)

MOST_WAITING: Final = 8
MOST_OF_ONE: Final = 3
"""Unfinished orders that one person may have."""
KEPT: Final = 200
RENDER_TIMEOUT_S: Final = 300.0
_INTERRUPTED: Final = (
    "interrupted", "the server was stopped while this report was made; ask for it again"
)  # fmt: skip
"""Code and words of what a stop of the server ended."""

Kind = Literal["quarter", "city", "dossier"]
Form = Literal["pdf", "xlsx"]
State = Literal["waiting", "gathering", "rendering", "done", "failed"]
Progress = Callable[[float], None]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted.

    ``site`` is ``None`` for all quarters, ``period`` a month, a year, or a dossier's programme; ``version`` is a frozen
    version of that, ``None`` for the dossier as it is now.
    """

    kind: Kind
    site: str | None
    period: str
    language: Language
    format: Form
    version: int | None = None


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """An order and what became of it. ``error_code`` and ``error`` say why one failed."""

    id: str
    order: Order
    made_by: str
    asked_at: datetime
    state: State = "waiting"
    progress: float = 0.0
    finished_at: datetime | None = None
    file_name: str = ""
    size_bytes: int = 0
    sha256: str = ""
    error_code: str = ""
    error: str = ""

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ("done", "failed")


class DeskFull(Exception):
    """There is no room for another order now; the text says why."""


Build = Callable[[Order, Progress], Report]
"""Gathers an order's facts and builds its tree. Raises ``LookupError`` where there is nothing to report on."""


class ReportDesk:
    """Orders, newest last. Every method may be called from any thread."""

    def __init__(
        self,
        build: Build,
        wall: Clock,
        folder: Path | None = None,
        *,
        render_timeout_s: float = RENDER_TIMEOUT_S,
    ) -> None:
        """Read what is there in ``folder``; without one, reports last as long as the process."""
        self._build = build
        self._wall = wall
        self._renderer = Renderer(render_timeout_s)
        self._lock = threading.Lock()
        self._queue: deque[str] = deque()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._own: tempfile.TemporaryDirectory[str] | None = None
        self._folder = folder
        self._tickets = _kept(folder) if folder is not None else OrderedDict()

    def submit(self, order: Order, made_by: str) -> Ticket:
        """Take an order; the same one that still waits or runs is returned as it is. Raises :class:`DeskFull`."""
        with self._lock:
            if self._closed:
                raise DeskFull("the server is stopping")
            unfinished = [one for one in self._tickets.values() if not one.over]
            for one in unfinished:
                if one.order == order and one.made_by == made_by:
                    return one
            if sum(one.made_by == made_by for one in unfinished) >= MOST_OF_ONE:
                raise DeskFull(f"you have {MOST_OF_ONE} reports under way; wait for one of them")
            if len(unfinished) >= MOST_WAITING:
                raise DeskFull(f"{MOST_WAITING} reports are under way already; try again in a minute")
            ticket = Ticket(id=secrets.token_hex(8), order=order, made_by=made_by, asked_at=self._wall.now())
            self._tickets[ticket.id] = ticket
            self._write(ticket)
            self._queue.append(ticket.id)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="reports", daemon=True)
                self._thread.start()
            return ticket

    def tickets(self) -> Sequence[Ticket]:
        """Return all orders that are kept, newest first."""
        with self._lock:
            return list(reversed(self._tickets.values()))

    def find(self, ticket_id: str) -> Ticket | None:
        """Return one order."""
        with self._lock:
            return self._tickets.get(ticket_id)

    def file(self, ticket: Ticket) -> Path | None:
        """Return the file of an order that is done, if it is still there."""
        path = self._file(ticket)
        return path if ticket.state == "done" and path.is_file() else None

    def close(self) -> None:
        """Stop: what runs is ended, what waits says that it was interrupted."""
        with self._lock:
            self._closed = True
            thread = self._thread
        self._renderer.stop()
        if thread is not None:
            thread.join(10.0)
        if self._own is not None:
            self._own.cleanup()

    # -- inside --------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._queue or self._closed:
                    self._thread = None
                    return
                ticket = self._tickets[self._queue.popleft()]
            self._make(ticket)

    def _make(self, ticket: Ticket) -> None:
        def progress(share: float) -> None:
            self._change(ticket.id, state="gathering", progress=round(0.6 * share, 3))

        try:
            progress(0.0)
            report = self._build(ticket.order, progress)
            self._change(ticket.id, state="rendering", progress=0.7)
            path = self._file(ticket)
            self._renderer.render(encode(report), ticket.order.format, path)
            body = path.read_bytes()
            self._change(
                ticket.id, state="done", progress=1.0, finished_at=self._wall.now(), size_bytes=len(body),
                sha256=hashlib.sha256(body).hexdigest(), file_name=f"{report.file_name}.{ticket.order.format}",
            )  # fmt: skip
        except Exception as error:
            self._fail(ticket, error)

    def _fail(self, ticket: Ticket, error: Exception) -> None:
        code, told = _code(error), str(error)
        if self._closed:
            code, told = _INTERRUPTED
        elif code == "internal":
            log.exception("a report could not be made", report=ticket.id)
            told = "the server failed at this report; the cause is in its log"
        self._change(
            ticket.id, state="failed", finished_at=self._wall.now(), error_code=code, error=told[:500]
        )

    def _change(self, ticket_id: str, **changes: object) -> None:
        with self._lock:
            ticket = msgspec.structs.replace(self._tickets[ticket_id], **changes)
            self._tickets[ticket_id] = ticket
            if ticket.over:
                self._write(ticket)
                self._forget_oldest()

    def _forget_oldest(self) -> None:
        over = [one for one in self._tickets.values() if one.over]
        for one in over[: max(0, len(over) - KEPT)]:
            del self._tickets[one.id]
            try:
                self._file(one).unlink(missing_ok=True)
                self._note(one.id).unlink(missing_ok=True)
            except OSError as error:
                log.warning("an old report cannot be removed", report=one.id, cause=str(error))

    def _write(self, ticket: Ticket) -> None:
        """Describe an order for the next start; a disk that takes nothing must not cost the orders of this one."""
        try:
            note = self._note(ticket.id)
            note.parent.mkdir(parents=True, exist_ok=True)
            part = note.with_suffix(".new")
            part.write_bytes(msgspec.json.encode(ticket))
            part.replace(note)
        except OSError as error:
            log.warning("a report's description cannot be kept", report=ticket.id, cause=str(error))

    def _file(self, ticket: Ticket) -> Path:
        return self._place() / f"{ticket.id}.{ticket.order.format}"

    def _note(self, ticket_id: str) -> Path:
        return self._place() / f"{ticket_id}.json"

    def _place(self) -> Path:
        if self._folder is None:
            self._own = tempfile.TemporaryDirectory(prefix="quietwater-reports-")
            self._folder = Path(self._own.name)
        return self._folder


def _kept(folder: Path) -> OrderedDict[str, Ticket]:
    """Read the orders of earlier runs, oldest first; one that was not finished was interrupted."""
    found: list[Ticket] = []
    for note in folder.glob("*.json"):
        try:
            ticket = msgspec.json.decode(note.read_bytes(), type=Ticket)
        except (msgspec.DecodeError, OSError) as error:
            log.warning("a report's description is not understood", file=note.name, cause=str(error))
            continue
        if not ticket.over:
            code, told = _INTERRUPTED
            ticket = msgspec.structs.replace(ticket, state="failed", error_code=code, error=told)
        found.append(ticket)
    return OrderedDict((one.id, one) for one in sorted(found, key=lambda one: one.asked_at))


def _code(error: Exception) -> str:
    match error:
        case PdfImpossible():
            return "pdf_impossible"
        case RenderTimeout():
            return "too_long"
        case RenderFailed():
            return "not_rendered"
        case LookupError():
            return "not_found"
        case StoreUnavailable() | RegistryUnavailable():
            return "store_unavailable"
        case BrokenSnapshot():
            return "broken_version"
    return "internal"
