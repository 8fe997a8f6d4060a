"""The selftest: it passes with our chain, and it can fail."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edge.sound import chain, iec, octaves, selftest
from edge.sound.selftest import Check, run_selftest


@pytest.mark.slow
def test_every_check_passes_with_room_to_spare():
    checks = list(run_selftest(48_000))
    assert len(checks) > 250 and all(check.passed for check in checks)
    clauses = {check.clause for check in checks}
    assert {"IEC 61672-1, 5.5", "IEC 61672-1, 5.9", "IEC 61672-1, 5.13", "IEC 61260-1, 5.10"} <= clauses
    weightings = [check for check in checks if check.item.startswith(("A at", "C at", "Z at"))]
    assert len(weightings) == 3 * len(iec.WEIGHTING_LIMITS)
    assert max(abs(check.deviation_db) for check in weightings) <= 0.005
    bursts = [check for check in checks if "burst of" in check.item]
    assert len(bursts) == 12 + 12 + 9
    assert max(abs(check.deviation_db) for check in bursts) <= 0.2


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 44_100, 96_000])
def test_other_rates_pass_without_the_bands(rate):
    tables = (
        selftest._weightings, selftest._at_1k, selftest._tonebursts, selftest._decays, selftest._peaks,
        selftest._linearity, selftest._overload,
    )  # fmt: skip
    checks = [check for table in tables for check in table(rate)]
    assert len(checks) > 100 and [check for check in checks if not check.passed] == []


def test_a_wrong_weighting_is_found(monkeypatch):
    """The bilinear design, which many meters use: class 1 fails at the top of the band."""
    from scipy import signal

    poles = -2 * np.pi * np.array([20.598997, 20.598997, 107.65265, 737.86223, 12194.217, 12194.217])
    z, p, k = signal.bilinear_zpk([0, 0, 0, 0], poles, 1.0, 48_000)
    wrong = signal.zpk2sos(z, p, k)
    _, at_1k = signal.sosfreqz(wrong, [1000.0], fs=48_000)
    wrong[0, :3] /= abs(at_1k[0])
    monkeypatch.setattr(chain, "sections", lambda letter, rate: wrong)
    failed = {check.item for check in selftest._weightings(48_000) if not check.passed}
    assert "A at 20000 Hz" not in failed  # there class 1 has no lower limit
    assert {item for item in failed if item.startswith("A")} <= {"A at 12500 Hz", "A at 16000 Hz"}
    assert any(item.startswith("C") for item in failed)


def test_a_wrong_time_constant_is_found(monkeypatch):
    monkeypatch.setattr(chain, "F_TIME_S", 0.2)
    assert any(not check.passed for check in selftest._tonebursts(48_000))
    assert any(not check.passed for check in selftest._decays(48_000))


def test_a_band_filter_of_too_low_an_order_is_found(monkeypatch):
    monkeypatch.setattr(octaves, "_ORDER", 2)
    assert any(not check.passed for check in selftest._bands(8000))


@pytest.mark.parametrize(
    ("deviation", "upper", "lower", "margin"),
    [(0.2, 1.0, -1.0, 0.8), (-0.9, 1.0, -1.0, 0.1), (1.5, 1.0, -1.0, -0.5), (-50.0, 3.0, -iec.INF, 53.0)],
)
def test_a_margin_is_to_the_nearer_limit(deviation, upper, lower, margin):
    check = Check("clause", "item", 0.0, deviation, upper, lower)
    assert check.margin_db == pytest.approx(margin) and check.passed == (margin >= 0)


@pytest.mark.slow
def test_the_command_prints_margins_and_keeps_a_report(edge_command, tmp_path):
    done = edge_command("selftest", "--rate", 8000, "--report", tmp_path / "report.json")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode().splitlines()
    assert lines[-1].endswith("0 outside class 1") and all("margin" in line for line in lines[:-1])
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["passed"] and report["rate_hz"] == 8000 and len(report["checks"]) == len(lines) - 1
