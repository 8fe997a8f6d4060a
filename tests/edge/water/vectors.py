"""The captured frames of ``tests/data/water``."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[2] / "data" / "water"
FILES = {
    "cjt188": "cjt188_vectors_shared.json",
    "mbus": "mbus_wired_vectors_shared.json",
    "wmbus": "wmbus_water_vectors_shared.json",
    "lorawan": "lorawan_axioma_shared.json",
}


@cache
def load(driver: str) -> dict[str, Any]:
    return json.loads((DATA / FILES[driver]).read_text())


def good(driver: str) -> list[dict[str, Any]]:
    return load(driver)["vectors"]


def bad(driver: str) -> list[dict[str, Any]]:
    return load(driver).get("negative", [])


def by_id(driver: str, name: str) -> dict[str, Any]:
    return next(one for one in good(driver) if one["id"] == name)


def key_of(vector: dict[str, Any]) -> bytes | None:
    key = vector.get("key")
    return bytes.fromhex(key) if key else None


def volume_of(vector: dict[str, Any]) -> Any:
    expected = vector["expected"]
    return expected.get("total_m3", expected.get("current_volume_m3"))
