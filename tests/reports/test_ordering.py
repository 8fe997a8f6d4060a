"""Ordering reports: the desk's bounds, the routes, who may see what, the command line."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from fastapi import FastAPI

from analysis.report.model import Report
from api.app import create_app
from api.context import ApiContext
from api.reports.desk import KEPT, MOST_OF_ONE, MOST_WAITING, DeskFull, Order, ReportDesk, Ticket
from app.cli import main
from store.registry.database import Registry
from store.registry.models import AuditEntry
from store.registry.tokens import make_token
from store.registry.users import find_user
from store.series.interface import StoreUnavailable
from tests.api import seeding
from tests.api.conftest import Person, Served, SetClock, served
from tests.reports.test_rendering import small

__all__ = ["served"]
ORDER = Order(kind="quarter", site="jing-yuan", period="2026-03", language="zh", format="xlsx")


def over(desk: ReportDesk, ticket: Ticket, within_s: float = 60.0) -> Ticket:
    """Wait until a report is done or failed."""
    deadline = time.monotonic() + within_s
    while True:
        found = desk.find(ticket.id)
        assert found is not None
        if found.over:
            return found
        assert time.monotonic() < deadline, found
        threading.Event().wait(0.02)


class Gate:
    """A builder that waits until it is let through."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def __call__(self, _order: Order, progress: Callable[[float], None]) -> Report:
        progress(0.5)
        self.entered.release()
        assert self.go.acquire(timeout=30)
        return small()


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def desk(gate: Gate, tmp_path: Path) -> Iterator[ReportDesk]:
    desk = ReportDesk(gate, SetClock(), tmp_path / "reports")
    yield desk
    for _ in range(100):
        gate.go.release()
    desk.close()


def order(n: int) -> Order:
    return msgspec.structs.replace(ORDER, period=f"{2000 + n}")


# -- the desk --------------------------------------------------------------------------------------------------


def test_a_report_goes_its_way(desk: ReportDesk, gate: Gate) -> None:
    ticket = desk.submit(ORDER, "li")
    assert gate.entered.acquire(timeout=60)
    found = desk.find(ticket.id)
    assert found is not None and (found.state, found.progress) == ("gathering", 0.3)
    assert desk.file(found) is None
    gate.go.release()
    done = over(desk, ticket)
    assert (done.state, done.progress, done.file_name) == ("done", 1.0, "r.xlsx")
    path = desk.file(done)
    assert path is not None and path.stat().st_size == done.size_bytes > 1000


def test_the_same_order_is_made_once(desk: ReportDesk, gate: Gate) -> None:
    first = desk.submit(ORDER, "li")
    assert desk.submit(ORDER, "li").id == first.id
    assert desk.submit(ORDER, "wang").id != first.id
    gate.go.release()
    over(desk, first)
    assert desk.submit(ORDER, "li").id != first.id


def test_the_queue_is_bounded_for_one_and_for_all(desk: ReportDesk) -> None:
    for n in range(MOST_OF_ONE):
        desk.submit(order(n), "li")
    with pytest.raises(DeskFull, match="you have 3 reports under way"):
        desk.submit(order(50), "li")
    for n in range(MOST_WAITING - MOST_OF_ONE):
        desk.submit(order(n), f"person-{n}")
    with pytest.raises(DeskFull, match="try again in a minute"):
        desk.submit(ORDER, "zhao")


def test_a_stop_says_so_to_what_waited(gate: Gate, tmp_path: Path) -> None:
    desk = ReportDesk(gate, SetClock(), tmp_path)
    tickets = [desk.submit(order(n), "li") for n in range(2)]
    assert gate.entered.acquire(timeout=60)
    gate.go.release()
    gate.go.release()
    desk.close()
    with pytest.raises(DeskFull, match="stopping"):
        desk.submit(ORDER, "li")
    later = ReportDesk(gate, SetClock(), tmp_path)
    found = later.find(tickets[1].id)
    assert found is not None and (found.state, found.error_code) == ("failed", "interrupted")


def test_what_was_made_is_there_after_a_restart(desk: ReportDesk, gate: Gate, tmp_path: Path) -> None:
    gate.go.release()
    done = over(desk, desk.submit(ORDER, "li"))
    (tmp_path / "reports" / "broken.json").write_text("{")
    later = ReportDesk(gate, SetClock(), tmp_path / "reports")
    found = later.find(done.id)
    assert found == done and later.file(done) is not None


def test_old_reports_go(gate: Gate, tmp_path: Path) -> None:
    for n in range(KEPT + 5):
        ticket = Ticket(id=f"{n:016x}", order=ORDER, made_by="li", asked_at=seeding.NOW + timedelta(seconds=n),
                        state="done", file_name="x.xlsx")  # fmt: skip
        (tmp_path / f"{ticket.id}.json").write_bytes(msgspec.json.encode(ticket))
        (tmp_path / f"{ticket.id}.xlsx").write_bytes(b"x")
    desk = ReportDesk(gate, SetClock(seeding.NOW + timedelta(days=1)), tmp_path)
    gate.go.release()
    newest = over(desk, desk.submit(ORDER, "li"))
    desk.close()
    kept = [one.id for one in desk.tickets()]
    assert len(kept) == KEPT and kept[0] == newest.id
    assert len(list(tmp_path.glob("*.xlsx"))) == len(list(tmp_path.glob("*.json"))) == KEPT


