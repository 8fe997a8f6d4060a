"""``quietwater edge`` decode, scan, simulate-meters and set-register, as a person uses them."""

import json
import re
import subprocess
import sys
import threading
import tomllib
from contextlib import contextmanager
from decimal import Decimal

import pytest
from click.testing import CliRunner

from edge.water import scan as search
from edge.water.cli import COMMANDS, decode, scan, set_register, simulate_meters
from tests.edge.water import vectors
from tests.edge.water.bench import polled, served, wait_until

CJT = "FEFE6813058967450011008116901F01075504002C005004002C000012300626200500AC16"


def run(command, *arguments):
    result = CliRunner().invoke(command, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_json_is_one_object_with_exact_numbers():
    result = run(decode, "cjt188", CJT, "--json")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout.count("\n") == 1
    assert json.loads(result.stdout, parse_float=Decimal) == {
        "driver": "cjt188",
        "meter": "00110045678905",
        "volume_m3": Decimal("455.07"),
        "resolution_m3": Decimal("0.01"),
        "flow_m3h": None,
        "reverse_m3": None,
        "flags": ["low_battery", "valve_closed"],
        "meter_time": "2026-06-30T12:00:00",
    }


@pytest.mark.parametrize("driver", list(vectors.FILES))
def test_every_vector_exits_0_with_its_value_or_1_with_one_line(driver):
    for vector in vectors.good(driver) + vectors.bad(driver):
        key = ["--key", vector["key"]] if vector.get("key") else []
        result = run(decode, driver, vector["hex"], *key, "--json")
        if result.exit_code == 0:
            found = json.loads(result.stdout, parse_float=Decimal)
            assert found["volume_m3"] == Decimal(str(vectors.volume_of(vector)))
        else:
            assert result.exit_code == 1
            assert result.stdout == ""
            assert re.fullmatch(r"Error: [^\n]+\n", result.stderr)


@pytest.mark.parametrize(
    "text", [CJT.lower(), " ".join(re.findall("..", CJT)), "-".join(re.findall("..", CJT)), CJT + "\n"]
)
def test_hex_as_people_paste_it(text):
    assert run(decode, "cjt188", text, "--json").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["zigbee", "00"], "no driver 'zigbee'; there are cjt188"),
        (["cjt188", "0"], "not hexadecimal"),
        (["cjt188", "zz"], "not hexadecimal"),
        (["cjt188", ""], "0 bytes"),
        (["pulse", "00"], "no frames to decode"),
        (["replay", "00"], "no frames to decode"),
        (["modbus", "0103040001E240E2A3"], "needs a profile"),
        (["cjt188", CJT, "--profile", "mbus"], "is for mbus, not for cjt188"),
        (["cjt188", CJT, "--profile", "none"], "no profile 'none'"),
        (["wmbus", "00", "--key", "xx"], "the key is not hexadecimal"),
        (["mbus", "E5"], "an acknowledgement"),
    ],
)
def test_reasons(arguments, reason):
    result = run(decode, *arguments, "--json")
    assert result.exit_code == 1
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1


def test_modbus_with_its_profile_and_plain_text():
    result = run(decode, "modbus", "0103040001E240E2A3", "--profile", "modbus-litres")
    assert result.exit_code == 0
    assert "volume_m3     123.456" in result.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: str(one.name))
