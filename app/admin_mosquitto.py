"""``quietwater admin mosquitto``: keep Mosquitto's files as the registry has them."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from store.registry.database import Registry


@click.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("/etc/mosquitto/quietwater"),
              show_default=True, help="Folder of the files that deploy/mosquitto/quietwater.conf names.")  # fmt: skip
@click.option("--reload", "pid_file", type=click.Path(dir_okay=False, path_type=Path),
              help="Mosquitto's pid file: it is told to read the files anew when they have changed.")  # fmt: skip
@click.option("--watch", is_flag=True, help="Go on, and write them anew within two seconds of a change.")
@click.pass_obj
def mosquitto(data: Path, out: Path, pid_file: Path | None, watch: bool) -> None:
    """Write the passwords and access rules of all devices for a Mosquitto of your own.

    Each device may write its readings and status, and read what is meant for it; nothing else. The server's password is
    that of QUIETWATER_BROKER_PASSWORD, else the embedded broker's.

    \b
    Examples:
      quietwater admin mosquitto --reload /run/mosquitto/mosquitto.pid
      quietwater admin mosquitto --reload /run/mosquitto/mosquitto.pid --watch
    """
    from app.server_registry import open_registry
    from app.settings import ServerSettings, broker_password
    from store.registry.provisioning import mosquitto_hash

    registry = open_registry(data)
    password_hash = mosquitto_hash(broker_password(ServerSettings(data=data)))
    stop = threading.Event()
    if watch:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
    try:
        told: tuple[str, ...] = ()
        while True:
            without = _write_all(registry, password_hash, out, pid_file)
            for name in without:
                if name not in told:
                    click.echo(f"{name} has no password that Mosquitto understands: enrol it anew", err=True)
            told = without
            if not watch or stop.wait(2.0):
                break
    except OSError as error:
        raise click.ClickException(
            f"{error.filename or out}: {error.strerror}; run this with sudo?"
        ) from error
    finally:
        registry.close()


def _write_all(registry: Registry, server_hash: str, out: Path, pid_file: Path | None) -> tuple[str, ...]:
    """Write what has changed, and have it read; return the devices that cannot come in."""
    from sqlalchemy import select

    from app.mosquitto_files import mosquitto_files
    from store.registry.models import Device

    with registry.reader() as session:
        files = mosquitto_files(
            session.scalars(select(Device).order_by(Device.site, Device.name)), server_hash
        )
    out.mkdir(parents=True, exist_ok=True)
    texts = {"passwords": files.passwords, "devices.acl": files.devices_acl, "server.acl": files.server_acl}
    changed = [name for name, text in texts.items() if _write(out / name, text)]
    if changed and pid_file is not None:
        _reload(pid_file)
    return files.without


def _write(path: Path, text: str) -> bool:
    """Write a file whole, for Mosquitto and the owner alone; return whether it was different."""
    with suppress(FileNotFoundError):
        if path.read_text() == text:
            return False
    draft = path.with_name(path.name + ".new")
    draft.touch(mode=0o640)
    draft.chmod(0o640)
    draft.write_text(text)
    if os.geteuid() == 0:
        with suppress(LookupError):  # no such group: Mosquitto runs as somebody else
            shutil.chown(draft, group="mosquitto")
    draft.replace(path)
    return True


def _reload(pid_file: Path) -> None:
    try:
        os.kill(int(pid_file.read_text()), signal.SIGHUP)
    except (OSError, ValueError) as error:
        click.echo(f"Mosquitto was not told to read the files anew ({pid_file}: {error})", err=True)
