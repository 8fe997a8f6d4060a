"""The ``quietwater`` command. What a command needs is imported when it runs, so that ``--help`` is quick."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import click

from api.map_tiles import TileLayer
from app import logs
from app.map_option import map_options
from app.metrics_option import metrics_options
from app.retention_option import retention_options
from app.settings import DEFAULT_DATA, DEFAULT_MQTT_PORT, DEFAULT_PORT, ServerSettings
from app.store_option import store_option
from contract.messages import SLUG_PATTERN
from store.registry.option import chosen_registry, registry_option
from store.series.address import StoreAddress
from store.series.retention import Retention

_GROUPS: Final = {
    "admin": ("app.admin", "admin"),
    "backup": ("app.backup", "backup"),
    "doctor": ("app.doctor.cli", "doctor"),
    "edge": ("edge.cli", "edge"),
    "export": ("app.export", "export"),
    "leaks": ("analysis.leaks.cli", "leaks"),
    "replay": ("ingest.cli", "replay"),
    "report": ("app.report", "report"),
    "restore": ("app.backup", "restore"),
    "simulate": ("app.simulate.cli", "simulate"),
}
"""Sub-commands that live in other modules: name, module, attribute."""
_OURS: Final = ("analysis", "api", "app", "contract", "edge", "ingest", "store")


class LazyGroup(click.Group):
    """Imports a sub-command's module when the command is called (or all of them for ``--help``)."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names, sorted."""
        return sorted([*super().list_commands(ctx), *_GROUPS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, importing it first if it lives elsewhere."""
        if cmd_name not in _GROUPS:
            return super().get_command(ctx, cmd_name)
        module, attribute = _GROUPS[cmd_name]
        try:
            return getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            package = _missing(error)
            if package is None:
                raise
            return _not_here(cmd_name, package)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; where lines are JSON, why it failed is one too."""
        try:
            return self._invoke(ctx)
        except click.ClickException as error:
            if logs.is_json():
                raise logs.FailureAsJson(error) from error
            raise

    def _invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            package = _missing(error)
            if package is None:
                raise
            raise _needs_server(package) from error


def _missing(error: ModuleNotFoundError) -> str | None:
    """Return the package that is not installed here, ``None`` for a module of our own."""
    package = (error.name or "").partition(".")[0]
    return None if package in _OURS else package or str(error)


def _not_here(name: str, package: str) -> click.Command:
    """Return what stands for a command of the server on a device, which has only the agent's packages."""

    def refuse(**_: object) -> None:
        raise _needs_server(package)

    return click.Command(
        name, callback=refuse, help="Not on this machine: it needs the server's packages.",
        params=[click.Argument(["words"], nargs=-1, type=click.UNPROCESSED)],
        context_settings={"ignore_unknown_options": True, "help_option_names": []},
    )  # fmt: skip


def _needs_server(package: str) -> click.ClickException:
    return click.ClickException(
        f"this machine has not what the command needs: the package {package} is missing; "
        "a server installs it with: pip install 'quietwater[server]'"
    )


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(package_name="quietwater")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True,
    envvar="QUIETWATER_LOG_LEVEL",
)  # fmt: skip
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True,
    envvar="QUIETWATER_LOG_FORMAT",
)  # fmt: skip
def main(log_level: str, log_format: logs.LogFormat) -> None:
    """Quietwater: how quiet a residential quarter is and how carefully it uses water.

    \b
    Examples:
      quietwater up --demo                  everything on this machine, with a demo quarter
      quietwater edge measure night.wav     levels of a recording
      quietwater admin user add li --role bureau
    """
    logs.set_up(log_level, log_format)


def _data_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--data", type=click.Path(file_okay=False, path_type=Path), default=DEFAULT_DATA, show_default=True,
        envvar="QUIETWATER_DATA", help="Folder of everything that is kept.",
    )(command)  # fmt: skip


def _broker_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--broker", "broker_url", envvar="QUIETWATER_BROKER", metavar="URL",
        help="A broker that runs elsewhere, such as mqtt://127.0.0.1:1883; its password for user 'quietwater' comes "
        "from QUIETWATER_BROKER_PASSWORD, or from a file that …_FILE names.",
    )(command)  # fmt: skip


def _slug(_ctx: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    if text is not None and not re.fullmatch(SLUG_PATTERN, text):
        raise click.BadParameter(f"{text!r}: lower-case letters, digits and hyphens, at most 32")
    return text


def _mqtt_port_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--mqtt-port", type=click.IntRange(1, 65535), default=DEFAULT_MQTT_PORT, show_default=True,
        help="Port of the embedded broker on 127.0.0.1.",
    )(command)  # fmt: skip


