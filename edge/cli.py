"""``quietwater edge``: what runs on the Pi."""

from __future__ import annotations

import importlib
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from contract.clock import Clock


class EdgeGroup(click.Group):
    """Takes in the commands of the sound and the water part; what they need is imported when they run."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        for module in ("edge.sound.cli", "edge.water.cli"):
            for command in importlib.import_module(module).COMMANDS:
                self.add_command(command)


@click.group(cls=EdgeGroup)
def edge() -> None:
    """Measure noise and read water meters on a Raspberry Pi (or any Linux machine)."""


@edge.command()
@click.option(
    "--config", "configs", multiple=True, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Configuration file (TOML) of a device; give it more than once to run several in one process.",
)  # fmt: skip
@click.option("--check", is_flag=True, help="Read the configuration, print what is in force, and exit.")
@click.option(
    "--once",
    is_flag=True,
    help="End when every recording has come to its end and all of it is stored at the server.",
)
@click.option(
    "--catch-up", "catch_up", nargs=3, default=None, hidden=True, help="Clock of a demo: START WALL FACTOR."
)
def run(configs: tuple[Path, ...], check: bool, once: bool, catch_up: tuple[str, str, str] | None) -> None:
    """Run the agent of one or more devices until Ctrl-C.

    \b
    Examples:
      quietwater edge run --config /etc/quietwater/edge.toml
      quietwater edge run --config /etc/quietwater/edge.toml --check
    """
    from contract.clock import SystemClock
    from edge.agent import Agent
    from edge.config import load
    from edge.watchdog import Watchdog

    try:
        loaded = [load(path) for path in configs]
        if check:
            for config in loaded:
                click.echo(_shown(config))
            return
        clock = SystemClock() if catch_up is None else _catch_up_clock(*catch_up)
        agents = [Agent(config, clock) for config in loaded]
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    watchdog = Watchdog()
    for agent in agents:
        agent.start()
    watchdog.ready(", ".join(f"{config.site}/{config.device}" for config in loaded))
    while not stop.wait(0.2):
        watchdog.alive(time.monotonic(), lambda: all(agent.healthy for agent in agents))
        if once and not any(agent.measuring or not agent.drained() for agent in agents):
            break
    watchdog.stopping()
    for agent in agents:
        agent.stop()


@edge.command()
@click.argument("code")
@click.option(
    "--server", required=True, metavar="URL", help="The server's page, such as https://quietwater.example."
)
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), default=Path("/etc/quietwater/edge.toml"),
              show_default=True, help="Where the configuration goes; the password goes beside it.")  # fmt: skip
@click.option("--ca", "ca_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Certificate of the CA that signed the server's, where the system does not know it.")  # fmt: skip
@click.option(
    "--plain", is_flag=True, help="Let the password travel without TLS, in a network that you trust."
)
def enrol(code: str, server: str, config: Path, ca_file: Path | None, plain: bool) -> None:
    """Make this machine the device that CODE was made for.

    The page makes a code: a quarter's devices, "Enrol". It works once. A configuration that is here already stays as it
    is; the password is renewed, and the certificate where the configuration names one.

    \b
    Examples:
      sudo quietwater edge enrol 7K3M-9QXW-0TBD --server https://quietwater.example
      quietwater edge enrol 7K3M-9QXW-0TBD --server http://127.0.0.1:8080 --config edge.toml
    """
    from edge.enrol import EnrolmentFailed
    from edge.enrol import enrol as enrol_here

    try:
        kept = enrol_here(code, server, config, ca_file=ca_file, plain=plain)
    except EnrolmentFailed as error:
        raise click.ClickException(str(error)) from error
    identity = kept.identity
    click.echo(f"This is {identity.site}/{identity.device} now.")
    click.echo(f"  configuration  {kept.config}" + ("" if kept.configured else "  (as it was)"))
    click.echo(f"  password       {kept.password}")
    if kept.certificate is not None:
        click.echo(f"  certificate    {kept.certificate}")
    click.echo(f"  broker         {identity.broker_url}")
    click.echo(f"Next: look at the configuration, then  quietwater edge run --config {kept.config}")


def _catch_up_clock(started_at: str, wall_started_at: str, factor: str) -> Clock:
    from datetime import datetime

    from contract.clock import CatchUpClock

    return CatchUpClock(
        datetime.fromisoformat(started_at), datetime.fromisoformat(wall_started_at), float(factor)
    )


def _shown(config: object) -> str:
    import json

    import msgspec

    return json.dumps(msgspec.to_builtins(config), ensure_ascii=False, indent=2)
