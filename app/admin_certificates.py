"""``quietwater admin certificate``: certificates of the broker and of devices, by the server's own authority."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.server_registry import changing, operator, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session

    from store.registry.authority import Authority, Pair
    from store.registry.models import Device


@click.group()
def certificate() -> None:
    """Certificates with which the broker and its devices know one another.

    The authority that signs them is made on first use, in the folder `ca` of the server's data.

    \b
    Step by step (docs/brokers.md):
      quietwater admin certificate server broker.example --out /etc/mosquitto/quietwater
      quietwater admin certificate device lake-side gate --out gate
      quietwater admin certificate revoke lake-side gate
    """


@certificate.command()
@click.argument("names", nargs=-1, required=True, metavar="HOST...")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("/etc/mosquitto/quietwater"),
              show_default=True, help="Folder for server.pem, server.key and ca.pem.")  # fmt: skip
@click.option("--days", type=click.IntRange(1, 3650), default=825, show_default=True)
@click.pass_obj
def server(data: Path, names: tuple[str, ...], out: Path, days: int) -> None:
    """Make the broker's certificate, for the names and addresses under which devices reach it."""
    authority = _authority(data)
    pair = authority.for_server(names, datetime.now(UTC), days=days)
    _give(out, "server", pair, authority)
    click.echo(f"{out / 'server.pem'} counts until {pair.expires_at:%Y-%m-%d}, for {', '.join(names)}")


@certificate.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True,
              help="Folder for client.pem, client.key and ca.pem.")  # fmt: skip
@click.option("--days", type=click.IntRange(1, 3650), default=825, show_default=True)
@click.pass_obj
def client(data: Path, out: Path, days: int) -> None:
    """Make a certificate for the server's own processes, where they reach the broker over TLS.

    \b
    They find the files by their environment:
      QUIETWATER_BROKER_CA=ca.pem  QUIETWATER_BROKER_CERT=client.pem  QUIETWATER_BROKER_KEY=client.key
    """
    from app.broker import SERVER_USER

    authority = _authority(data)
    pair = authority.for_client(SERVER_USER, datetime.now(UTC), days=days)
    _give(out, "client", pair, authority)
    click.echo(
        f"{out / 'client.pem'} counts until {pair.expires_at:%Y-%m-%d}; who has it reads and writes everything"
    )


@certificate.command()
@click.argument("site", metavar="SITE")
@click.argument("name")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True,
              help="Folder for device.pem, device.key and ca.pem; copy it to the device.")  # fmt: skip
@click.option("--days", type=click.IntRange(1, 3650), default=730, show_default=True)
@click.pass_obj
def device(data: Path, site: str, name: str, out: Path, days: int) -> None:
    """Make a certificate for a device. Those that it has go on to count until they are over or revoked.

    \b
    The device's edge.toml names the files:
      [mqtt]
      url = "mqtts://broker.example:8883"
      ca_file = "ca.pem"
      cert_file = "device.pem"
      key_file = "device.key"
    """
    from store.registry.certificates import issue

    authority = _authority(data)
    with _change(data, "certificate.issue", site, name) as (session, row):
        pair = issue(session, authority, row, who=operator(), now=datetime.now(UTC), days=days)
    _give(out, "device", pair, authority)
    click.echo(f"{out / 'device.pem'} counts until {pair.expires_at:%Y-%m-%d}; serial number {pair.serial}")


@certificate.command()
@click.argument("site", metavar="SITE")
@click.argument("name")
@click.option("--serial", help="This one alone; see `quietwater admin certificate list`.")
@click.pass_obj
def revoke(data: Path, site: str, name: str, serial: str | None) -> None:
    """Revoke a device's certificates; they are refused once the broker's files are written anew."""
    from store.registry.certificates import revoke as revoke_all

    with _change(data, "certificate.revoke", site, name) as (session, row):
        gone = revoke_all(session, row, now=datetime.now(UTC), serial=serial)
    click.echo(f"revoked: {', '.join(gone)}")
    click.echo(
        "`quietwater admin mosquitto` or `nats` tells the broker, unless it runs with --watch.", err=True
    )


@certificate.command("list")
@click.pass_obj
def list_all(data: Path) -> None:
    """Show every certificate: whose, until when, whether it counts."""
    from store.registry.certificates import certificates

    now = datetime.now(UTC)
    with reading(data) as session:
        for row in certificates(session):
            state = "revoked" if row.revoked_at else "over" if row.expires_at <= now else "counts"
            click.echo(f"{row.site}/{row.device}\t{state}\tuntil {row.expires_at:%Y-%m-%d}\t{row.serial}")


def _authority(data: Path) -> Authority:
    from store.registry.authority import Authority

    try:
        return Authority.open_or_make(data / "ca", datetime.now(UTC))
    except OSError as error:
        raise click.ClickException(
            f"{error.filename or data / 'ca'}: {error.strerror}; run this with sudo?"
        ) from error
    except ValueError as error:
        raise click.ClickException(f"the authority in {data / 'ca'} cannot be read: {error}") from error


def _give(out: Path, stem: str, pair: Pair, authority: Authority) -> None:
    """Write a certificate and its key, the key for its owner (and the broker's group, where root writes it)."""
    from app.broker_folder import write_files

    texts = {f"{stem}.key": pair.key, f"{stem}.pem": pair.certificate, "ca.pem": authority.certificate_pem}
    try:
        write_files(out, {name: text.decode() for name, text in texts.items()}, "mosquitto")
        if stem != "server":  # that key is the broker's to read
            (out / f"{stem}.key").chmod(0o600)
    except OSError as error:
        raise click.ClickException(
            f"{error.filename or out}: {error.strerror}; run this with sudo?"
        ) from error


@contextmanager
def _change(data: Path, action: str, site: str, name: str) -> Iterator[tuple[Session, Device]]:
    from store.registry.models import Device

    with changing(data, action, f"{site}/{name}") as session:
        row = session.get(Device, (site, name))
        if row is None:
            raise click.ClickException(f"there is no device {name!r} at {site!r}")
        yield session, row