def test_help_has_an_example(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "quietwater edge" in result.stdout


@pytest.fixture
def few_addresses(monkeypatch):
    """Each address that nobody answers to costs its time-out."""
    monkeypatch.setattr(search, "_UNITS", range(1, 6))
    monkeypatch.setattr(search, "_PRIMARIES", range(1, 6))


def scanned(driver, where, over, *more):
    at = "--port" if over == "pty" else "--tcp"
    return run(scan, driver, at, where, "--baud", "115200", "--timeout", "0.4", *more)


@pytest.mark.parametrize("over", ["pty", "tcp"])
@pytest.mark.parametrize(
    ("driver", "numbers"),
    # On M-Bus the first two share their first digit, so that their answers fall together there.
    [("cjt188", [1]), ("mbus", [1, 2_000_000, 50_000_000]), ("modbus", [2, 4])],
)
def test_scan_finds_what_is_there(driver, numbers, over, few_addresses):
    with served(driver, 0, over=over, numbers=numbers) as (where, meters, _server):
        found = [json.loads(line) for line in scanned(driver, where, over, "--json").stdout.splitlines()]
    own = {
        "cjt188": lambda m: {"address": m.cjt188_address},
        "mbus": lambda m: {"secondary": m.mbus_serial + "EE460107"},
        "modbus": lambda m: {"unit": m.number},
    }[driver]
    assert [{key: value for key, value in one.items() if key != "about"} for one in found] == [
        own(one) for one in meters
    ]


def test_scan_by_primary_address(few_addresses):
    with served("mbus", 2) as (where, _meters, _server):
        result = scanned("mbus", where, "pty", "--primary")
    assert re.findall(r"^primary = (\d+)$", result.stdout, re.MULTILINE) == ["1", "2"]


def test_scan_by_given_addresses(tmp_path):
    with served("cjt188", 2) as (where, meters, _server):
        several = scanned("cjt188", where, "pty")
        assert several.exit_code == 1
        assert "several meters answer at once" in several.stderr
        faces = tmp_path / "faces"
        faces.write_text(f"# faces\n{meters[1].cjt188_address}\n{'9' * 14}\n")
        result = scanned("cjt188", where, "pty", "--addresses", str(faces))
    (found,) = tomllib.loads(result.stdout)["water"]["meters"]
    assert found == {"driver": "cjt188", "address": meters[1].cjt188_address}


def test_scan_of_a_quiet_or_missing_bus():
    with served("cjt188", 1, faults=["silent"]) as (where, _meters, _server):
        quiet = run(scan, "cjt188", "--port", where, "--timeout", "0.1")
    assert "no meter answered" in quiet.stderr
    assert "cannot be opened" in run(scan, "mbus", "--port", "/dev/no-such-port").stderr
    assert "cannot be opened" in run(scan, "modbus", "--tcp", "127.0.0.1:1").stderr
    assert "either --port or --tcp" in run(scan, "mbus").stderr
    assert "tcp" in run(scan, "mbus", "--tcp", "nonsense").stderr


@contextmanager
def simulator(*arguments):
    command = [
        sys.executable,
        "-c",
        "from edge.water.cli import simulate_meters; simulate_meters()",
        *arguments,
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")), daemon=True)
    reader.start()
    try:
        yield process, lines
    finally:
        process.terminate()
        process.wait(60)
        reader.join(5)
        process.stdout.close()
        process.stderr.close()


@pytest.mark.system
@pytest.mark.parametrize("driver", ["cjt188", "mbus", "modbus"])
def test_the_simulator_prints_the_tables_with_which_it_is_read(driver, tmp_path):
    link = tmp_path / "bus"
    for where in (["--link", str(link)], ["--tcp", "127.0.0.1:0"]):
        with simulator(driver, "--count", "2", "--baud", "115200", *where) as (process, lines):
            wait_until(lambda lines=lines: sum("interval_s" in one for one in lines) == 2)
            tables = tomllib.loads("".join(lines))["water"]
            with polled(tables, tmp_path) as output:
                wait_until(lambda output=output: output.count() == {"meter-1": 1, "meter-2": 1})
            process.terminate()
            assert process.wait(60) == 0
    assert not link.is_symlink()


def test_the_simulator_refuses_faults_it_does_not_know():
    result = run(simulate_meters, "mbus", "--fault", "fire")
    assert result.exit_code == 1
    assert "KIND of silent, noise" in result.stderr
    assert "cannot serve on" in run(simulate_meters, "mbus", "--tcp", "256.0.0.1:1").stderr


def test_a_register_is_set_by_hand(tmp_path):
    config = tmp_path / "edge.toml"
    config.write_text(
        f'site = "s"\ndevice = "d"\ndata = "{tmp_path}"\n'
        '[[water.meters]]\nname = "tap"\ndriver = "pulse"\npin = 17\npulse_ml = 10000\n'
    )
    result = run(set_register, "tap", "123.456", "--config", str(config))
    assert result.exit_code == 0, result.output
    assert "123.45 m3 from its next reading on" in result.stdout
    assert json.loads((tmp_path / "water-pulse-tap.set.json").read_text()) == {"volume_ml": 123_456_000}
    assert "has no pulse meter 'x'; it has tap" in run(set_register, "x", "1", "--config", str(config)).stderr
    assert "no volume in m3" in run(set_register, "tap", "many", "--config", str(config)).stderr
    assert "not negative" in run(set_register, "tap", "--config", str(config), "--", "-1").stderr
