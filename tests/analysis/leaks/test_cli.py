"""The command: files in, alarms out, and what it says of files that are not what they should be."""

from __future__ import annotations

import csv
import fcntl
import gzip
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from analysis.leaks.cli import leaks
from app.cli import main

START = datetime(2026, 3, 1)  # noqa: DTZ001 - files carry clock times
HOUR = timedelta(hours=1)
DAY_LPH = [0, 0, 0, 0, 0, 0, 20, 35, 10, 0, 0, 8, 15, 5, 0, 0, 0, 10, 30, 25, 10, 5, 0, 0]


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(leaks, [str(one) for one in arguments])


def _household(leak_lph: float = 12.0, days: int = 40, leak_from: int = 30) -> str:
    """A flat whose days are all alike, with a leak from day ``leak_from`` on."""
    lines, register = ["t;other;reading_l;meter"], 1000.0
    for hour in range(days * 24):
        lines.append(f"{START + hour * HOUR:%Y-%m-%d %H:%M:%S};x;{register:.0f};flat-1")
        register += DAY_LPH[hour % 24] + (leak_lph if hour >= leak_from * 24 else 0.0)
    return "\n".join(lines) + "\n"


@pytest.fixture
def leaking(tmp_path: Path) -> Path:
    path = tmp_path / "flat.csv"
    path.write_text(_household(), encoding="utf-8-sig")
    return path


def test_a_leak_is_told_with_time_kind_size_and_reason(leaking: Path, tmp_path: Path) -> None:
    out = tmp_path / "alarms.csv"
    result = _run("household", leaking, "--out", out)
    assert result.exit_code == 0, result.output
    with out.open(encoding="utf-8") as file:
        (alarm,) = csv.DictReader(file)
    assert list(alarm) == ["unit", "t", "kind", "flow_lph", "explanation"]
    assert (alarm["unit"], alarm["kind"]) == ("flat-1", "continuous_flow")
    late = datetime.fromisoformat(alarm["t"]) - (START + timedelta(days=30))
    assert timedelta(0) < late <= timedelta(hours=24)
    assert abs(float(alarm["flow_lph"]) - 12.0) < 1.0
    assert "since 2026-03-31" in alarm["explanation"]
    assert _run("household", leaking, "--out", "-").stdout == out.read_text(encoding="utf-8")
    assert "漏水约 12.0 L/h" in _run("household", leaking, "--language", "zh").stdout


def test_gzip_order_of_lines_and_repeats_make_no_difference(leaking: Path, tmp_path: Path) -> None:
    head, *lines = leaking.read_text(encoding="utf-8-sig").splitlines()
    other = tmp_path / "other.csv.gz"
    with gzip.open(other, "wt", encoding="utf-8") as file:
        file.write("\n".join([head, *reversed(lines), *lines[:50]]))
    assert _run("household", other).stdout == _run("household", leaking).stdout


def test_a_meter_in_two_files_is_one_meter(leaking: Path, tmp_path: Path) -> None:
    head, *lines = leaking.read_text(encoding="utf-8-sig").splitlines()
    for name, part in (("a.csv", lines[:500]), ("b.csv", lines[500:])):
        (tmp_path / name).write_text("\n".join([head, *part]), encoding="utf-8")
    assert (
        _run("household", tmp_path / "b.csv", tmp_path / "a.csv").stdout == _run("household", leaking).stdout
    )


