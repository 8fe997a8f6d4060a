"""Commands of ingest: ``COMMANDS`` is taken in by the ``quietwater`` command."""

from __future__ import annotations

import time
from pathlib import Path

import click

from store.registry.option import chosen_registry, registry_option


@click.command("replay")
@click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), default=Path("data"), show_default=True,
    help="The server's data folder.",
)  # fmt: skip
@click.option("--wait", "wait_s", type=click.FloatRange(0, 3600), default=60.0, show_default=True,
              help="Wait so many seconds for the running ingest to do it.")  # fmt: skip
@registry_option
def replay(data: Path, wait_s: float) -> None:
    """Store what the quarantine holds of devices and meters that are registered by now.

    The running ingest does it; if none runs, the next one does it at its start.

    \b
    Examples:
      quietwater replay
      quietwater replay --data /var/lib/quietwater --wait 600
    """
    from store.registry.address import NoRegistry, open_existing
    from store.registry.database import RegistryUnavailable
    from store.registry.replay import ask, result_of

    try:
        registry = open_existing(chosen_registry(data))
    except (NoRegistry, RegistryUnavailable) as error:
        raise click.ClickException(str(error.args[0])) from error
    try:
        with registry.session() as session:
            number = ask(session)
        deadline = time.monotonic() + wait_s
        while True:
            with registry.reader() as session:
                result = result_of(session, number)
            if result is not None or time.monotonic() > deadline:
                break
            time.sleep(0.2)
    except RegistryUnavailable as error:
        raise click.ClickException(str(error)) from error
    finally:
        registry.close()
    if result is None:
        click.echo("asked for; no ingest has done it yet, the next that runs with this folder will")
        return
    click.echo(
        f"stored {result.stored}, refused {result.refused} for another reason, "
        f"still of an unknown device or meter {result.still_held}"
    )


COMMANDS = (replay,)
