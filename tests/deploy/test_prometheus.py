"""Prometheus' configuration and alerts, by Prometheus' own tools; and that they speak of numbers that there are."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from api.metric_table import METRICS, PREFIX
from tests.deploy.observing import PROMETHEUS, ROOT, alerts_table, metrics_table, rules, table_name

OTHERS = {"up", "process_resident_memory_bytes"}
"""What is not ours: Prometheus' own, and its client's of each process."""


def promtool(program: Callable[[str], str], *words: str) -> str:
    done = subprocess.run(
        [program("promtool"), *words], capture_output=True, text=True, timeout=90, check=False, cwd=PROMETHEUS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_configuration_is_valid(program: Callable[[str], str], tmp_path: Path) -> None:
    (tmp_path / "token").write_text("qwt_x")
    here = tmp_path / "prometheus.yml"
    here.write_text(
        (PROMETHEUS / "prometheus.yml")
        .read_text()
        .replace("/etc/prometheus/quietwater.token", str(tmp_path / "token"))
    )
    (tmp_path / "alerts.yml").write_bytes((PROMETHEUS / "alerts.yml").read_bytes())
    assert f"{len(rules())} rules found" in promtool(program, "check", "config", str(here))


def test_every_alert_fires_when_it_should_and_not_before(program: Callable[[str], str]) -> None:
    assert "SUCCESS" in promtool(program, "test", "rules", "alerts_test.yml")
    tried = {one["name"] for one in yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())["tests"]}
    assert {rule["alert"] for rule in rules()} <= tried


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_speaks_of_numbers_that_there_are(rule: dict) -> None:
    named = set(re.findall(r"\b(?:quietwater|process)_[a-z_0-9]+|\bup\b", rule["expr"]))
    assert named and rule["annotations"]["summary"] and rule["annotations"]["cure"]
    assert {table_name(name) for name in named} <= {PREFIX + name for name in METRICS} | OTHERS


def test_the_page_shows_the_numbers_and_the_alerts_as_they_are() -> None:
    lines = (ROOT / "docs" / "observability.md").read_text().splitlines()
    for table in (metrics_table(), alerts_table()):
        begin = lines.index(table[0])
        end = next(n for n in range(begin, len(lines) + 1) if n == len(lines) or not lines[n].startswith("|"))
        assert lines[begin:end] == table, "write it anew:\n" + "\n".join(table)
