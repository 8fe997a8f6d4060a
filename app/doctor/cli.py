"""The command ``quietwater doctor``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from app.doctor import broker, folder, meters, microphone, server
from app.doctor.finding import Finding, error, ok, worst
from app.settings import BROKER_PASSWORD_VARIABLE, given_broker_password
from edge.config import ConfigError, load
from store.registry.address import SqliteAddress
from store.registry.option import chosen_registry, registry_option


@click.command()
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path),
              help="Check a device: configuration, data, outbox, microphone, meters' ports, broker.")  # fmt: skip
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), envvar="QUIETWATER_DATA",
              help="Check a server's data folder, with the registry and the embedded store in it.")  # fmt: skip
@click.option("--broker", "broker_url", envvar="QUIETWATER_BROKER", metavar="URL",
              help=f"Log in at the broker as 'quietwater', password from {BROKER_PASSWORD_VARIABLE}.")  # fmt: skip
@registry_option
@click.option("--store", "store_url", metavar="URL", help="Ask InfluxDB for its version.")
@click.option(
    "--clock", "clock_url", metavar="URL", help="Compare this machine's clock with that web server's."
)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
@click.pass_context
def doctor(
    context: click.Context, config: Path | None, data: Path | None, broker_url: str | None,
    store_url: str | None, clock_url: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Name what is wrong with a set-up, why, and what cures it. It changes nothing.

    Exit code: 0 all well, 1 a warning, 2 an error.

    \b
    Examples:
      quietwater doctor --config /etc/quietwater/edge.toml --clock https://quietwater.example
      quietwater doctor --data data --store http://127.0.0.1:8086
      quietwater doctor --data data --registry postgresql://quietwater@db.example/quietwater
    """
    findings: list[Finding] = []
    if config:
        findings += device(config)
    if data:
        findings += server_folder(data)
    if broker_url:
        findings.append(broker.broker(broker_url, "quietwater", _broker_password()))
    if store_url:
        findings.append(server.influx(store_url))
    if clock_url:
        findings.append(server.clock(clock_url, datetime.now(UTC)))
    if not findings:
        raise click.UsageError("nothing to check: give --config, --data, --broker, --store or --clock")
    click.echo(msgspec.json.encode(findings).decode() if as_json else "\n".join(map(_line, findings)))
    context.exit(worst(findings))


def device(config: Path) -> list[Finding]:
    """Check what a device's configuration names."""
    try:
        settings = load(config)
        way = settings.broker()
    except ConfigError as problem:
        return [error("config_invalid", str(problem), "correct the key that is named")]
    data = Path(settings.data)
    return [
        ok("config", f"{config} is valid"),
        *folder.folder(data),
        *folder.outboxes(data),
        *(microphone.microphone(settings.noise, data, datetime.now(UTC)) if settings.noise else ()),
        *(meters.lines(settings.water) if settings.water else ()),
        *(
            broker.broker(url.strip(), way.username, way.password, ca_file=way.ca_file,
                          cert_file=way.cert_file, key_file=way.key_file)
            for url in way.url.split(",")
        ),
    ]  # fmt: skip


def server_folder(data: Path) -> list[Finding]:
    """Check a server's data folder, and the registry where it is."""
    from app.doctor import registry  # a device has not what it imports

    address = chosen_registry(data)
    return [
        *folder.folder(data),
        *(
            registry.registry(address.path, registry.newest())
            if isinstance(address, SqliteAddress)
            else registry.registry_server(address, registry.newest())
        ),
        *folder.series_file(data / "series.duckdb"),
    ]


def _broker_password() -> str | None:
    try:
        return given_broker_password()
    except OSError as problem:
        raise click.ClickException(f"{BROKER_PASSWORD_VARIABLE}_FILE: {problem}") from problem


def _line(finding: Finding) -> str:
    text = f"{finding.level:8}{finding.key}: {finding.text}"
    return f"{text}\n        cure: {finding.cure}" if finding.cure else text
