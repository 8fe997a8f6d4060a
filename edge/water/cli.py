"""Commands of the water part for ``quietwater edge``."""

from __future__ import annotations

import re
from typing import Final

import click

from edge.water.register import Register

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


COMMANDS: tuple[click.Command, ...] = (decode,)
