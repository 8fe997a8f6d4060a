"""``quietwater admin nats``: keep the users of a NATS server as the registry has them."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("/etc/nats/quietwater"),
              show_default=True, help="Folder of the files that deploy/nats/quietwater.conf names.")  # fmt: skip
@click.option("--reload", "pid_file", type=click.Path(dir_okay=False, path_type=Path),
              help="nats-server's pid file: it is told to read the files anew when they have changed.")  # fmt: skip
@click.option("--watch", is_flag=True, help="Go on, and write them anew within two seconds of a change.")
@click.pass_obj
def nats(data: Path, out: Path, pid_file: Path | None, watch: bool) -> None:
    """Write a user for each certificate of a device that counts, for a NATS server or cluster of your own.

    Each device may write its readings and status, and read what is meant for it; nothing else. The server's password is
    that of QUIETWATER_BROKER_PASSWORD, else the embedded broker's.

    \b
    Example:
      quietwater admin nats --reload /run/nats-server.pid --watch
    """
    import bcrypt

    from app.broker_folder import keep_written, tell_to_reload, write_files
    from app.server_registry import open_registry
    from app.settings import ServerSettings, broker_password

    registry = open_registry(data)
    password = broker_password(ServerSettings(data=data)).encode()

    def turn() -> tuple[str, ...]:
        from app.nats_files import files_of

        try:
            files = files_of(registry, data / "ca", _kept_hash(out / "server.hash", password), present=out)
        except ValueError as error:
            raise click.ClickException(str(error)) from error
        if write_files(out, files.texts, "nats") and pid_file is not None:
            tell_to_reload(pid_file, "nats-server")
        return files.complaints

    def _kept_hash(path: Path, password: bytes) -> str:
        """Return the hash that is there while it is of this password: a new one would be another file each time."""
        if path.exists() and bcrypt.checkpw(password, (kept := path.read_bytes().strip())):
            return kept.decode()
        made = bcrypt.hashpw(password, bcrypt.gensalt(6, prefix=b"2a")).decode()
        write_files(out, {path.name: made + "\n"}, "nats")
        return made

    try:
        keep_written(turn, out, watch=watch)
    finally:
        registry.close()
