"""Programmes that a quarter can apply for: their indicators as data, read from ``analysis/dossier/standards/*.toml``.

Each indicator says where its number comes from and how far it was checked (``V``, ``C``, ``K``). Where no number was
to be had, ``standard`` is ``project default``. The points of every indicator are project defaults: no published list
of points could be read. Thresholds and points can be changed for a site (:class:`Override`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta

from analysis.standard_rows import PROJECT_DEFAULT, Comparator, Verified, meets, round_to

Programme = Literal["quiet-2002", "ningjing", "water-saving"]
PROGRAMMES: Final[tuple[Programme, ...]] = get_args(Programme)
Topic = Literal["noise", "water"]
Group = Literal["noise", "water", "premises", "management", "residents"]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Points = Annotated[float, Meta(ge=0.0, le=100.0)]


class BadStandard(ValueError):
    """A file of indicators, or a change of one, is not understood; the message names the place and the cure."""


class Alternative(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of several conditions, any of which is enough."""

    fact: str
    comparator: Comparator
    value: float
    unit: str


class Indicator(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that is judged: the fact ``fact`` against ``value``, or against the site's own threshold.

    ``from_site`` says that the threshold comes with the fact (the zone's limit, the city's quota). A fact that covers
    less than ``least_completeness`` of its period or counts fewer than ``least_count`` days or answers is judged
    ``incomplete``. Values are rounded to ``rounding`` (half to even) before they are compared. ``close_*`` says what
    would close the gap, with ``{value}``, ``{threshold}`` and ``{missing}``.
    """

    id: str
    group: Group
    fact: str
    measured: bool
    label_zh: str
    label_en: str
    what_zh: str
    what_en: str
    close_zh: str
    close_en: str
    unit: str
    comparator: Comparator
    points: Points
    standard: str
    edition: str
    clause: str
    source: str
    verified: Verified
    value: float | None = None
    from_site: bool = False
    any_of: tuple[Alternative, ...] = ()
    required: bool = False
    rounding: float = 0.0
    least_completeness: Share | None = None
    least_count: int | None = None

    def __post_init__(self) -> None:
        if self.value is None and not self.from_site and not self.any_of:
            raise ValueError("an indicator needs a value, from_site or any_of")

    @property
    def project_default(self) -> bool:
        """Whether the threshold is this project's own and no standard's."""
        return self.standard == PROJECT_DEFAULT

    def met_by(self, measured: float, threshold: float) -> bool:
        """Say whether a value meets a threshold, rounded as it is shown."""
        return meets(round_to(measured, self.rounding), self.comparator, threshold)


class Standard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A programme: what it is, when an application is fit to be handed in, and its indicators."""

    id: Programme
    topic: Topic
    title_zh: str
    title_en: str
    note_zh: str
    note_en: str
    pass_score: Points
    pass_score_standard: str
    indicators: tuple[Indicator, ...]

    def indicator(self, wanted: str) -> Indicator | None:
        """Return an indicator by its identity."""
        return next((one for one in self.indicators if one.id == wanted), None)


class Override(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a site's local rule says instead: another threshold, other points, or that an indicator does not apply.

    ``standard`` names the local rule; it takes the place of the shipped origin, with mark ``K``.
    """

    standard: Annotated[str, Meta(min_length=1, max_length=120)]
    value: Annotated[float, Meta(ge=-1e6, le=1e6)] | None = None
    points: Points | None = None
    required: bool | None = None
    applies: bool = True
    clause: Annotated[str, Meta(max_length=60)] = "-"


def standard_of(programme: Programme) -> Standard:
    """Return a programme as it is shipped. Raises ``KeyError`` for an unknown one."""
    return shipped()[programme]


@cache
def shipped() -> Mapping[Programme, Standard]:
    """Return all programmes that the product ships."""
    folder = Path(str(resources.files("analysis.dossier"))) / "standards"
    return {one.id: one for one in (load(path) for path in sorted(folder.glob("*.toml")))}


def load(path: Path) -> Standard:
    """Read a file. Raises :class:`BadStandard`."""
    try:
        raw: dict[str, Any] = msgspec.toml.decode(path.read_bytes())
        shared = raw.pop("shared", {})
        raw["indicators"] = [{**shared, **one} for one in raw.pop("indicator", [])]
        standard = msgspec.convert(raw, Standard)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise BadStandard(f"{path.name}: {error}") from error
    names = [one.id for one in standard.indicators]
    if len(set(names)) != len(names):
        raise BadStandard(f"{path.name}: an indicator occurs twice; give one of them another id")
    return standard


def parse_overrides(raw: Mapping[str, Any], standard: Standard) -> dict[str, Override]:
    """Validate a site's changes. Raises :class:`BadStandard` for an unknown indicator or a value that does not fit."""
    try:
        parsed = msgspec.convert(dict(raw), dict[str, Override])
    except msgspec.ValidationError as error:
        raise BadStandard(f"thresholds: {error}") from None
    for name, one in parsed.items():
        indicator = standard.indicator(name)
        if indicator is None:
            raise BadStandard(f"thresholds: {standard.id} has no indicator {name!r}")
        if one.value is not None and indicator.any_of:
            raise BadStandard(
                f"thresholds: {name} has several conditions; it can be left out, not given one value"
            )
    return parsed


def changed(indicator: Indicator, override: Override | None) -> Indicator:
    """Return an indicator as a site judges it."""
    if override is None:
        return indicator
    new_value = override.value is not None
    return msgspec.structs.replace(
        indicator,
        value=override.value if new_value else indicator.value,
        from_site=indicator.from_site and not new_value,
        points=indicator.points if override.points is None else override.points,
        required=indicator.required if override.required is None else override.required,
        standard=override.standard, edition="-", clause=override.clause, source="local rule", verified="K",
    )  # fmt: skip
