"""MQTT topics: ``qw/v1/{site}/{device}/{kind}``, QoS 1."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

from contract.messages import (
    DeviceConfig,
    DeviceStatus,
    EdgeEvent,
    NoiseMinute,
    NoiseSecond,
    Stored,
    WaterReading,
)

PREFIX: Final = "qw/v1"
READING_KINDS: Final = ("noise", "spectrum", "water", "event")
ReadingKind = Literal["noise", "spectrum", "water", "event"]
TopicKind = Literal["noise", "spectrum", "water", "event", "status", "stored", "config"]

READING_MODELS: Final[dict[str, type[NoiseSecond | NoiseMinute | WaterReading | EdgeEvent]]] = {
    "noise": NoiseSecond,
    "spectrum": NoiseMinute,
    "water": WaterReading,
    "event": EdgeEvent,
}
MESSAGE_MODELS: Final = {**READING_MODELS, "status": DeviceStatus, "stored": Stored, "config": DeviceConfig}

_TOPIC = re.compile(
    r"qw/v1/([a-z0-9][a-z0-9-]{0,31})/([a-z0-9][a-z0-9-]{0,31})/(" + "|".join(get_args(TopicKind)) + r")"
)


@dataclass(frozen=True, slots=True)
class Topic:
    """A parsed topic."""

    site: str
    device: str
    kind: TopicKind

    def __str__(self) -> str:
        return f"{PREFIX}/{self.site}/{self.device}/{self.kind}"


def parse(topic: str) -> Topic:
    """Parse a topic. Raises ``ValueError`` when it is not one of ours."""
    match = _TOPIC.fullmatch(topic)
    if match is None:
        raise ValueError(f"not a topic of the form {PREFIX}/<site>/<device>/<kind>: {topic[:120]!r}")
    return Topic(match[1], match[2], match[3])  # type: ignore[arg-type]  # the pattern admits only the kinds


def device_filter(site: str, device: str) -> str:
    """Return the filter of everything under one device: what it may publish."""
    return f"{PREFIX}/{site}/{device}/#"


def kind_filter(kind: TopicKind) -> str:
    """Return the filter of one kind from every device."""
    return f"{PREFIX}/+/+/{kind}"