@pytest.mark.parametrize(
    ("error", "code"),
    [(StoreUnavailable("the store is away"), "store_unavailable"), (LookupError("no quarter"), "not_found"),
     (RuntimeError("a secret detail"), "internal")],
)  # fmt: skip
def test_a_failure_has_a_code_and_ends_nothing_else(error: Exception, code: str, tmp_path: Path) -> None:
    def build(_order: Order, _progress) -> Report:
        if _order.period == "2001":
            raise error
        return small()

    desk = ReportDesk(build, SetClock(), tmp_path)
    bad, good = desk.submit(order(1), "li"), desk.submit(order(2), "li")
    failed = over(desk, bad)
    assert (failed.state, failed.error_code) == ("failed", code)
    assert "secret" not in failed.error
    assert over(desk, good).state == "done"
    desk.close()


def test_a_folder_that_takes_nothing_costs_one_report_and_not_the_desk(tmp_path: Path) -> None:
    folder = tmp_path / "reports"

    def build(order: Order, _progress: Callable[[float], None]) -> Report:
        if order.period == "2001":
            shutil.rmtree(folder)
            folder.write_text("not a folder any more")
        else:
            folder.unlink()
            folder.mkdir()
        return small()

    desk = ReportDesk(build, SetClock(), folder)
    bad, good = desk.submit(order(1), "li"), desk.submit(order(2), "li")
    assert over(desk, bad).state == "failed"
    assert over(desk, good).state == "done"
    desk.close()


def test_a_report_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    desk = ReportDesk(lambda *_: small(), SetClock(), tmp_path, render_timeout_s=0.001)
    failed = over(desk, desk.submit(ORDER, "li"))
    assert (failed.state, failed.error_code) == ("failed", "too_long")
    assert not list(tmp_path.glob("*.part")) and not list(tmp_path.glob("*.xlsx"))
    desk.close()


# -- routes ----------------------------------------------------------------------------------------------------


@pytest.fixture
def app(context: ApiContext) -> Iterator[FastAPI]:
    app = create_app(context)
    yield app
    app.state.reports.close()


def made(app: FastAPI, who: Person, path: str, **body) -> dict:
    answer = who.send("POST", path, {"format": "xlsx", **body})
    assert answer.status_code == 202, answer.text
    over(app.state.reports, app.state.reports.find(answer.json()["id"]))
    return who.get(f"/reports/{answer.json()['id']}").json()


def test_a_report_is_ordered_and_downloaded(app: FastAPI, context: ApiContext) -> None:
    who = Person(app, "viewer")
    done = made(app, who, "/sites/jing-yuan/reports", period="2026-03", language="en")
    assert (done["state"], done["file_name"]) == ("done", "quietwater-jing-yuan-2026-03-en.xlsx")
    answer = who.get(f"/reports/{done['id']}/file")
    assert answer.status_code == 200 and len(answer.content) == done["size_bytes"]
    assert answer.headers["content-disposition"] == f'attachment; filename="{done["file_name"]}"'
    assert answer.headers["content-type"].startswith("application/vnd.openxmlformats")
    assert [one["id"] for one in who.get("/reports", site="jing-yuan").json()["items"]] == [done["id"]]
    with context.registry.reader() as session:
        entry = session.query(AuditEntry).filter(AuditEntry.action == "report.order").one()
    assert (entry.who, entry.target) == ("viewer", f"report:{done['id']}")


def test_reports_are_seen_by_those_who_see_the_quarter(app: FastAPI) -> None:
    bureau, manager = Person(app, "bureau"), Person(app, "manager")
    other = made(app, bureau, "/sites/hu-pan/reports", period="2026-03")
    city = made(app, bureau, "/reports", period="2026-03")
    assert (city["state"], city["site"], city["kind"]) == ("done", None, "city")
    own = made(app, bureau, "/sites/jing-yuan/reports", period="2026-02")
    assert [one["id"] for one in manager.get("/reports").json()["items"]] == [own["id"]]
    for hidden in (other, city):
        for path in (f"/reports/{hidden['id']}", f"/reports/{hidden['id']}/file"):
            assert manager.get(path).json()["code"] == "not_found"
    assert manager.get("/reports", site="hu-pan").status_code == 404
    assert manager.send("POST", "/sites/hu-pan/reports", {"period": "2026-03"}).status_code == 404
    assert manager.send("POST", "/reports", {"period": "2026-03"}).status_code == 403
    assert manager.get(f"/reports/{own['id']}/file").status_code == 200


