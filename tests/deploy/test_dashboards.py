"""The dashboards: such as Grafana understands, and InfluxDB answers every question that they ask it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from analysis.rollups import roll_up
from api.metric_table import METRICS, PREFIX
from store.series.address import InfluxAddress
from store.series.influx_setup import init_store
from store.series.influx_store import InfluxStore
from store.series.retention import Retention
from tests.deploy.dashboards import GRAFANA, NAMES, dashboard, datasources, expressions, targets
from tests.deploy.observing import table_name
from tests.store.series.made import HOUR, MINUTE, T0, event, put, seconds, water
from tests.store.series.servers import influxdb

LEVELS = [50 + n % 7 for n in range(2 * 3600)]
STEPS = 30
"""Litres of ten minutes."""
FIGURES = (
    ("against the limits", "log(", 53.45),
    ("Use by day", "sum(", 12 * STEPS),
    ("Night flow", "min(", 6 * STEPS),
)


@pytest.mark.parametrize("name", NAMES)
def test_grafanas_own_model_knows_every_field(name: str) -> None:
    shipped = dashboard(name)
    assert list(_lost(shipped, json.loads(JSONEncoder().encode(Dashboard.from_json(shipped))))) == []


@pytest.mark.parametrize("name", NAMES)
def test_panels_are_named_in_both_languages_and_lie_beside_each_other(name: str) -> None:
    panels = dashboard(name)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        assert re.search(r"[a-zA-Z]", panel["title"]) and re.search(r"[一-鿿0-9]", panel["title"]), panel[
            "title"
        ]
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells


@pytest.mark.parametrize("name", NAMES)
def test_what_is_asked_is_provisioned(name: str) -> None:
    known = datasources()
    used = [target["datasource"] for _, target in targets(name)]
    assert used and all(known[one["uid"]]["type"] == one["type"] for one in used)
    [provider] = yaml.safe_load((GRAFANA / "provisioning/dashboards/quietwater.yaml").read_text())[
        "providers"
    ]
    assert provider["type"] == "file"
    for one in known.values():
        assert one["uid"] == "quietwater-prometheus" or one["jsonData"]["dbName"] == one["uid"]


def test_every_expression_speaks_of_numbers_that_there_are() -> None:
    named = {
        name for one in expressions() for name in re.findall(r"\b(?:quietwater|process)_[a-z_0-9]+", one)
    }
    ours = {table_name(name) for name in named if name.startswith(PREFIX)}
    assert len(ours) > 40 and ours <= {PREFIX + name for name in METRICS}
    assert named - {name for name in named if name.startswith(PREFIX)} == {
        "process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds",
    }  # fmt: skip


@pytest.fixture(scope="module")
def influx(program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """InfluxDB with two hours that our own writer and our own rollups put there."""
    with influxdb(program("influxd"), tmp_path_factory.mktemp("influxdb")) as server:
        address = InfluxAddress(server.url, prefix="quietwater")
        init_store(address, Retention(None, None))
        store = InfluxStore(address)
        put(store, seconds(T0, LEVELS))
        put(store, [water(T0 + n * 10 * MINUTE, 1000 + n * STEPS, flow_m3h=0.18) for n in range(14)])
        put(store, [event(T0)])
        assert roll_up(store, T0 + 2 * HOUR) == 4
        store.close()
        with httpx.Client(base_url=server.url, timeout=60) as client:
            yield client


@pytest.mark.system
@pytest.mark.parametrize(
    ("title", "target"), list(targets("quietwater-quarters")), ids=lambda one: str(one)[:24]
)
def test_influxdb_answers_every_question(influx: httpx.Client, title: str, target: dict[str, Any]) -> None:
    told = _rows(influx, target)
    assert told, title
    for words, function, expected in FIGURES:
        if words in title and function in target["query"]:
            assert told[0][-1] == pytest.approx(expected, abs=0.2)


@pytest.mark.system
def test_the_lists_of_quarters_and_meters_are_filled(influx: httpx.Client) -> None:
    lists = {one["name"]: one for one in dashboard("quietwater-quarters")["templating"]["list"]}
    for name, value in (("site", "garden"), ("meter", "flat-1")):
        asked = {"db": lists[name]["datasource"]["uid"], "q": lists[name]["query"]}
        assert [name_and_value[-1] for name_and_value in _values(influx, asked)][-1] == value


def _rows(influx: httpx.Client, target: dict[str, Any]) -> list[list[Any]]:
    query = target["query"].replace("$timeFilter", f"time >= {_ms(T0)}ms AND time < {_ms(T0 + 3 * HOUR)}ms")
    for name, value in (("$__interval", "1m"), ("$site", "(garden|market)"), ("$meter", "(flat-1)")):
        query = query.replace(name, value)
    query = query.replace("$day_limit_db", "55").replace("$night_limit_db", "45")
    assert "$" not in query.replace("$/", "")
    return _values(influx, {"db": target["datasource"]["uid"], "q": query})


def _values(influx: httpx.Client, asked: dict[str, str]) -> list[list[Any]]:
    answer = influx.get("/query", params={**asked, "epoch": "ms"})
    assert answer.status_code == 200, answer.text
    [result] = answer.json()["results"]
    assert "error" not in result, result
    return [row for series in result.get("series", []) for row in series["values"]]


def _ms(t: datetime) -> int:
    return int(t.timestamp() * 1000)


def _lost(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of what did not come back from the model."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key not in after:
                yield f"{path}/{key}"
            else:
                yield from _lost(value, after[key], f"{path}/{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for n, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _lost(one, other, f"{path}/{n}")
    elif before != after:
        yield path
