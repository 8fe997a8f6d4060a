"""Grafana's dashboards as they are shipped: their panels, and what these ask."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from tests.deploy.observing import ROOT

GRAFANA = ROOT / "deploy" / "grafana"
NAMES = ("quietwater-operations", "quietwater-quarters")


def dashboard(name: str) -> dict[str, Any]:
    return json.loads((GRAFANA / "dashboards" / f"{name}.json").read_text())


def targets(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each panel's title and what it asks."""
    for panel in dashboard(name)["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target


def expressions() -> list[str]:
    return [target["expr"] for _, target in targets("quietwater-operations")]


def datasources() -> Mapping[str, dict[str, Any]]:
    path = GRAFANA / "provisioning" / "datasources" / "quietwater.yaml"
    return {one["uid"]: one for one in yaml.safe_load(path.read_text())["datasources"]}
