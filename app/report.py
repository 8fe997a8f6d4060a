"""``quietwater report``: reports from the data folder, or from a server that runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from app.server_registry import open_registry
from app.settings import DEFAULT_DATA
from app.store_option import store_option
from store.registry.option import registry_option
from store.series.address import StoreAddress

TOKEN_VARIABLE: Final = "QUIETWATER_TOKEN"  # noqa: S105  the name of a variable


@click.group()
def report() -> None:
    """Monthly and yearly reports, on a quarter or on all of them, and dossiers, as PDF or XLSX.

    Without --server the stores are opened here. The embedded store belongs to one process: while a server runs on it,
    have that server make the report with --server; its token comes from QUIETWATER_TOKEN (made on the page, under the
    user's name).

    \b
    Examples:
      quietwater report quarter lake-side --month 2026-10
      quietwater report quarter lake-side --year 2026 --lang en --format xlsx --out lake-side.xlsx
      quietwater report dossier lake-side quiet-2002
      quietwater report all --month 2026-10 --server http://127.0.0.1:8080
    """


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    command = _with_common(command)
    command = click.option("--year", metavar="2026", help="A calendar year.")(command)
    return click.option("--month", metavar="2026-10", help="A calendar month.")(command)


def _with_common(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_common()):
        command = option(command)
    return command


def _common() -> tuple[Callable[..., Any], ...]:
    return (
        click.option("--lang", "language", type=click.Choice(["zh", "en"]), default="zh", show_default=True),
        click.option("--format", "form", type=click.Choice(["pdf", "xlsx"]), default="pdf", show_default=True),
        click.option("--out", type=click.Path(dir_okay=False, path_type=Path),
                     help="File to write.  [default: the report's own name, here]"),
        click.option("--server", metavar="URL", envvar="QUIETWATER_SERVER",
                     help="Have a running server make it, such as http://127.0.0.1:8080."),
        click.option("--data", type=click.Path(file_okay=False, path_type=Path), default=DEFAULT_DATA,
                     show_default=True, envvar="QUIETWATER_DATA", help="Folder of everything that is kept."),
        registry_option,
        store_option,
    )  # fmt: skip


@report.command()
@click.argument("site")
@_options
def quarter(site: str, month: str | None, year: str | None, **options: Any) -> None:
    """Report on one quarter.

    \b
    Examples:
      quietwater report quarter lake-side --month 2026-10
      quietwater report quarter lake-side --year 2026 --lang en --format xlsx --out lake-side.xlsx
      quietwater report quarter lake-side --month 2026-10 --server http://127.0.0.1:8080
    """
    _make("quarter", site, _period(month, year), f"/api/v1/sites/{site}/reports", **options)


@report.command("all")
@_options
def all_quarters(month: str | None, year: str | None, **options: Any) -> None:
    """Report on all quarters, as the bureau needs it.

    \b
    Examples:
      quietwater report all --month 2026-10
      quietwater report all --year 2026 --format xlsx
    """
    _make("city", None, _period(month, year), "/api/v1/reports", **options)


@report.command()
@click.argument("site")
@click.argument("programme", type=click.Choice(["quiet-2002", "ningjing", "water-saving"]))
@click.option(
    "--version", type=click.IntRange(min=1), help="A frozen version.  [default: the dossier as it is now]"
)
@_with_common
def dossier(site: str, programme: str, version: int | None, **options: Any) -> None:
    """Print a quarter's dossier for an application.

    \b
    Examples:
      quietwater report dossier lake-side quiet-2002
      quietwater report dossier lake-side water-saving --version 3 --lang en --out application.pdf
    """
    path = f"/api/v1/sites/{site}/dossiers/{programme}/reports"
    _make("dossier", site, programme, path, version=version, **options)


def _period(month: str | None, year: str | None) -> str:
    from analysis.report.period import parse

    given = month or year
    if given is None or (month and year):
        raise click.UsageError("give either --month 2026-10 or --year 2026")
    try:
        period = parse(given)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if period.kind != ("month" if month else "year"):
        raise click.UsageError(f"{given!r} is a {period.kind}: give it as --{period.kind}")
    return period.name


def _make(
    kind: Any, site: str | None, period: str, path: str, *, language: Any, form: Any, out: Path | None,
    server: str | None, data: Path, store: StoreAddress | None, version: int | None = None,
) -> None:  # fmt: skip
    if server is not None:
        from app.report_remote import fetch

        what = {"version": version} if kind == "dossier" else {"period": period}
        wanted = {**what, "language": language, "format": form}
        body, name = fetch(server, path, wanted, _token(), click.echo)
    else:
        from api.reports.desk import Order

        order = Order(kind=kind, site=site, period=period, language=language, format=form, version=version)
        body, name = _local(order, data, store)
    target = out or Path(name)
    try:
        target.write_bytes(body)
    except OSError as error:
        raise click.ClickException(f"cannot write {target}: {error.strerror}") from error
    click.echo(f"{target}  {len(body):,} bytes")


def _token() -> str:
    token = os.environ.get(TOKEN_VARIABLE, "")
    if not token:
        raise click.ClickException(
            f"--server needs a token with the scope 'read' in {TOKEN_VARIABLE}; make one on the page under your name"
        )
    return token


def _local(order: Any, data: Path, store: StoreAddress | None) -> tuple[bytes, str]:
    from api.reports.build import Builder
    from api.reports.child import render
    from api.reports.pdf import PdfImpossible
    from contract.clock import SystemClock
    from store.registry.database import RegistryUnavailable
    from store.series.address import DuckDbAddress, open_store
    from store.series.interface import StoreUnavailable

    registry = open_registry(data)
    try:
        series = open_store(store or DuckDbAddress(data / "series.duckdb"))
    except StoreUnavailable as error:
        registry.close()
        raise click.ClickException(
            f"{error}; where a server runs on this folder, have it make the report: --server http://127.0.0.1:8080"
        ) from error
    try:
        click.echo("gathering ...", err=True)
        clock = SystemClock()
        tree = Builder(series, registry, clock, clock)(order, _told)
        click.echo("rendering ...", err=True)
        return render(tree, order.format), f"{tree.file_name}.{order.format}"
    except (LookupError, PdfImpossible, StoreUnavailable, RegistryUnavailable) as error:
        raise click.ClickException(str(error.args[0] if error.args else error)) from error
    finally:
        series.close()
        registry.close()


def _told(share: float) -> None:
    if 0.0 < share < 1.0:
        click.echo(f"gathering ... {100 * share:.0f} %", err=True)
