"""``quietwater simulate``: a fleet of noise devices and water meters that sends as real ones do, with labels."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from app.settings import DEFAULT_DATA, DEFAULT_MQTT_PORT

if TYPE_CHECKING:
    from app.simulate.connections import Gate
    from app.simulate.scenario import Scenario

_OWN_UP_TO: Final = 200
_GATEWAYS: Final = 4


@click.command()
@click.option(
    "--devices",
    type=click.IntRange(0, 200_000),
    default=100,
    show_default=True,
    help="Noise devices, each a reading a second.",
)
@click.option(
    "--meters",
    type=click.IntRange(0, 2_000_000),
    default=1_000,
    show_default=True,
    help="Water meters, each a reading in --meter-interval.",
)
@click.option(
    "--meter-interval",
    "meter_interval_s",
    type=click.IntRange(1, 86_400),
    default=900,
    show_default=True,
    help="Seconds between two readings of a meter.",
)
@click.option(
    "--sites",
    type=click.IntRange(1, 9_999),
    help="Quarters over which both are spread.  [default: one for 50 devices or 500 meters]",
)
@click.option("--seconds", type=click.IntRange(1), help="Length of the run.  [default: until Ctrl-C]")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    default=1,
    show_default=True,
    help="The same seed and start make the same readings and the same truth.",
)
@click.option(
    "--start",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ"]),
    metavar="TIME",
    help="When faults begin to be drawn, such as 2026-03-01T00:00:00Z.  [default: when the run starts]",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 600),
    default=1,
    show_default=True,
    help="Seconds of a device in one message. Agents send each second alone.",
)
@click.option(
    "--spread",
    "spread_s",
    type=click.FloatRange(0.0, 1.0),
    default=0.8,
    show_default=True,
    help="Part of each second over which the devices' messages are spread.",
)
@click.option(
    "--history",
    "history_h",
    type=click.FloatRange(0, 720),
    default=0.0,
    show_default=True,
    help="Begin so many hours ago …",
)
@click.option(
    "--speed",
    type=click.FloatRange(1, 3_600),
    default=60.0,
    show_default=True,
    help="… and run so many times as fast as the wall until it is now.",
)
@click.option(
    "--right-clocks",
    is_flag=True,
    help="No clock is wrong, so that the newest stored second tells how far behind ingest is.",
)
@click.option(
    "--connections",
    type=click.IntRange(0, 1_000),
    help="MQTT connections that carry the fleet with the server's account, whole sites each; 0: every device "
    f"has its own connection and login.  [default: 0 up to {_OWN_UP_TO} devices, else {_GATEWAYS}]",
)
@click.option(
    "--broker",
    "broker_url",
    envvar="QUIETWATER_BROKER",
    metavar="URL",
    help="Where the fleet sends; its password for user 'quietwater' comes from QUIETWATER_BROKER_PASSWORD.  "
    f"[default: the embedded broker of --data, mqtt://127.0.0.1:{DEFAULT_MQTT_PORT}]",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_DATA,
    show_default=True,
    envvar="QUIETWATER_DATA",
    help="The server's folder: its registry and its embedded broker's password.",
)
@click.option(
    "--register", is_flag=True, help="First make the missing sites, devices and meters in the registry."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("simulated"),
    show_default=True,
    help="Folder of truth.jsonl, scenario.json, summary.json and devices.password.",
)
@click.pass_context
def simulate(
    ctx: click.Context, devices: int, meters: int, meter_interval_s: int, sites: int | None, seconds: int | None,
    seed: int, start: datetime | None, batch: int, spread_s: float, history_h: float, speed: float,
    right_clocks: bool, connections: int | None, broker_url: str | None, data: Path, register: bool, out: Path,
) -> None:  # fmt: skip
    """Send what a city's fleet would: believable days, disturbances, leaks, outages and wrong clocks, all labelled.

    A reading counts as delivered when `stored` names it, as for a real device; what is not confirmed is sent again.
    See docs/scale.md for what is simulated and what is not.

    \b
    Examples:
      quietwater simulate --register --devices 100 --meters 1000
      quietwater simulate --register --devices 10000 --meters 100000 --seconds 600 --out ten-thousand
      quietwater simulate --register --devices 20 --meters 200 --history 48 --speed 600
    """
    from app.simulate.fleet import Pace
    from app.simulate.open_files import demand_open_files
    from app.simulate.runner import Plan
    from app.simulate.runner import simulate as run
    from app.simulate.scenario import Scenario, sites_for
    from contract.clock import SystemClock, catch_up

    now = datetime.now(UTC)
    clock = catch_up(now, timedelta(hours=history_h), speed) if history_h else SystemClock()
    begin = start.replace(tzinfo=UTC) if start is not None else now - timedelta(hours=history_h)
    if begin > now:
        raise click.BadParameter("it lies in the future; ingest takes no such readings", param_hint="--start")
    try:
        scenario = Scenario(
            seed, devices, meters, sites or sites_for(devices, meters), int(begin.timestamp()), meter_interval_s,
            right_clocks,
        )  # fmt: skip
        if connections is None:
            connections = 0 if devices <= _OWN_UP_TO else _GATEWAYS
        out.mkdir(parents=True, exist_ok=True)
        if register:
            _register(data, scenario, out)
        if not connections:
            demand_open_files(devices + scenario.sites)
        gate = _gate(broker_url or f"mqtt://127.0.0.1:{DEFAULT_MQTT_PORT}", connections, data, out)
        summary = run(
            Plan(scenario, Pace(batch, spread_s), clock, seconds, out), gate,
            click.echo,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"{summary['made']} readings made, {summary['confirmed']} confirmed as stored, {summary['refused']} refused, "
        f"{summary['unconfirmed']} not confirmed; {summary['labels']} labels in {out / 'truth.jsonl'}"
    )
    if summary["unconfirmed"] or summary["refused"]:
        ctx.exit(3)


def _register(data: Path, scenario: Scenario, out: Path) -> None:
    from app.server_registry import changing
    from app.simulate.registering import register
    from store.registry import passwords

    path = out / "devices.password"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(passwords.for_machine())
    detail = {"devices": scenario.devices, "meters": scenario.meters}
    with changing(data, "simulate.register", f"{scenario.sites} sites", **detail) as session:
        made = register(session, scenario, datetime.now(UTC), path.read_text().strip())
    click.echo(f"registered {made[0]} sites, {made[1]} devices and {made[2]} meters in {data}")


def _gate(url: str, connections: int, data: Path, out: Path) -> Gate:
    """Return how the fleet comes to the broker. Raises ``ValueError`` and ``OSError``."""
    from app.settings import ServerSettings, broker_password, broker_tls
    from app.simulate.connections import Gate
    from ingest.source import BrokerAddress

    address = BrokerAddress(url)
    if address.is_nats or len(address.nodes) > 1:
        raise ValueError(
            f"the fleet speaks MQTT to one node, mqtt://host:port or mqtts://host:port: not {url!r}"
        )
    tls = broker_tls().context() if address.tls else None
    if connections:
        password = broker_password(ServerSettings(data=data))
        return Gate(address.node(0), tls, connections, "quietwater", password)
    path = out / "devices.password"
    if not path.exists():
        raise ValueError(f"{path} is missing: --register makes the devices and their password")
    return Gate(address.node(0), tls, 0, None, path.read_text().strip())
