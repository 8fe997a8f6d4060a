"""``quietwater edge measure`` as a person or a script uses it."""

from __future__ import annotations

import math
from datetime import datetime

import numpy as np
import pytest
import soundfile

RATE = 48_000


def test_one_object_a_second_and_a_summary(edge_command, json_lines, tmp_path, tone):
    soundfile.write(tmp_path / "a.wav", tone(RATE, 1000, 3.5), RATE, subtype="FLOAT")
    done = edge_command("measure", tmp_path / "a.wav", "--full-scale-db", 117, "--json")
    assert done.returncode == 0 and done.stderr == b""
    *seconds, last = json_lines(done.stdout)
    assert [datetime.fromisoformat(second["t"]).timestamp() for second in seconds] == [0, 1, 2, 3]
    keys = {
        "t",
        "laeq_db",
        "lceq_db",
        "lzeq_db",
        "lafmax_db",
        "lafmin_db",
        "laf_db",
        "lcpeak_db",
        "lae_db",
        "measured_ms",
        "flags",
    }
    assert all(keys <= set(second) for second in seconds)
    assert [second["measured_ms"] for second in seconds] == [1000, 1000, 1000, 500]
    assert [second["flags"] for second in seconds] == [[], [], [], ["gap"]]
    level = 117 - 20 - 3.01
    assert [second["laeq_db"] for second in seconds] == [pytest.approx(level, abs=0.01)] * 4
    summary = last["summary"]
    assert summary["seconds"] == 4 and summary["duration_s"] == 3.5 and summary["flagged_s"] == {"gap": 1}
    assert summary["laeq_db"] == pytest.approx(level, abs=0.01)
    assert summary["lae_db"] == pytest.approx(level + 10 * math.log10(3.5), abs=0.01)
    for key in ("l5_db", "l10_db", "l50_db", "l90_db", "l95_db", "lafmax_db"):
        assert summary[key] == pytest.approx(level, abs=0.1)


def test_a_table_for_people(edge_command, recordings):
    done = edge_command("measure", recordings / "rain-1.ogg")
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 0 and lines[0].split()[:2] == ["time", "LAeq"]
    assert lines[1].startswith("00:00:00") and any(line.startswith("laeq_db") for line in lines)


def test_seconds_can_be_dated_and_limited(edge_command, json_lines, recordings):
    done = edge_command(
        "measure", recordings / "rain-1.ogg", "--start-at", "2026-05-13T04:00:00Z", "--seconds", 2, "--json"
    )
    *seconds, _ = json_lines(done.stdout)
    assert [second["t"] for second in seconds] == ["2026-05-13T04:00:00Z", "2026-05-13T04:00:01Z"]


@pytest.mark.parametrize("channel", [1, 2])
def test_raw_pcm_on_standard_input(edge_command, json_lines, channel, tone):
    stereo = np.stack([tone(RATE, 1000, 2, 0.1), tone(RATE, 1000, 2, 0.2)], axis=1)
    data = (stereo * 32768).astype("<i2").tobytes()
    done = edge_command("measure", "-", "--json", "--channels", 2, "--channel", channel, stdin=data)
    *seconds, _ = json_lines(done.stdout)
    assert len(seconds) == 2
    assert seconds[1]["laeq_db"] == pytest.approx(120 + 20 * math.log10(channel / 10) - 3.01, abs=0.01)


def test_the_spectrum_goes_into_the_summary(edge_command, json_lines, tmp_path, tone):
    soundfile.write(tmp_path / "a.wav", tone(RATE, 1000, 5), RATE, subtype="FLOAT")
    done = edge_command("measure", tmp_path / "a.wav", "--spectrum", "--json")
    summary = json_lines(done.stdout)[-1]["summary"]
    assert summary["first_band"] == 11 and len(summary["bands_db"]) == 33
    assert summary["bands_db"][30 - 11] == pytest.approx(96.99, abs=0.05)


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["none.wav"], b"none.wav does not exist"),
        ([], b"give a FILE or a --device"),
        (["{rain}", "--channel", "2"], b"channel 2"),
        (["-", "--deinterleave"], b"for files"),
        (["{rain}", "--calibration", "{rain}"], b"damaged"),
        (["{rain}", "--full-scale-db", "999"], b"--full-scale-db"),
    ],
)
def test_bad_use_gets_one_line_that_says_why(edge_command, recordings, arguments, cause):
    done = edge_command("measure", *[one.format(rain=recordings / "rain-1.ogg") for one in arguments])
    assert done.returncode in (1, 2) and cause in done.stderr and b"Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["measure", "calibrate", "selftest", "devices"])
def test_help_has_examples(edge_command, name):
    done = edge_command(name, "--help")
    assert (
        done.returncode == 0
        and b"Examples:" in done.stdout
        and f"quietwater edge {name}".encode() in done.stdout
    )
