"""``quietwater export``: any range of the store as a CSV or Parquet file."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final
from zoneinfo import ZoneInfo

import click

from app.server_registry import open_registry
from app.settings import DEFAULT_DATA, ServerSettings
from app.store_option import store_option
from store.registry.option import registry_option
from store.series.address import DuckDbAddress, StoreAddress

_KINDS: Final = ("seconds", "minutes", "hours", "water", "water-hours", "events")
_FORMATS: Final = ("csv", "parquet")


@dataclass(frozen=True, slots=True)
class _Known:
    """What the registry knows: zone of each site, its devices, its meters."""

    zones: dict[str, str]
    devices: list[tuple[str, str]]
    meters: list[tuple[str, str]]


@click.command()
@click.argument("kind", type=click.Choice(_KINDS))
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), default=DEFAULT_DATA, show_default=True,
              envvar="QUIETWATER_DATA", help="Folder of everything that is kept.")  # fmt: skip
@registry_option
@store_option
@click.option(
    "--start", "start_text", metavar="TIME", help="From this time on.  [default: a day before the end]"
)
@click.option("--end", "end_text", metavar="TIME", help="Up to this time, which is left out.  [default: now]")
@click.option("--site", "sites", multiple=True, help="A site; repeat for more.  [default: all]")
@click.option("--device", "devices", multiple=True, help="A device, or a meter for water; repeat for more.")
@click.option(
    "--format", "form", type=click.Choice(_FORMATS), help="[default: what FILE ends with, else csv]"
)
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
def export(
    kind: Any, file: Path, data: Path, store: StoreAddress | None, start_text: str | None, end_text: str | None,
    sites: tuple[str, ...], devices: tuple[str, ...], form: Any, force: bool,
) -> None:  # fmt: skip
    """Write readings of any range into FILE (- for standard output), as CSV or Parquet.

    Works while the server runs and while it does not. TIME is 2026-03-01 or 2026-03-01T06:00 in the site's own time, or
    with a zone: 2026-02-28T22:00Z. Rows carry UTC (t) and the site's own time (t_site), device after device. FILE
    appears when it is whole; Ctrl-C leaves none.

    \b
    KIND:
      seconds       levels of every second, with their flags
      minutes       1/3-octave spectra
      hours         LAeq, L5 to L95, maximum, valid share
      water         readings of the registers
      water-hours   litres by the hour
      events        calibrations, overloads, restarts …

    \b
    Examples:
      quietwater export hours march.csv --start 2026-03-01 --end 2026-04-01
      quietwater export seconds night.parquet --site lake-side --device gate --start 2026-03-01T22:00
      quietwater export water - --site lake-side --start 2026-03-01 | gzip > water.csv.gz
    """
    from store.series.interface import StoreUnavailable

    known = _chosen(_registered(data), sites)
    sources = _sources(kind, known, devices)
    end = _time(end_text, known, "--end") or datetime.now(UTC)
    start = _time(start_text, known, "--start") or end - timedelta(days=1)
    if start > end:
        raise click.UsageError("--start lies after --end")
    if str(file) != "-" and file.exists() and not force:
        raise click.ClickException(f"{file} is there already; --force replaces it")
    form = form or ("parquet" if file.suffix == ".parquet" else "csv")
    address = ServerSettings(data=data, store=store).series
    try:
        rows = _write(kind, file, form, _batches(kind, start, end, sources, known.zones, data, address))
    except BrokenPipeError:
        raise  # who reads has had enough: click ends the command without a word
    except (StoreUnavailable, OSError) as error:
        raise click.ClickException(str(error)) from error
    if str(file) != "-":
        click.echo(f"{rows:,} rows, {file.stat().st_size:,} bytes in {file}", err=True)


def _registered(data: Path) -> _Known:
    from sqlalchemy import select

    from store.registry.database import RegistryUnavailable
    from store.registry.models import Device, Meter, Site

    registry = open_registry(data)
    try:
        with registry.reader() as session:
            known = _Known(
                {row.name: row.timezone for row in session.scalars(select(Site).order_by(Site.name))},
                [(row.site, row.name) for row in session.scalars(select(Device).order_by(Device.site, Device.name))],
                [(row.site, row.name) for row in session.scalars(select(Meter).order_by(Meter.site, Meter.name))],
            )  # fmt: skip
    except RegistryUnavailable as error:
        raise click.ClickException(str(error)) from error
    finally:
        registry.close()
    return known


def _chosen(known: _Known, sites: Sequence[str]) -> _Known:
    for site in sites:
        if site not in known.zones:
            raise click.ClickException(
                f"there is no site {site!r}; there are: {', '.join(known.zones) or 'none'}"
            )
    wanted = set(sites or known.zones)
    return _Known(
        {site: zone for site, zone in known.zones.items() if site in wanted},
        [one for one in known.devices if one[0] in wanted],
        [one for one in known.meters if one[0] in wanted],
    )


def _sources(kind: str, known: _Known, names: Sequence[str]) -> list[tuple[str, str]]:
    what, there = ("meter", known.meters) if kind in ("water", "water-hours") else ("device", known.devices)
    for name in names:
        if all(name != one for _, one in there):
            listed = ", ".join(sorted({one for _, one in there})) or "none"
            raise click.ClickException(f"there is no {what} {name!r}; there are: {listed}")
    return [one for one in there if not names or one[1] in names]


def _time(text: str | None, known: _Known, option: str) -> datetime | None:
    if text is None:
        return None
    try:
        t = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is no time; write 2026-03-01, 2026-03-01T06:00 or 2026-02-28T22:00Z", param_hint=option
        ) from error
    if t.tzinfo is None:
        zones = set(known.zones.values())
        if len(zones) > 1:
            raise click.BadParameter(
                f"the sites lie in several zones ({', '.join(sorted(zones))}): say which, as in {text}+08:00",
                param_hint=option,
            )
        t = t.replace(tzinfo=ZoneInfo(next(iter(zones), "Asia/Shanghai")))
    return t.astimezone(UTC)


# -- rows ------------------------------------------------------------------------------------------------------


def _batches(
    kind: Any, start: datetime, end: datetime, sources: list[tuple[str, str]], zones: dict[str, str], data: Path,
    address: StoreAddress,
) -> Iterator[tuple[Any, float | None]]:  # fmt: skip
    """Yield rows or ``None``, and the share that is done: from the server that holds the store, else from itself."""
    from app.store_socket import ExportRequest, NotServed, ServerSaid, ask
    from store.series.address import open_store
    from store.series.export import ExportQuery, parts, unpacked

    if isinstance(address, DuckDbAddress):
        try:
            for one in ask(data, ExportRequest(kind, start, end, sources, zones)):
                if isinstance(one, float):
                    yield None, one
                elif isinstance(one, bytes):
                    yield unpacked(kind, one), None
            return
        except ServerSaid as error:
            raise click.ClickException(f"the running server says: {error}") from error
        except NotServed:
            if not address.path.exists():
                raise click.ClickException(f"there is no store {address.path.absolute()}") from None
    series = open_store(address)
    try:
        for part in parts(series, ExportQuery(kind, start, end, sources, zones)):
            yield part.rows, part.done
    finally:
        series.close()


def _write(kind: Any, file: Path, form: Any, found: Iterator[tuple[Any, float | None]]) -> int:
    from app.whole_file import ended_cleanly, whole_file
    from store.series.export import schema_of
    from store.series.export_file import encode

    rows = 0
    with ExitStack() as stack:
        stack.enter_context(ended_cleanly())
        bar = stack.enter_context(click.progressbar(length=1000, label=f"exporting {kind}", file=sys.stderr))
        out: BinaryIO = sys.stdout.buffer if str(file) == "-" else stack.enter_context(whole_file(file))

        def counted() -> Iterator[Any]:
            nonlocal rows
            for batch, done in found:
                if batch is not None:
                    rows += batch.num_rows
                    yield batch
                if done is not None:
                    bar.update(max(0, round(done * 1000) - bar.pos))

        for piece in encode(counted(), schema_of(kind), form):
            out.write(piece)
        out.flush()
    return rows
