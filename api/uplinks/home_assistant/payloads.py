"""What Home Assistant is told, as pure functions: discovery configs and states.

Keys, device classes and their units are those of Home Assistant's documentation: "MQTT" (discovery), "MQTT Sensor",
"MQTT binary sensor" and "Sensor" (device classes). A ``null`` in a state is shown as unknown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Language = Literal["zh", "en"]

ONLINE: Final = b"online"
OFFLINE: Final = b"offline"
EXPIRE_LEAST_S: Final = 60
WATER_EXPIRE_S: Final = 1800
"""A meter's state is sent when it changes, and at least three times within this."""


@dataclass(frozen=True, slots=True)
class Naming:
    """Where things lie at the broker, and in which language they are named. ``interval_s`` is between two states."""

    discovery_prefix: str = "homeassistant"
    base_topic: str = "quietwater"
    language: Language = "zh"
    interval_s: float = 10.0

    @property
    def node(self) -> str:
        """The node id: the base topic as one level, the beginning of every unique id."""
        return self.base_topic.replace("/", "_")

    @property
    def availability_topic(self) -> str:
        """Where ``online`` and, as last will, ``offline`` lie."""
        return f"{self.base_topic}/status"

    @property
    def birth_topic(self) -> str:
        """Where Home Assistant says that it has started."""
        return f"{self.discovery_prefix}/status"

    @property
    def configs_filter(self) -> str:
        """Matches every discovery config of this node."""
        return f"{self.discovery_prefix}/+/{self.node}/+/config"

    def state_topic(self, thing: Thing) -> str:
        """Where a thing's state goes."""
        return "/".join(filter(None, (self.base_topic, thing.site, thing.kind, thing.name, "state")))


@dataclass(frozen=True, slots=True)
class Thing:
    """A site (with an empty name), a noise device or a water meter."""

    kind: Literal["site", "noise", "water"]
    site: str
    name: str
    label_zh: str
    label_en: str

    @property
    def key(self) -> str:
        """Unique within a server: names have no underscore."""
        return "_".join(filter(None, (self.site, self.kind, self.name)))

    def label(self, language: Language) -> str:
        """Return its name for people."""
        return (self.label_zh if language == "zh" else self.label_en) or self.name or self.site


@dataclass(frozen=True, slots=True)
class _Entity:
    """One value of a thing: ``key`` in the state's JSON, names, and what Home Assistant is to know of it."""

    component: Literal["sensor", "binary_sensor"]
    key: str
    name_zh: str
    name_en: str
    settings: Mapping[str, Any] = field(default_factory=dict)


def _measured(
    unit: str, device_class: str, decimals: int, state_class: str = "measurement"
) -> dict[str, Any]:
    return {
        "unit_of_measurement": unit, "device_class": device_class, "state_class": state_class,
        "suggested_display_precision": decimals,
    }  # fmt: skip


_ENTITIES: Final[Mapping[str, tuple[_Entity, ...]]] = {
    "site": (
        _Entity("sensor", "alerts", "未结束的告警", "Open alerts", {"state_class": "measurement"}),
    ),
    "noise": (
        _Entity("sensor", "laeq_db", "等效声级 LAeq", "LAeq", _measured("dBA", "sound_pressure", 1)),
        _Entity("sensor", "lafmax_db", "最大声级 LAFmax", "LAFmax", _measured("dBA", "sound_pressure", 1)),
        _Entity("binary_sensor", "over_limit", "超过限值", "Above the limit", {"device_class": "problem"}),
    ),
    "water": (
        _Entity("sensor", "volume_m3", "累计用水量", "Volume", _measured("m³", "water", 3, "total_increasing")),
        _Entity("sensor", "flow_m3h", "流量", "Flow", _measured("m³/h", "volume_flow_rate", 3)),
    ),
}  # fmt: skip
_MODELS: Final[Mapping[str, tuple[str, str]]] = {
    "site": ("小区", "Residential quarter"),
    "noise": ("噪声监测点", "Noise monitor"),
    "water": ("水表", "Water meter"),
}


def discovery(naming: Naming, things: Iterable[Thing]) -> dict[str, bytes]:
    """Return each entity's config by its topic."""
    return {
        f"{naming.discovery_prefix}/{entity.component}/{naming.node}/{thing.key}_{entity.key}/config": _encode(
            _config(naming, thing, entity)
        )
        for thing in things
        for entity in _ENTITIES[thing.kind]
    }


def noise_state(laeq_db: float | None, lafmax_db: float | None, limit_db: float) -> bytes:
    """Return a noise device's state; levels in dB, ``None`` without valid time."""
    over = None if laeq_db is None else "ON" if laeq_db > limit_db else "OFF"
    return _encode(
        {
            "laeq_db": _rounded(laeq_db, 2), "lafmax_db": _rounded(lafmax_db, 2),
            "over_limit": over, "limit_db": limit_db,
        }
    )  # fmt: skip


def water_state(volume_ml: int, flow_m3h: float | None) -> bytes:
    """Return a meter's state: the register in m³, to the millilitre, and the flow that the meter tells."""
    return _encode({"volume_m3": volume_ml / 1_000_000, "flow_m3h": _rounded(flow_m3h, 6)})


def site_state(alerts: int) -> bytes:
    """Return a site's state: how many alerts have fired and are not over."""
    return _encode({"alerts": alerts})


def _config(naming: Naming, thing: Thing, entity: _Entity) -> dict[str, Any]:
    chinese = naming.language == "zh"
    expire_s = WATER_EXPIRE_S if thing.kind == "water" else max(EXPIRE_LEAST_S, round(3 * naming.interval_s))
    return {
        "name": entity.name_zh if chinese else entity.name_en,
        "unique_id": f"{naming.node}_{thing.key}_{entity.key}",
        "state_topic": naming.state_topic(thing),
        "value_template": f"{{{{ value_json.{entity.key} }}}}",
        "availability_topic": naming.availability_topic,
        "expire_after": expire_s,
        "device": _device(naming, thing),
        "origin": {"name": "Quietwater"},
        **entity.settings,
    }


def _device(naming: Naming, thing: Thing) -> dict[str, Any]:
    told: dict[str, Any] = {
        "identifiers": [f"{naming.node}_{thing.key}"],
        "name": thing.label(naming.language),
        "manufacturer": "Quietwater",
        "model": _MODELS[thing.kind][0 if naming.language == "zh" else 1],
    }
    if thing.kind != "site":
        told["via_device"] = f"{naming.node}_{Thing('site', thing.site, '', '', '').key}"
    return told


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _encode(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
