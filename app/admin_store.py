"""``quietwater admin init-store``: the databases of a series store that is a server."""

from __future__ import annotations

import click

from app.retention_option import retention_options
from app.store_option import store_option
from store.series.address import DuckDbAddress, StoreAddress
from store.series.retention import Retention


@click.command("init-store")
@store_option
@retention_options
def init_store(store: StoreAddress | None, retention: Retention) -> None:
    """Make the databases on an InfluxDB server, with their retention.

    Once for each server; again changes the retention (not on InfluxDB 3). The login must be allowed to make
    databases: an admin user of 1.x, an all-access token of 2.x, an admin token of 3.x. Afterwards analysis keeps the
    retention by its own --keep-seconds and --keep-minutes, if its login may; the other commands need only one that
    may read and write the databases.

    \b
    Examples:
      quietwater admin init-store --store http://127.0.0.1:8086
      quietwater admin init-store --store "http://influxdb:8086?db=lakeside&org=quarter" --keep-seconds 30
      QUIETWATER_INFLUX_TOKEN_FILE=/run/secrets/token quietwater admin init-store --store https://influx.example
    """
    from store.series.influx_setup import init_store as make_databases
    from store.series.interface import StoreUnavailable

    if store is None or isinstance(store, DuckDbAddress):
        raise click.UsageError(
            "the embedded store makes its file by itself; name a server: --store http://127.0.0.1:8086"
        )
    try:
        for done in make_databases(store, retention):
            click.echo(done)
    except StoreUnavailable as error:
        raise click.ClickException(str(error)) from error
