"""``quietwater admin mosquitto``: keep Mosquitto's files as the registry has them."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("/etc/mosquitto/quietwater"),
              show_default=True, help="Folder of the files that deploy/mosquitto names.")  # fmt: skip
@click.option("--reload", "pid_file", type=click.Path(dir_okay=False, path_type=Path),
              help="Mosquitto's pid file: it is told to read the files anew when they have changed.")  # fmt: skip
@click.option("--watch", is_flag=True, help="Go on, and write them anew within two seconds of a change.")
@click.pass_obj
def mosquitto(data: Path, out: Path, pid_file: Path | None, watch: bool) -> None:
    """Write passwords, access rules and revoked certificates of all devices for a Mosquitto of your own.

    Each device may write its readings and status, and read what is meant for it; nothing else. The server's password is
    that of QUIETWATER_BROKER_PASSWORD, else the embedded broker's.

    \b
    Examples:
      quietwater admin mosquitto --reload /run/mosquitto/mosquitto.pid
      quietwater admin mosquitto --reload /run/mosquitto/mosquitto.pid --watch
    """
    from app.broker_folder import keep_written, tell_to_reload, write_files
    from app.mosquitto_files import files_of, kept_hash
    from app.server_registry import open_registry
    from app.settings import ServerSettings, broker_password
    from store.registry.provisioning import mosquitto_hash, mosquitto_hash_is_of

    registry = open_registry(data)
    password = broker_password(ServerSettings(data=data))
    server_hash = kept_hash(out) or ""
    if not mosquitto_hash_is_of(server_hash, password):
        server_hash = mosquitto_hash(password)

    def turn() -> tuple[str, ...]:
        files = files_of(registry, data / "ca", server_hash, present=out)
        if write_files(out, files.texts, "mosquitto") and pid_file is not None:
            tell_to_reload(pid_file, "Mosquitto")
        return files.complaints

    try:
        keep_written(turn, out, watch=watch)
    finally:
        registry.close()
