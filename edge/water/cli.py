"""Commands of the water part for ``quietwater edge``."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

import click

from edge.water.cli_bus import scan, simulate_meters
from edge.water.register import Register, cubic_metres

_SEPARATORS: Final = re.compile(r"[\s:-]+")


@click.command()
@click.argument("driver")
@click.argument("frame", metavar="HEX")
@click.option("--key", help="AES-128 key of the meter, 32 hexadecimal digits (wmbus, mbus).")
@click.option("--profile", help="Meter profile: a name, or the path of a .toml file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def decode(driver: str, frame: str, key: str | None, profile: str | None, as_json: bool) -> None:
    """Decode one frame of a meter, HEX, with DRIVER.

    Prints the reading and exits 0, or one line on standard error that says why the frame holds none and exits 1.
    Drivers: cjt188, mbus, wmbus, modbus (needs --profile), lorawan.

    \b
    Examples:
      quietwater edge decode cjt188 FEFE68102613060700337881161F9004006800002C...7316 --json
      quietwater edge decode wmbus 2E4401069897969501167A... --key 00112233445566778899AABBCCDDEEFF
    """
    from edge.water.drivers import DRIVERS
    from edge.water.drivers import decode as decode_frame
    from edge.water.profiles import ProfileError
    from edge.water.register import MeterError

    if driver not in DRIVERS:
        raise click.ClickException(f"no driver {driver!r}; there are {', '.join(DRIVERS)}")
    raw = _hex("the frame", frame)
    try:
        register = decode_frame(driver, raw, profile, None if key is None else _hex("the key", key))
    except (MeterError, ProfileError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(_json(driver, register) if as_json else _text(register))


def _hex(what: str, text: str) -> bytes:
    try:
        return bytes.fromhex(_SEPARATORS.sub("", text))
    except ValueError as error:
        raise click.ClickException(f"{what} is not hexadecimal, two digits a byte") from error


def _json(driver: str, register: Register) -> str:
    import msgspec

    found = {"driver": driver, **_values(register)}
    # Decimals are written digit by digit: 1234.57 stays 1234.57.
    return msgspec.json.Encoder(decimal_format="number").encode(found).decode()


def _values(register: Register) -> dict[str, object]:
    from contract.flags import names

    return {
        "meter": register.serial,
        "volume_m3": register.volume_m3,
        "resolution_m3": register.resolution_m3,
        "flow_m3h": register.flow_m3h,
        "reverse_m3": register.reverse_m3,
        "flags": names(register.flags),
        "meter_time": register.meter_time,
    }


def _text(register: Register) -> str:
    shown = {
        key: " ".join(value) if isinstance(value, list) else value for key, value in _values(register).items()
    }
    return "\n".join(f"{key:14}{'-' if value in (None, '') else value}" for key, value in shown.items())


@click.command("set-register")
@click.argument("meter")
@click.argument("volume_m3", metavar="VOLUME")
@click.option(
    "--config", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The agent's configuration file.",
)  # fmt: skip
def set_register(meter: str, volume_m3: str, config: Path) -> None:
    """Set the register of a pulse METER to the VOLUME on its face, in m3.

    The agent, running or not, takes it in at the meter's next reading, and marks that a new register starts there.

    \b
    Example:
      quietwater edge set-register garden-tap 123.456 --config /etc/quietwater/edge.toml
    """
    from edge.config import ConfigError, load
    from edge.water.pulse import request_register
    from edge.water.settings_meters import PulseMeter

    try:
        loaded = load(config)
        volume_ml = int(Decimal(volume_m3) * 1_000_000)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise click.ClickException(f"{volume_m3!r} is no volume in m3, such as 123.456") from error
    meters = () if loaded.water is None else loaded.water.meters
    settings = next((one for one in meters if isinstance(one, PulseMeter) and one.name == meter), None)
    if settings is None:
        names = ", ".join(one.name for one in meters if isinstance(one, PulseMeter)) or "none"
        raise click.ClickException(f"{config} has no pulse meter {meter!r}; it has {names}")
    if volume_ml < 0:
        raise click.ClickException("a register is not negative")
    try:
        request_register(Path(loaded.data), meter, volume_ml)
    except OSError as error:
        raise click.ClickException(f"cannot be left for the agent: {error}") from error
    taken = cubic_metres(volume_ml // settings.pulse_ml, settings.pulse_ml)
    click.echo(f"{meter}: {taken} m3 from its next reading on (one pulse is {settings.pulse_ml} mL)")


COMMANDS: tuple[click.Command, ...] = (decode, scan, simulate_meters, set_register)