@pytest.mark.parametrize(
    "body", [{"period": "2026-13"}, {}, {"period": "2026", "format": "docx"}, {"period": "2026", "language": "fr"}]
)  # fmt: skip
def test_an_order_that_fits_nothing_is_refused(app: FastAPI, body: dict) -> None:
    answer = Person(app, "viewer").send("POST", "/sites/jing-yuan/reports", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


@pytest.mark.parametrize("name", ["..", "0123456789abcdeg", "0123456789ABCDEF", "%2e%2e%2fregistry"])
def test_an_id_is_never_a_path(app: FastAPI, name: str) -> None:
    assert Person(app, "admin").get(f"/reports/{name}/file").status_code in (404, 422)


def test_a_report_that_is_not_ready_says_so(app: FastAPI, gate: Gate) -> None:
    app.state.reports._build = gate
    who = Person(app, "viewer")
    asked = who.send("POST", "/sites/jing-yuan/reports", {"period": "2026-03", "format": "xlsx"}).json()
    answer = who.get(f"/reports/{asked['id']}/file")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_possible")
    for n in range(MOST_OF_ONE - 1):
        who.send("POST", "/sites/jing-yuan/reports", {"period": f"202{n}", "format": "xlsx"})
    full = who.send("POST", "/sites/jing-yuan/reports", {"period": "2026-01", "format": "xlsx"})
    assert (full.status_code, full.json()["code"]) == (503, "too_many_reports")
    assert full.headers["retry-after"] == "30"
    for _ in range(10):
        gate.go.release()


def test_a_server_without_pango_says_what_it_lacks(
    app: FastAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "lib" / "weasyprint"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise OSError(\"cannot load library 'libpango-1.0-0'\")")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lib"))
    who = Person(app, "viewer")
    answer = who.send("POST", "/sites/jing-yuan/reports", {"period": "2026-03"})
    assert answer.status_code == 503 and answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "pdf_impossible"
    assert "apt-get install libpango-1.0-0" in answer.json()["detail"]
    assert (
        who.send("POST", "/sites/jing-yuan/reports", {"period": "2026-03", "format": "xlsx"}).status_code
        == 202
    )


# -- the command line ------------------------------------------------------------------------------------------


@pytest.fixture
def data(registry: Registry, tmp_path: Path) -> Path:
    """A data folder with the seeded registry and an empty series store."""
    registry.close()
    return tmp_path / "registry"


def run(*arguments: str, **more):
    return CliRunner().invoke(main, ["report", *arguments], **more)


def test_the_command_writes_a_file(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.xlsx"
    done = run("quarter", "jing-yuan", "--month", "2026-03", "--lang", "en", "--format", "xlsx", "--data", str(data),
               "--out", str(out))  # fmt: skip
    assert done.exit_code == 0, done.output
    assert out.read_bytes()[:2] == b"PK" and str(out) in done.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["quarter", "jing-yuan"], "--month 2026-10 or --year 2026"),
        (["quarter", "jing-yuan", "--month", "2026"], "give it as --year"),
        (["quarter", "jing-yuan", "--month", "Okt"], "no month and no year"),
        (["quarter", "nowhere", "--month", "2026-03"], "there is no quarter 'nowhere'"),
        (["all", "--month", "2026-03", "--server", "http://127.0.0.1:9"], "QUIETWATER_TOKEN"),
    ],
)
def test_the_command_says_what_is_wrong_in_a_line(data: Path, arguments: list[str], told: str) -> None:
    done = run(*arguments, "--data", str(data))
    assert done.exit_code != 0 and told in done.output and "Traceback" not in done.output


def test_a_server_that_is_not_there_is_told(data: Path) -> None:
    done = run("all", "--month", "2026-03", "--server", "http://127.0.0.1:9", env={"QUIETWATER_TOKEN": "t"})
    assert done.exit_code == 1 and "no server answers at http://127.0.0.1:9" in done.output


def test_no_folder_is_told(tmp_path: Path) -> None:
    done = run("all", "--month", "2026-03", "--data", str(tmp_path / "none"))
    assert done.exit_code == 1 and "there is no registry in" in done.output


def test_a_running_server_makes_it_for_a_program(served: Served, tmp_path: Path) -> None:
    """The command with --server: the embedded store belongs to the server's process."""
    with served.context.registry.session() as session:
        user = find_user(session, "viewer")
        assert user is not None
        _, token = make_token(
            session, user.id, "monthly", ["read"], now=served.context.wall.now(), valid_for=timedelta(days=1)
        )
    out = tmp_path / "dossier.xlsx"
    asked = ("--format", "xlsx", "--server", served.address, "--out", str(out))
    done = run("dossier", "jing-yuan", "quiet-2002", *asked, env={"QUIETWATER_TOKEN": token})
    assert done.exit_code == 0, done.output
    assert out.read_bytes()[:2] == b"PK"
    for arguments, told in (
        (("all", "--month", "2026-03"), "the server refused (403)"),
        (("quarter", "hu-pan", "--month", "2026-03"), "the server refused (404)"),
        (("dossier", "jing-yuan", "quiet-2002", "--version", "9"), "there is no version 9"),
    ):
        refused = run(*arguments, *asked, env={"QUIETWATER_TOKEN": token})
        assert refused.exit_code == 1 and told in refused.output