def test_meter_faults_are_told_where_they_are_asked_for(tmp_path: Path) -> None:
    lines = _household(leak_lph=0.0).splitlines()
    path = tmp_path / "gap.csv"
    path.write_text("\n".join(lines[:500] + lines[560:]), encoding="utf-8")
    assert len(_run("household", path).stdout.splitlines()) == 1
    assert ",silent,0.00," in _run("household", path, "--faults").stdout


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("household", "", "empty"),
        ("household", "meter,t\na,2026-03-01\n", "line 1: no column 'reading_l'; there are meter, t"),
        ("household", "meter,t,reading_l\na,yesterday,1\n", "line 2, column 't': 'yesterday' is not a time"),
        ("household", "meter,t,reading_l\na,2026-03-01,1\na,2026-03-02,1 m3\n", "line 3, column 'reading_l': '1 m3'"),
        ("household", "meter,t,reading_l\na,2026-03-01,inf\n", "line 2, column 'reading_l': an infinite"),
        ("household", "meter,t,reading_l\n,2026-03-01,1\n", "line 2, column 'meter': it is empty"),
        ("household", "meter,t,reading_l\na,2026-03-01\n", "line 2: 2 fields where there are 3 columns"),
        ("household", "meter,t,reading_l\n", "no readings"),
        (
            "household", "meter,t,reading_l\na,2026-03-01T00:00:00+08:00,1\na,2026-03-01T01:00:00,1\n",
            "line 3, column 't': some times of this file have an offset",
        ),
        ("household", "meter,t,t,reading_l\n", "line 1: two columns are called 't'"),
        ("quarter", "t,flat-1\n2026-03-01,1\n", "no column 'master_l'"),
        ("quarter", "t,master_l\n2026-03-01,1\n", "no column beside t, master_l"),
        ("quarter", "t,master_l,flat-1\n2026-03-01,1,x\n", "line 2, column 'flat-1': 'x' is not a number"),
        ("quarter", "t,master_l,flat-1\n2026-03-01,1,1\n", "no two hours"),
        ("district", "t\n2026-03-01\n", "no column beside t"),
        ("district", "t,north\n2026-03-01,1.0\n", "no two times"),
        ("district", "t,north\n2026-03-01,1.0\n2026-03-01 01:00,1,2\n", "line 3: 3 fields"),
    ],
)  # fmt: skip
def test_a_bad_file_is_named_with_line_and_column(kind: str, text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text, encoding="utf-8")
    result = _run(kind, path)
    assert result.exit_code == 1
    assert result.stdout == "" and "bad.csv" in result.stderr and said in result.stderr
    assert result.stderr.count("\n") <= 2


def test_what_is_no_text_or_a_broken_archive_is_said(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv.gz"
    path.write_bytes(gzip.compress(_household().encode())[:200])
    assert "cannot be read" in _run("household", path).stderr
    path.write_bytes(b"meter,t,reading_l\n\xff\xfe,2026-03-01,1\n")
    assert "not UTF-8" in _run("household", path).stderr


def test_an_output_that_cannot_be_written_is_said(leaking: Path, tmp_path: Path) -> None:
    result = _run("household", leaking, "--out", tmp_path / "no" / "alarms.csv")
    assert result.exit_code == 1 and "cannot be written" in result.stderr


def test_a_quarter_is_called_by_the_number_in_its_name(tmp_path: Path) -> None:
    from analysis.leaks.files import quarter_names

    named = [tmp_path / f"bench_quarter{n}_x.csv.gz" for n in (3, 1)]
    assert quarter_names(named) == ["3", "1"]
    assert quarter_names([tmp_path / "garden.csv", tmp_path / "quarter7.csv"]) == ["1", "2"]


def test_help_has_examples() -> None:
    for words in (["leaks"], ["leaks", "household"], ["leaks", "quarter"], ["leaks", "district"]):
        result = CliRunner().invoke(main, [*words, "--help"])
        assert result.exit_code == 0 and "Examples:" in result.output


def test_ctrl_c_keeps_what_was_written(tmp_path: Path) -> None:
    """Many meters, interrupted when the first alarms are out: whole lines, no traceback."""
    head, *lines = _household().splitlines()
    path = tmp_path / "many.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write(head + "\n")
        for meter in range(60):
            file.writelines(line.replace("flat-1", f"flat-{meter}") + "\n" for line in lines)
    program = "import sys; from app.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", program, "leaks", "household", str(path), "--out", "-"]
    pipe = subprocess.PIPE
    # A small pipe, read byte by byte: it has more to write than fits, and waits until it is interrupted.
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, bufsize=0) as process:
        assert process.stdout is not None
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
        try:
            written = [process.stdout.readline() for _ in range(3)]
            process.send_signal(signal.SIGINT)
            rest, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    said = errors.decode()
    assert process.returncode == 1 and "Aborted" in said and "Traceback" not in said
    text = (b"".join(written) + rest).decode()
    assert text.endswith("\n") and 3 <= len(text.splitlines()) < 61
    assert all(line.startswith("flat-") for line in text.splitlines()[1:])
