"""Commands that work on a bus with meters: ``scan`` and ``simulate-meters``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

if TYPE_CHECKING:
    from edge.water.scan import Found, Progress
    from edge.water.settings_meters import BusSettings
    from edge.water.simulator.serve import Endpoint
    from edge.water.simulator.slaves import Segment, SimulatedMeter

_PROTOCOLS = ("cjt188", "mbus", "modbus")


@click.command()
@click.argument("driver", type=click.Choice(_PROTOCOLS))
@click.option("--port", help="Serial port, such as /dev/ttyUSB0.")
@click.option("--tcp", metavar="HOST:PORT", help="TCP gateway in place of a serial port.")
@click.option("--baud", type=click.IntRange(300, 921_600), help="Default: 2400, for Modbus 9600.")
@click.option("--parity", type=click.Choice(["none", "even", "odd"]), help="Default: even, for Modbus none.")
@click.option(
    "--timeout",
    type=click.FloatRange(0.05, 60),
    default=0.5,
    show_default=True,
    help="Seconds an answer may take.",
)
@click.option("--rtu", is_flag=True, help="Modbus: RTU frames through the TCP gateway.")
@click.option("--primary", is_flag=True, help="M-Bus: try primary addresses 1 to 250 instead of searching.")
@click.option(
    "--addresses", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CJ/T 188: file with one address of 14 digits a line to try, where several meters share the line.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a meter.")
def scan(
    driver: str, port: str | None, tcp: str | None, baud: int | None, parity: Literal["none", "even", "odd"] | None,
    timeout: float, rtu: bool, primary: bool, addresses: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Find the meters on a bus of DRIVER: cjt188, mbus or modbus.

    Prints each as a table for the agent's configuration. M-Bus is searched by secondary address; Modbus by trying
    every unit; CJ/T 188 has no search, so that only a meter alone on its line, or given addresses, can be found. Stop
    the agent first: a bus has one reader.

    \b
    Examples:
      quietwater edge scan mbus --port /dev/ttyUSB0
      quietwater edge scan modbus --tcp 192.168.1.20:502
      quietwater edge scan cjt188 --port /dev/ttyUSB0 --addresses faces.txt
    """
    from edge.water.register import LineError
    from edge.water.scan import ScanError

    bus = _bus(port, tcp, baud, parity, timeout, "rtu" if rtu else None)
    count = 0
    try:
        for found in _scan(driver, bus, primary, addresses, _progress):
            count += 1
            _clear()
            click.echo(_found_json(found) if as_json else _found_toml(driver, found))
    except (LineError, ScanError) as error:
        _clear()
        raise click.ClickException(str(error)) from error
    _clear()
    if not count:
        raise click.ClickException("no meter answered; check wiring, baud rate, parity and addresses")


def _bus(
    port: str | None, tcp: str | None, baud: int | None, parity: Literal["none", "even", "odd"] | None,
    timeout: float, framing: Literal["rtu", "tcp"] | None,
) -> BusSettings:  # fmt: skip
    import msgspec

    from edge.water.settings_meters import BusSettings

    keys = {
        "name": "scan", "port": port, "tcp": tcp, "baud": baud, "parity": parity, "timeout_s": timeout,
        "framing": framing,
    }  # fmt: skip
    if (port is None) == (tcp is None):
        raise click.ClickException("give either --port or --tcp")
    try:
        return msgspec.convert(keys, BusSettings)
    except msgspec.ValidationError as error:
        raise click.ClickException(str(error)) from error


def _scan(
    driver: str, bus: BusSettings, primary: bool, addresses: Path | None, progress: Progress
) -> Iterator[Found]:
    from edge.water import scan as search

    if driver == "modbus":
        from edge.water.modbus_meter import ModbusLink

        link = ModbusLink(bus)
        link.open()
        try:
            yield from search.scan_modbus(link, progress)
        finally:
            link.close()
        return
    from edge.water.line import Line

    line = Line(bus)
    line.open()
    try:
        if driver == "cjt188":
            yield from search.scan_cjt188(
                line, progress, None if addresses is None else iter(_addresses(addresses))
            )
        elif primary:
            yield from search.scan_mbus_primary(line, progress)
        else:
            yield from search.scan_mbus(line, progress)
    finally:
        line.close()


