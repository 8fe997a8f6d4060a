"""``quietwater admin``: users, sites, devices, meters, contacts and the quarantine, from the command line.

Every change is in the audit log under the name of the operating system's user.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click

from app.admin_certificates import certificate
from app.admin_fleet import config, rollout
from app.admin_init import init
from app.admin_mosquitto import mosquitto
from app.admin_nats import nats
from app.admin_registry import move_registry
from app.admin_store import init_store
from app.server_registry import changing, operator, reading
from app.settings import DEFAULT_DATA
from store.registry import passwords
from store.registry.option import registry_option

_LABELS: Final = ("--zh", "--en")
_ROLES: Final = ("admin", "bureau", "water_office", "manager", "committee", "viewer")
_ZONES: Final = ("0", "1", "2", "3", "4a", "4b")


@click.group()
@click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), default=DEFAULT_DATA, show_default=True,
    envvar="QUIETWATER_DATA", help="Folder of everything that is kept.",
)  # fmt: skip
@registry_option
@click.pass_context
def admin(ctx: click.Context, data: Path) -> None:
    """Users, sites, devices, meters, contacts and the quarantine. Works while the server runs.

    \b
    A new quarter, step by step:
      quietwater admin site add lake-side --zh 湖畔小区 --en "Lakeside" --zone 1
      quietwater admin device add lake-side gate --kind noise --zh 北门 --en "North gate" > edge.toml
      quietwater admin user add wang --role manager --site lake-side
      quietwater admin contact add wang "mailto://user:secret@example.com"
    """
    ctx.obj = data


admin.add_command(init)
admin.add_command(init_store)
admin.add_command(move_registry)
admin.add_command(certificate)
admin.add_command(config)
admin.add_command(rollout)
admin.add_command(mosquitto)
admin.add_command(nats)


# -- users -----------------------------------------------------------------------------------------------------


@admin.group()
def user() -> None:
    """People who log in."""


@user.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(_ROLES), required=True)
@click.option(
    "--site", "sites", multiple=True, help="A site that a manager or viewer may see; repeat for more."
)
@click.option("--language", type=click.Choice(["zh", "en"]), default="zh", show_default=True)
@click.pass_obj
def user_add(data: Path, name: str, role: Any, sites: tuple[str, ...], language: Any) -> None:
    """Make a user and print a password, which is kept nowhere.

    \b
    Example:
      quietwater admin user add wang --role manager --site lake-side
    """
    from store.registry.users import create_user

    password = passwords.for_person()
    with changing(data, "user.add", name, role=role, sites=list(sites)) as session:
        create_user(session, name, password, role=role, now=datetime.now(UTC), sites=sites, language=language)
    click.echo(f"user {name}, password {password}   (shown once)")


@user.command("password")
@click.argument("name")
@click.pass_obj
def user_password(data: Path, name: str) -> None:
    """Give a user a new password, print it, and end all their sessions."""
    from store.registry.users import find_user, set_password

    password = passwords.for_person()
    with changing(data, "user.password", name) as session:
        row = find_user(session, name)
        if row is None:
            raise click.ClickException(f"there is no user {name!r}; `quietwater admin user list` shows them")
        set_password(session, row, password)
    click.echo(f"user {name}, password {password}   (shown once)")


@user.command("list")
@click.pass_obj
def user_list(data: Path) -> None:
    """Show all users."""
    from sqlalchemy import select

    from store.registry.models import User

    with reading(data) as session:
        for row in session.scalars(select(User).order_by(User.name)):
            sites = ", ".join(one.site for one in row.sites) or "all sites"
            click.echo(f"{row.name:20} {row.role:14} {'disabled' if row.disabled else sites}")


# -- sites, devices, meters ------------------------------------------------------------------------------------


def _labels(command: Any) -> Any:
    for option in (
        click.option("--zh", "label_zh", required=True, help="Name that people read, Chinese."),
        click.option("--en", "label_en", required=True, help="Name that people read, English."),
    ):
        command = option(command)
    return command


@admin.group()
def site() -> None:
    """Residential quarters."""


@site.command("add")
@click.argument("name")
@_labels
@click.option(
    "--zone", "zone_class", type=click.Choice(_ZONES), required=True, help="Zone class of GB 3096-2008."
)
@click.option("--district", default="", help="District, as people call it.")
@click.option("--timezone", default="Asia/Shanghai", show_default=True)
@click.option("--latitude", type=click.FloatRange(-90, 90))
@click.option("--longitude", type=click.FloatRange(-180, 180))
@click.pass_obj
def site_add(data: Path, name: str, **values: Any) -> None:
    """Make a site with its default alert rules.

    \b
    Example:
      quietwater admin site add lake-side --zh 湖畔小区 --en "Lakeside" --zone 1
    """
    from analysis.rules.catalog import ensure_default_rules
    from store.registry.provisioning import add_site

    now = datetime.now(UTC)
    with changing(data, "site.add", name, zone_class=values["zone_class"]) as session:
        add_site(session, name, now=now, **values)
        ensure_default_rules(session, name, now)
    click.echo(
        f"site {name} is there; next: quietwater admin device add {name} NAME --kind noise --zh … --en …"
    )


@site.command("list")
@click.pass_obj
def site_list(data: Path) -> None:
    """Show all sites with their devices and meters."""
    from sqlalchemy import select

    from store.registry.models import Site

    with reading(data) as session:
        for row in session.scalars(select(Site).order_by(Site.name)):
            click.echo(f"{row.name:20} {row.label_zh}, {row.label_en}; zone {row.zone_class}, {row.timezone}")
            for one in row.devices:
                click.echo(f"  {one.name:18} {one.kind:8} {one.label_zh}, {one.label_en}")
            click.echo(f"  {len(row.meters)} meters")


@admin.group()
def device() -> None:
    """Raspberry Pis and other agents."""


@device.command("add")
@click.argument("site_name", metavar="SITE")
@click.argument("name")
@_labels
@click.option("--kind", type=click.Choice(["noise", "gateway", "both"]), required=True,
              help="Measures noise, reads water meters, or both.")  # fmt: skip
@click.option("--type-approved", is_flag=True, help="A type-approved meter; else its results are indicative.")
@click.option("--broker", "broker_url", default="mqtt://127.0.0.1:1883", show_default=True,
              help="Address of the broker as the device reaches it.")  # fmt: skip
@click.pass_obj
def device_add(data: Path, site_name: str, name: str, broker_url: str, **values: Any) -> None:
    """Make a device; print the configuration for its agent, and its password on standard error.

    The password goes into the file that the configuration names (mode 600) and is kept nowhere else.

    \b
    Example:
      quietwater admin device add lake-side gate --kind noise --zh 北门 --en "North gate" > edge.toml
    """
    from api.agent_configuration import agent_configuration
    from store.registry.provisioning import add_device

    with changing(data, "device.add", f"{site_name}/{name}", kind=values["kind"]) as session:
        password = add_device(session, site_name, name, now=datetime.now(UTC), **values)
    click.echo(agent_configuration(site_name, name, values["kind"], broker_url))
    click.echo(
        f"password of {site_name}/{name}: {password}   (shown once; goes into edge.password)", err=True
    )


@device.command("password")
@click.argument("site_name", metavar="SITE")
@click.argument("name")
@click.pass_obj
def device_password(data: Path, site_name: str, name: str) -> None:
    """Give a device a new broker password and print it; the old one ends."""
    from store.registry.provisioning import set_device_password

    with changing(data, "device.password", f"{site_name}/{name}") as session:
        password = set_device_password(session, site_name, name)
    click.echo(f"password of {site_name}/{name}: {password}   (shown once)")


@device.command("enrol")
@click.argument("site_name", metavar="SITE")
@click.argument("name")
@click.option("--server", default="http://127.0.0.1:8080", show_default=True, metavar="URL",
              envvar="QUIETWATER_BASE_URL", help="Address of the page as the device reaches it.")  # fmt: skip
@click.option("--valid", "valid_h", type=click.IntRange(1, 720), default=48, show_default=True, metavar="HOURS",
              help="How long the code may be used.")  # fmt: skip
@click.pass_obj
def device_enrol(data: Path, site_name: str, name: str, server: str, valid_h: int) -> None:
    """Make a code with which a machine becomes this device, and print what to type there.

    The code works once and ends those made before. The device's present password ends when the code is used.

    \b
    Example:
      quietwater admin device enrol lake-side gate --server https://quietwater.example
    """
    from store.registry.enrolment import make_code
    from store.registry.models import Device

    now = datetime.now(UTC)
    with changing(data, "device.enrolment", f"{site_name}/{name}") as session:
        row = session.get(Device, (site_name, name))
        if row is None:
            raise click.ClickException(f"there is no device {name!r} at {site_name!r}")
        kept, code = make_code(session, row, who=operator(), now=now, valid_for=timedelta(hours=valid_h))
    click.echo(f"quietwater edge enrol {code} --server {server}")
    click.echo(f"The code works once, until {kept.expires_at:%Y-%m-%d %H:%M} UTC.", err=True)


@admin.group()
def meter() -> None:
    """Water meters."""


@meter.command("add")
@click.argument("site_name", metavar="SITE")
@click.argument("name")
@_labels
@click.option("--device", "device_name", required=True, help="The device that reads it.")
@click.option(
    "--role", type=click.Choice(["household", "master", "public"]), default="household", show_default=True
)
@click.pass_obj
def meter_add(data: Path, site_name: str, name: str, device_name: str, **values: Any) -> None:
    """Make a meter that a device of the site reads.

    \b
    Example:
      quietwater admin meter add lake-side flat-101 --device gate --zh 101室 --en "Flat 101"
    """
    from store.registry.provisioning import add_meter

    with changing(data, "meter.add", f"{site_name}/{name}", device=device_name) as session:
        add_meter(session, site_name, name, device=device_name, now=datetime.now(UTC), **values)
    click.echo(f"meter {site_name}/{name} is there")


# -- contacts, quarantine --------------------------------------------------------------------------------------


@admin.group()
def contact() -> None:
    """Addresses to which a person's alerts go."""


