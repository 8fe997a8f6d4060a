"""``quietwater admin config`` and ``rollout``: the devices' configuration from the command line."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from app.server_registry import changing, operator, reading


@click.group()
def config() -> None:
    """Settings that devices take from the server, in versions.

    \b
    Step by step (docs/fleet.md):
      quietwater admin config draft noise.events.margin_db=15 --note "fewer events"
      quietwater admin config give 7 lake-side gate
      quietwater admin rollout begin 7 --wave 1 --wave 10% --wave 100%
    """


@config.command()
@click.argument("settings", nargs=-1, metavar="KEY=VALUE...")
@click.option("--note", default="", help="What it is for.")
@click.pass_obj
def draft(data: Path, settings: tuple[str, ...], note: str) -> None:
    """Check settings as devices do and keep them as a new version. No device runs it yet.

    VALUE is a number, true, false or null. Without settings the version takes back what the server has set.

    \b
    Examples:
      quietwater admin config draft noise.spectrum=false status_interval_s=60
      quietwater admin config draft noise.self_noise_db=null --note "the bound of the microphone is not known"
    """
    from store.registry.configurations import draft as keep

    given = dict(_setting(one) for one in settings)
    with changing(data, "configuration.add", note or "-", settings=given) as session:
        row = keep(session, given, who=operator(), now=datetime.now(UTC), note=note)
        version = row.version
    click.echo(f"configuration {version}; next: quietwater admin rollout begin {version}")


@config.command("list")
@click.pass_obj
def list_versions(data: Path) -> None:
    """Show the versions, and how many devices are to run each."""
    from collections import Counter

    from store.registry.configurations import configurations, wanted_versions

    with reading(data) as session:
        counts = Counter(wanted_versions(session).values())
        for row in configurations(session):
            settings = json.dumps(row.settings, ensure_ascii=False)
            click.echo(f"{row.version}\t{counts[row.version]} devices\t{row.made_by}\t{settings}\t{row.note}")


@config.command()
@click.argument("version", type=click.IntRange(0))
@click.argument("site", metavar="SITE")
@click.argument("name")
@click.pass_obj
def give(data: Path, version: int, site: str, name: str) -> None:
    """Have one device run VERSION; 0 is its own configuration alone. `quietwater serve` tells it within seconds.

    \b
    Example:
      quietwater admin config give 7 lake-side gate
    """
    from store.registry.configurations import want
    from store.registry.models import Device

    with changing(data, "device.configuration", f"{site}/{name}", version=version) as session:
        if session.get(Device, (site, name)) is None:
            raise click.ClickException(f"there is no device {name!r} at {site!r}")
        before = want(session, site, name, version, who=operator(), now=datetime.now(UTC))
    click.echo(f"{site}/{name} is to run {version}; it was {before}")


@click.group()
def rollout() -> None:
    """A version of the configuration on its way to many devices, wave by wave."""


@rollout.command()
@click.argument("version", type=click.IntRange(1))
@click.option(
    "--site", "sites", multiple=True, help="A quarter whose devices get it; repeat for more.  [default: all]"
)
@click.option("--wave", "waves", multiple=True, metavar="N|N%",
              help="Devices that have it after this wave; repeat.  [default: 1, 10%, 50%, 100%]")  # fmt: skip
@click.option("--healthy", "healthy_min", type=click.IntRange(1, 10_080), default=10, show_default=True,
              metavar="MIN", help="For how long a wave must run it well before the next.")  # fmt: skip
@click.option("--patience", "patience_min", type=click.IntRange(2, 43_200), default=60, show_default=True,
              metavar="MIN", help="For how long devices that are away are waited for.")  # fmt: skip
@click.option("--most-failed", "most_failed", type=click.FloatRange(0, 100), default=5.0, show_default=True,
              metavar="PERCENT", help="Share of devices that may fail.")  # fmt: skip
@click.pass_obj
def begin(data: Path, version: int, sites: tuple[str, ...], waves: tuple[str, ...], **given: Any) -> None:
    """Give VERSION to a first wave of devices; the server goes on while all goes well, and back when it does not.

    \b
    Examples:
      quietwater admin rollout begin 7
      quietwater admin rollout begin 7 --site lake-side --wave 1 --wave 100% --healthy 30
    """
    from analysis.fleet.staging import STANDARD_WAVES, wave_sizes
    from store.registry.rollouts import begin as begin_it

    with changing(data, "rollout.begin", f"configuration {version}", sites=list(sites)) as session:
        row = begin_it(
            session, version, sizes=lambda total: wave_sizes(total, waves or STANDARD_WAVES), who=operator(),
            now=datetime.now(UTC), sites=sites, healthy_for=timedelta(minutes=given["healthy_min"]),
            patience=timedelta(minutes=given["patience_min"]), most_failed=given["most_failed"] / 100,
        )  # fmt: skip
        number, sizes = row.id, row.sizes
    click.echo(f"rollout {number} has begun: waves of {', '.join(map(str, sizes))} devices")


@rollout.command("list")
@click.pass_obj
def list_rollouts(data: Path) -> None:
    """Show rollouts, how far they are and why."""
    from store.registry.rollouts import rollouts

    with reading(data) as session:
        for row in rollouts(session):
            wave = f"wave {row.wave + 1} of {len(row.sizes)}"
            click.echo(f"{row.id}\tversion {row.version}\t{row.state}\t{wave}\t{row.reason}")


@rollout.command()
@click.argument("number", type=click.IntRange(1))
@click.pass_obj
def pause(data: Path, number: int) -> None:
    """Let no further wave begin."""
    _change(data, number, "pause")


@rollout.command()
@click.argument("number", type=click.IntRange(1))
@click.pass_obj
def resume(data: Path, number: int) -> None:
    """Go on after a pause or a halt; devices that were away get their time anew."""
    _change(data, number, "resume")


@rollout.command()
@click.argument("number", type=click.IntRange(1))
@click.pass_obj
def back(data: Path, number: int) -> None:
    """Give every device that was given the version what it ran before."""
    _change(data, number, "back")


def _change(data: Path, number: int, what: str) -> None:
    from store.registry import rollouts
    from store.registry.fleet_models import Rollout

    now = datetime.now(UTC)
    with changing(data, f"admin.rollout.{what}", f"rollout {number}") as session:
        row = session.get(Rollout, number)
        if row is None:
            raise click.ClickException(
                f"there is no rollout {number}; `quietwater admin rollout list` shows them"
            )
        if what == "back":
            rollouts.take_back(session, row, f"by {operator()}", who=operator(), now=now)
        else:
            getattr(rollouts, what)(session, row, who=operator(), now=now)
        state = row.state
    click.echo(f"rollout {number} is {state.replace('_', ' ')}")


def _setting(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    try:
        return key, json.loads(value)
    except ValueError:
        pass
    if not equals:
        raise click.ClickException(f"{text!r} is not of the form KEY=VALUE")
    raise click.ClickException(f"{key}: {value!r} is no number, true, false or null")
