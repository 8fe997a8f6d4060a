"""What `docs/observability.md` shows of the metrics and the alerts, made from those themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from api.metric_table import HISTOGRAMS, METRICS, PREFIX, Described, kind_of

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"


def rules() -> list[dict[str, Any]]:
    [group] = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    return group["rules"]


def metrics_table(metrics: Mapping[str, Described] = METRICS) -> list[str]:
    rows = [
        f"| `{name}` | {kind_of(name)} | {', '.join(f'`{one}`' for one in what.labels)} | {what.meaning} |"
        for name, what in metrics.items()
    ]
    return ["| name | type | labels | meaning |", "| --- | --- | --- | --- |", *_plain(rows)]


def alerts_table() -> list[str]:
    rows = []
    for rule in rules():
        when = " ".join(rule["expr"].split())
        rows.append(
            f"| `{rule['alert']}` | {rule['labels']['severity']} | {rule.get('for', 'at once')} | `{when}` |"
        )
    return ["| alert | severity | after | when |", "| --- | --- | --- | --- |", *rows]


def table_name(name: str) -> str:
    """Return the name in the table of a series of a histogram."""
    bare = re.sub(r"_(bucket|count|sum)$", "", name)
    return bare if bare.removeprefix(PREFIX) in HISTOGRAMS else name


def _plain(rows: Iterable[str]) -> list[str]:
    return [row.replace("|  |", "| |") for row in rows]