def _web_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--officials-need-codes", "officials_need_factor", is_flag=True,
                     envvar="QUIETWATER_OFFICIALS_NEED_CODES",
                     help="Administrators and the bureau get no further than their account until they have one-time "
                     "passwords (TOTP)."),
        click.option("--device-broker", "device_broker_url", envvar="QUIETWATER_DEVICE_BROKER", metavar="URL",
                     help="Address of the broker as devices reach it, told to them when they enrol.  "
                     "[default: that of the broker]"),
        click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve the page on."),
        click.option("--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True,
                     help="Port of the page; 0 takes any."),
        click.option("--base-url", envvar="QUIETWATER_BASE_URL",
                     help="Address under which people reach the page, for links in messages."),
        click.option("--proxy", default="127.0.0.1", show_default=True, envvar="QUIETWATER_PROXY",
                     metavar="ADDRESS", help="Address or network of the web server before the page: whom it names "
                     "as the one who asks (X-Forwarded-For) counts for the limits."),
    ):  # fmt: skip
        command = option(command)
    return command


@main.command()
@_data_option
@_web_options
@map_options
@_mqtt_port_option
@_broker_option
@registry_option
@store_option
@retention_options
@click.option(
    "--demo", is_flag=True, help="With three sites whose agents play real recordings and registers."
)
@click.option("--speed", type=click.FloatRange(1, 240), default=1.0, show_default=True,
              help="Demo: start a day ago and run so many times faster until the present is reached.")  # fmt: skip
@click.option("--history", "history_h", type=click.FloatRange(0, 48), default=3.0, show_default=True,
              help="Demo: hours of noise before the first start that are measured too, in the background.")  # fmt: skip
@click.option("--mic", is_flag=False, flag_value="default", metavar="[DEVICE]",
              help="Demo: the first device listens to this machine's microphone (needs libportaudio2).")  # fmt: skip
@click.pass_context
def up(
    ctx: click.Context, data: Path, host: str, port: int, base_url: str | None, device_broker_url: str | None,
    mqtt_port: int, broker_url: str | None, store: StoreAddress | None, demo: bool, speed: float, history_h: float,
    mic: str | None, tiles: tuple[TileLayer, ...], ground: Mapping[str, Any] | None, retention: Retention,
    officials_need_factor: bool, proxy: str,
) -> None:  # fmt: skip
    """Run everything on this machine: broker, ingest, analysis, API and page.

    \b
    Examples:
      quietwater up --demo
      quietwater up --demo --speed 30
      quietwater up --data /var/lib/quietwater --port 8080
      quietwater up --store http://127.0.0.1:8086
      quietwater up --map-tiles "https://tile.openstreetmap.org/{z}/{x}/{y}.png"
    """
    from app.up import DemoOptions, run_system, with_free_ports

    if not demo and (speed != 1.0 or mic is not None):
        raise click.UsageError(
            "--speed and --mic belong to --demo; a real device's time and sound are its own"
        )
    settings = ServerSettings(
        data,
        host,
        port,
        mqtt_port,
        broker_url,
        base_url,
        store,
        tiles,
        ground,
        retention=retention,
        device_broker_url=device_broker_url,
        officials_need_factor=officials_need_factor,
        proxy=proxy,
        registry_address=chosen_registry(data),
    )
    settings = with_free_ports(
        settings, port_given=_given(ctx, "port"), mqtt_port_given=_given(ctx, "mqtt_port")
    )
    run_system(settings, demo=DemoOptions(speed, history_h, mic) if demo else None)


@main.command()
@_data_option
@registry_option
@_mqtt_port_option
def broker(data: Path, mqtt_port: int) -> None:
    """Run the embedded MQTT broker alone.

    \b
    Example:
      quietwater broker --data /var/lib/quietwater --mqtt-port 1883
    """
    from app.up import run_system

    run_system(
        ServerSettings(data=data, mqtt_port=mqtt_port, registry_address=chosen_registry(data)),
        parts=("broker",),
    )


@main.command()
@_data_option
@_mqtt_port_option
@_broker_option
@registry_option
@store_option
@retention_options
@metrics_options
@click.option("--name", default="ingest", show_default=True, callback=_slug,
              help="Session at the broker: of several ingest processes, each has its own and keeps it.")  # fmt: skip
