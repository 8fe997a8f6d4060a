"""``quietwater admin init-store``: the databases of a series store that is a server."""

from __future__ import annotations

import click

from app.store_option import store_option
from store.series.address import DuckDbAddress, StoreAddress


@click.command("init-store")
@store_option
@click.option("--seconds-days", type=click.IntRange(0, 36_500), default=90, show_default=True,
              envvar="QUIETWATER_KEEP_SECONDS",
              help="Days to keep the seconds of noise; 0 keeps them for ever.")  # fmt: skip
@click.option("--minutes-days", type=click.IntRange(0, 36_500), default=3 * 365, show_default=True,
              envvar="QUIETWATER_KEEP_MINUTES",
              help="Days to keep minutes of noise and water readings; 0 keeps them for ever.")  # fmt: skip
def init_store(store: StoreAddress | None, seconds_days: int, minutes_days: int) -> None:
    """Make the databases on an InfluxDB server, with their retention.

    Once for each server; again changes the retention (not on InfluxDB 3). Hours and events are kept for ever. The login
    must be allowed to make databases: an admin user of 1.x, an all-access token of 2.x, an admin token of 3.x. The
    other commands need only a login that may read and write them.

    \b
    Examples:
      quietwater admin init-store --store http://127.0.0.1:8086
      quietwater admin init-store --store "http://influxdb:8086?db=lakeside&org=quarter" --seconds-days 30
      QUIETWATER_INFLUX_TOKEN_FILE=/run/secrets/token quietwater admin init-store --store https://influx.example
    """
    from store.series.influx_setup import init_store as make_databases
    from store.series.interface import StoreUnavailable
    from store.series.retention import Retention

    if store is None or isinstance(store, DuckDbAddress):
        raise click.UsageError(
            "the embedded store makes its file by itself; name a server: --store http://127.0.0.1:8086"
        )
    try:
        for done in make_databases(store, Retention(seconds_days or None, minutes_days or None)):
            click.echo(done)
    except StoreUnavailable as error:
        raise click.ClickException(str(error)) from error
