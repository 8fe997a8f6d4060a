"""Meter profiles: what differs between models of one protocol, in TOML files, so that a new model needs no code.

Profiles of the product lie in ``edge/water/profiles``; others are named by the path of their file.
"""

from __future__ import annotations

import tomllib
from decimal import Decimal
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from contract.flags import WaterFlag
from contract.messages import WaterFlagName

_StepMl = Annotated[int, Meta(ge=1, le=10_000_000)]
_Byte = Annotated[int, Meta(ge=0, le=255)]


class ProfileError(ValueError):
    """A profile cannot be used; the text names it, the key and the cause."""


class StatusRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``flag`` is set where ``status & mask == value``; ``value`` is the mask itself unless given."""

    flag: WaterFlagName
    mask: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    value: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    byte: Annotated[int, Meta(ge=0, le=63)] = 0
    """Which byte of the status field, where the protocol has several."""


def flags_of(rules: tuple[StatusRule, ...], status: int) -> WaterFlag:
    """Return the flags that the rules find in a status word."""
    flags = WaterFlag(0)
    for rule in rules:
        wanted = rule.mask if rule.value is None else rule.value
        if status & rule.mask == wanted:
            flags |= WaterFlag[rule.flag.upper()]
    return flags


class MeterProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every profile has."""

    title: str
    """What it is for, one line."""
    source: str = ""
    """Where its facts are from."""
    q4_m3h: Annotated[float, Meta(gt=0, le=100_000)] | None = None
    """The model's overload flow rate Q4 (ISO 4064-1); a meter's own setting goes before it."""