@click.option(
    "--group", callback=_slug, help="Processes of one group share the load (needs a broker with MQTT 5)."
)
def ingest(
    data: Path,
    mqtt_port: int,
    broker_url: str | None,
    store: StoreAddress | None,
    name: str,
    group: str | None,
    retention: Retention,
    metrics_port: int | None,
    metrics_host: str,
) -> None:
    """Run ingest alone: from the broker to the stores.

    The embedded series store (DuckDB) belongs to one process at a time: with it, run either `ingest` or `serve`. With
    InfluxDB `ingest`, `analysis` and `serve` run side by side.

    \b
    Examples:
      quietwater ingest --data /var/lib/quietwater --broker mqtt://127.0.0.1:1883
      quietwater ingest --data /var/lib/quietwater --store http://127.0.0.1:8086
      quietwater ingest --broker mqtt://mosquitto:1883 --store http://influxdb:8086 --name two --group quarter
    """
    from app.up import run_system

    settings = ServerSettings(
        data=data,
        mqtt_port=mqtt_port,
        broker_url=broker_url,
        store=store,
        ingest_name=name,
        ingest_group=group,
        retention=retention,
        metrics_port=metrics_port,
        metrics_host=metrics_host,
        registry_address=chosen_registry(data),
    )
    run_system(settings, parts=("ingest",))


@main.command()
@_data_option
@registry_option
@store_option
@retention_options
@metrics_options
@click.option("--base-url", envvar="QUIETWATER_BASE_URL",
              help="Address under which people reach the page, for links in messages.")  # fmt: skip
@click.option("--shard", callback=_slug, envvar="QUIETWATER_SHARD", metavar="NAME",
              help="Name among several processes that share the sites.  [default: the machine's name]")  # fmt: skip
def analysis(
    data: Path, store: StoreAddress | None, base_url: str | None, retention: Retention,
    metrics_port: int | None, metrics_host: str, shard: str | None,
) -> None:  # fmt: skip
    """Run analysis alone: rules, alerts, messages and the hours' rollups, beside `serve --no-analysis`.

    Several of them share the sites of one registry, each under its own name: when one stops, the others take its
    sites over at once, and within half a minute when it was killed.

    \b
    Examples:
      quietwater analysis --data /var/lib/quietwater --store http://127.0.0.1:8086
      quietwater analysis --data /var/lib/quietwater --store http://127.0.0.1:8086 --shard two --metrics-port 9102
    """
    from app.up import run_system

    settings = ServerSettings(
        data=data, store=store, base_url=base_url, retention=retention,
        metrics_port=metrics_port, metrics_host=metrics_host, registry_address=chosen_registry(data), shard=shard,
    )  # fmt: skip
    run_system(settings, parts=("analysis",))


@main.command()
@_data_option
@_web_options
@map_options
@_mqtt_port_option
@_broker_option
@registry_option
@store_option
@retention_options
@click.option("--analysis/--no-analysis", "with_analysis", default=True, show_default=True,
              help="Run analysis in this process, or leave it to `quietwater analysis`.")  # fmt: skip
@click.option("--name", callback=_slug, metavar="NAME",
              help="Name among several processes that serve the page.  [default: the machine's name]")  # fmt: skip
def serve(
    data: Path, host: str, port: int, base_url: str | None, device_broker_url: str | None, mqtt_port: int,
    broker_url: str | None, store: StoreAddress | None, with_analysis: bool, tiles: tuple[TileLayer, ...],
    ground: Mapping[str, Any] | None, retention: Retention, officials_need_factor: bool, proxy: str,
    name: str | None,
) -> None:  # fmt: skip
    """Run analysis, API and page alone.

    Several of them serve one registry behind a proxy, each under its own name (docs/shards.md).

    \b
    Examples:
      quietwater serve --data /var/lib/quietwater --port 8080
      quietwater serve --data /var/lib/quietwater --store http://127.0.0.1:8086 --no-analysis
      quietwater serve --store http://127.0.0.1:8086 --no-analysis --name two --port 8081
    """
    from app.up import run_system

    settings = ServerSettings(
        data,
        host,
        port,
        mqtt_port,
        broker_url,
        base_url,
        store,
        tiles,
        ground,
        retention=retention,
        device_broker_url=device_broker_url,
        officials_need_factor=officials_need_factor,
        proxy=proxy,
        registry_address=chosen_registry(data),
        serve_name=name,
    )
    run_system(settings, parts=("analysis", "serve") if with_analysis else ("serve",))


def _given(ctx: click.Context, parameter: str) -> bool:
    return ctx.get_parameter_source(parameter) is not click.core.ParameterSource.DEFAULT