@contact.command("add")
@click.argument("user_name", metavar="USER")
@click.argument("url")
@click.option("--label", default="", help="What the person calls it.")
@click.pass_obj
def contact_add(data: Path, user_name: str, url: str, label: str) -> None:
    """Add an address in the form of apprise (github.com/caronc/apprise/wiki).

    \b
    Examples:
      quietwater admin contact add wang "mailto://user:secret@example.com"
      quietwater admin contact add wang "wecombot://BOTKEY"
      quietwater admin contact add wang "json://127.0.0.1:9000/alerts"
    """
    from analysis.notify.sender import address_fault
    from store.registry.models import Contact
    from store.registry.users import find_user

    fault = address_fault(url)
    if fault is not None:
        raise click.ClickException(fault)
    scheme = url.split("://", 1)[0]
    with changing(data, "contact.add", user_name, scheme=scheme) as session:
        row = find_user(session, user_name)
        if row is None:
            raise click.ClickException(
                f"there is no user {user_name!r}; `quietwater admin user list` shows them"
            )
        session.add(Contact(user_id=row.id, label=label or scheme, url=url, created_at=datetime.now(UTC)))
    click.echo(f"alerts of {user_name}'s sites go to {scheme}://…")


@admin.command()
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.pass_obj
def quarantine(data: Path, limit: int) -> None:
    """Show what arrived and did not validate: counts by code, then the newest rows with their reasons."""
    from store.registry.quarantine import counts, newest

    with reading(data) as session:
        for code, count in sorted(counts(session).items()):
            click.echo(f"{code:20} {count}")
        for row in newest(session, limit=limit):
            times = f" ({row.times} times)" if row.times > 1 else ""
            click.echo(f"{row.last_at:%Y-%m-%d %H:%M:%S} {row.code:16} {row.topic}{times}: {row.reason}")