def _addresses(path: Path) -> list[str]:
    lines = [line.strip() for line in path.read_text().splitlines()]
    found = [line for line in lines if line and not line.startswith("#")]
    for one in found:
        if len(one) != 14 or any(digit not in "0123456789abcdefABCDEF" for digit in one):
            raise click.ClickException(f"{path}: {one!r} is no address of 14 digits")
    return found


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[Ktrying {text} ...", err=True, nl=False)


def _clear() -> None:
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", err=True, nl=False)


def _found_json(found: Found) -> str:
    return json.dumps({**found.settings, "about": found.about})


def _found_toml(driver: str, found: Found) -> str:
    keys = "\n".join(f"{key} = {json.dumps(value)}" for key, value in found.settings.items())
    return f'[[water.meters]]  # {found.about}\ndriver = "{driver}"\n{keys}\n'


@click.command("simulate-meters")
@click.argument("driver", type=click.Choice(_PROTOCOLS))
@click.option("--count", type=click.IntRange(1, 250), default=3, show_default=True, help="Meters on the bus.")
@click.option(
    "--tcp", metavar="HOST:PORT", help="Serve on TCP; port 0 takes a free one. Else on a pseudo-terminal."
)
@click.option(
    "--link", type=click.Path(path_type=Path), help="Symbolic link to make for the pseudo-terminal."
)
@click.option(
    "--baud", type=click.IntRange(300, 921_600), default=2400, show_default=True, help="Timing of the line."
)
@click.option(
    "--flow", type=click.IntRange(0, 60_000), default=60, show_default=True, help="Flow of each meter, L/h."
)
@click.option(
    "--telegrams", type=click.IntRange(1, 8), default=1, show_default=True, help="M-Bus: telegrams a readout."
)
@click.option("--rtu", is_flag=True, help="Modbus: RTU frames on TCP, as a gateway has them.")
@click.option(
    "--fault", "faults", multiple=True, metavar="KIND[:SHARE][@METER,...]",
    help="silent, noise, split, echo, checksum, late or other; in which share of the answers, of which meters.",
)  # fmt: skip
@click.option("--seed", type=int, default=1, show_default=True, help="Of the faults' chance.")
def simulate_meters(
    driver: str, count: int, tcp: str | None, link: Path | None, baud: int, flow: int, telegrams: int, rtu: bool,
    faults: tuple[str, ...], seed: int,
) -> None:  # fmt: skip
    """Serve simulated meters of DRIVER (cjt188, mbus or modbus) on a bus, until Ctrl-C.

    Prints the [water] tables with which an agent reads them.

    \b
    Examples:
      quietwater edge simulate-meters cjt188 --count 32 --link /tmp/bus
      quietwater edge simulate-meters mbus --tcp 127.0.0.1:4001 --fault checksum:0.1 --fault silent@2
    """
    from contract.clock import SystemClock
    from edge.water.simulator.faults import parse
    from edge.water.simulator.serve import Server
    from edge.water.simulator.slaves import SimulatedMeter

    try:
        parsed = [parse(one) for one in faults]
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    meters = [SimulatedMeter(number, flow) for number in range(1, count + 1)]
    framing = "tcp" if tcp is not None and not rtu else "rtu"
    segment = _segment(driver, meters, telegrams, framing)
    endpoint = _endpoint(tcp, link)
    server = Server(segment, endpoint, SystemClock(), baud=baud, faults=parsed, seed=seed)
    click.echo(_config(driver, meters, endpoint.where, is_tcp=tcp is not None, baud=baud, rtu=rtu))
    try:
        _serve(server)
    finally:
        endpoint.close()


def _serve(server: object) -> None:
    import signal
    import threading

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    server.run(stop)  # type: ignore[attr-defined]


def _segment(driver: str, meters: Sequence[SimulatedMeter], telegrams: int, framing: str) -> Segment:
    from edge.water.simulator.slaves import Cjt188Segment, MbusSegment, ModbusSegment

    if driver == "cjt188":
        return Cjt188Segment(meters)
    if driver == "mbus":
        return MbusSegment(meters, telegrams)
    return ModbusSegment(meters, framing=framing)


def _endpoint(tcp: str | None, link: Path | None) -> Endpoint:
    from edge.water.simulator.serve import Pty, Tcp

    try:
        if tcp is None:
            return Pty(link)
        host, _, port = tcp.rpartition(":")
        return Tcp(host or "127.0.0.1", int(port))
    except (OSError, ValueError, OverflowError) as error:
        raise click.ClickException(
            f"cannot serve on {tcp or link or 'a pseudo-terminal'}: {error}"
        ) from error


def _config(
    driver: str, meters: Sequence[SimulatedMeter], where: str, *, is_tcp: bool, baud: int, rtu: bool
) -> str:
    lines = [
        "[[water.buses]]",
        'name = "simulated"',
        f'{"tcp" if is_tcp else "port"} = "{where}"',
        f"baud = {baud}",
    ]
    if rtu and is_tcp:
        lines.append('framing = "rtu"')
    for meter in meters:
        keys: dict[str, str | int] = {
            "cjt188": {"address": meter.cjt188_address},
            "mbus": {"primary": meter.number},
            "modbus": {"unit": meter.number, "profile": "modbus-litres"},
        }[driver]
        lines += [
            "",
            "[[water.meters]]",
            f'name = "meter-{meter.number}"',
            f'driver = "{driver}"',
            'bus = "simulated"',
        ]
        lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()] + ["interval_s = 60"]
    return "\n".join(lines)