class Cjt188Field(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One field of a CJ/T 188 reply, in its order. ``decimals`` and ``unit`` hold for quantities."""

    field: Literal["volume", "settlement", "reverse", "flow", "clock", "status", "skip"]
    bytes: Annotated[int, Meta(ge=1, le=64)]
    decimals: Annotated[int, Meta(ge=0, le=6)] = 2
    unit: bool = True
    """A unit byte follows."""


_CJT188_2004 = (
    Cjt188Field(field="volume", bytes=4),
    Cjt188Field(field="settlement", bytes=4),
    Cjt188Field(field="clock", bytes=7),
    Cjt188Field(field="status", bytes=2),
)


class Cjt188Profile(MeterProfile, frozen=True, tag="cjt188", tag_field="driver"):
    """A model that speaks CJ/T 188."""

    layout: tuple[Cjt188Field, ...] = _CJT188_2004
    """Fields after DI and SER."""
    unit_29_step_ml: _StepMl | None = None
    """What one count means where the unit byte is 29H: sources disagree, so without this 29H is refused."""
    clock_order: Literal["seconds_first", "year_first", "none"] = "seconds_first"
    status: tuple[StatusRule, ...] = (
        StatusRule(flag="valve_closed", mask=0x03, value=0x01),
        StatusRule(flag="valve_fault", mask=0x03, value=0x03),
        StatusRule(flag="low_battery", mask=0x04),
    )

    def __post_init__(self) -> None:
        if [one.field for one in self.layout].count("volume") != 1:
            raise ValueError("layout: exactly one field must be the volume")


class MbusStatusRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A record with status bits, by its value information (``FD17`` holds EN 13757-3's error flags)."""

    vif: Annotated[str, Meta(pattern=r"^([0-9A-F]{2})+$")]
    rules: tuple[StatusRule, ...]


class MbusProfile(MeterProfile, frozen=True, tag="mbus", tag_field="driver"):
    """A model that speaks M-Bus (EN 13757-3), wired or wireless."""

    models: tuple[Annotated[str, Meta(pattern=r"^[A-Z]{3}-[0-9A-F]{2}-[0-9A-F]{2}$")], ...] = ()
    """Maker, version and medium of the meters that it is taken for where none is named: ``KAM-1B-16``."""
    tariff: Annotated[int, Meta(ge=0, le=2**20)] = 0
    subunit: Annotated[int, Meta(ge=0, le=2**16)] = 0
    any_medium: bool = False
    """Take meters whose medium is not water, such as pulse adapters of medium 00H."""
    status: tuple[StatusRule, ...] = ()
    """On the status byte of the header, beside its bits that the standard defines."""
    records: tuple[MbusStatusRecord, ...] = ()
    compact_formats: tuple[Annotated[str, Meta(pattern=r"^([0-9A-F]{2})+$")], ...] = ()
    """Record headers of the model's compact frames (CI 79H), hexadecimal; their CRC is its format signature."""


class ModbusField(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value in registers. It counts ``scale`` × ``unit``; ``unit`` L, m3, mL, or a flow unit."""

    register: Annotated[int, Meta(ge=0, le=65_535)]
    """Address as on the wire, from 0 (40001 in a manual is 0)."""
    table: Literal["holding", "input"] = "holding"
    type: Literal[
        "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64", "bcd32", "bcd64"
    ] = "uint32"  # fmt: skip
    word_order: Literal["big", "little"] = "big"
    unit: Literal["mL", "L", "m3", "L/h", "m3/h", "L/min", "L/s"] = "L"
    scale: Annotated[str, Meta(pattern=r"^[0-9]+(\.[0-9]+)?$")] = "1"
    """A decimal number, quoted so that it stays exact."""
    step_ml: _StepMl | None = None
    """Needed for float types: the meter's step, to which the value is rounded."""


class ModbusStatus(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A register with status bits."""

    register: Annotated[int, Meta(ge=0, le=65_535)]
    table: Literal["holding", "input"] = "holding"
    rules: tuple[StatusRule, ...]


class ModbusProfile(MeterProfile, frozen=True, tag="modbus", tag_field="driver"):
    """A model that speaks Modbus: its register map."""

    volume: Annotated[tuple[ModbusField, ...], Meta(min_length=1, max_length=4)]
    """Parts whose sum is the register, such as whole m3 and the litres beside them."""
    reverse: tuple[ModbusField, ...] = ()
    flow: ModbusField | None = None
    serial: ModbusField | None = None
    status: tuple[ModbusStatus, ...] = ()

    def __post_init__(self) -> None:
        for key, fields in (("volume", self.volume), ("reverse", self.reverse)):
            for one in fields:
                _demand_volume(key, one)
        if self.flow is not None and self.flow.unit in ("mL", "L", "m3"):
            raise ValueError(f"flow: {self.flow.unit} is no unit of flow")


def _demand_volume(key: str, one: ModbusField) -> None:
    if one.unit not in ("mL", "L", "m3"):
        raise ValueError(f"{key}: {one.unit} is no unit of volume")
    if one.type.startswith("float") and one.step_ml is None:
        raise ValueError(f"{key}: type {one.type} needs step_ml, because a float has no step of its own")
    step_ml = Decimal(one.scale) * {"mL": 1, "L": 1000, "m3": 1_000_000}[one.unit]
    if one.step_ml is None and (step_ml < 1 or step_ml != int(step_ml)):
        raise ValueError(f"{key}: {one.scale} {one.unit} is no whole number of millilitres; give step_ml")


class LorawanProfile(MeterProfile, frozen=True, tag="lorawan", tag_field="driver"):
    """A model that sends LoRaWAN uplinks: the decoder of its payload."""

    decoder: Literal["axioma-w1"]
    ports: Annotated[tuple[Annotated[int, Meta(ge=1, le=223)], ...], Meta(min_length=1)]
    """FPorts that carry readings; uplinks on others are no readings."""
    history_interval_s: Annotated[int, Meta(ge=60, le=86_400)] | None = None
    """Spacing of the logged volumes in the payload; given, they are emitted as readings of their own."""
    status: tuple[StatusRule, ...] = ()


Profile = Cjt188Profile | MbusProfile | ModbusProfile | LorawanProfile
P = TypeVar("P", Cjt188Profile, MbusProfile, ModbusProfile, LorawanProfile)


def built_in() -> list[str]:
    """Return the names of the product's own profiles, sorted."""
    return sorted(one.name.removesuffix(".toml") for one in _folder().iterdir() if one.name.endswith(".toml"))


@cache
def mbus_models() -> dict[str, MbusProfile]:
    """Return the product's own M-Bus profiles by the model that they are for."""
    return {model: profile for profile in _mbus_profiles() for model in profile.models}


@cache
def mbus_compact_formats() -> tuple[str, ...]:
    """Return every format of compact frames that the product's own profiles know."""
    return tuple(one for profile in _mbus_profiles() for one in profile.compact_formats)


def _mbus_profiles() -> list[MbusProfile]:
    profiles = (_load_any(name) for name in built_in())
    return [one for one in profiles if isinstance(one, MbusProfile)]


def load(name: str, kind: type[P]) -> P:
    """Return a profile by its name or the path of its file. Raises :class:`ProfileError`."""
    profile = _load_any(name)
    if not isinstance(profile, kind):
        wanted = kind.__struct_config__.tag
        raise ProfileError(f"profile {name!r} is for {profile.__struct_config__.tag}, not for {wanted}")
    return profile


@cache
def _load_any(name: str) -> Profile:
    if name.endswith(".toml"):
        try:
            text = Path(name).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise ProfileError(f"profile {name} cannot be read: {error}") from error
    elif name in built_in():
        text = (_folder() / f"{name}.toml").read_text()
    else:
        raise ProfileError(f"no profile {name!r}; there are {', '.join(built_in())}, or give a .toml file")
    try:
        return msgspec.convert(tomllib.loads(text), Profile)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ProfileError(f"profile {name}: {error}") from error


def _folder() -> Traversable:
    return resources.files("edge.water") / "profiles"
