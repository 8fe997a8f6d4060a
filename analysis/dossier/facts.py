"""What is known about an indicator, measured or entered, and where it can be looked up. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from analysis.dossier.text import Text


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where a figure can be looked up: an address of the API that answers with it, and one of the page."""

    label: Text
    api: str
    page: str


@dataclass(frozen=True, slots=True)
class SiteThreshold:
    """A threshold that a site brings along (its zone's limit, its city's quota), with its origin."""

    value: float
    standard: str
    edition: str
    clause: str
    source: str
    verified: str


@dataclass(frozen=True, slots=True)
class Fact:
    """A value in full precision; ``None`` where nothing is known.

    ``completeness`` is the share (0 to 1) of the period that the value covers, ``counted`` how many days or answers it
    is made of. ``indicative`` marks meters that are not type approved.
    """

    value: float | None
    unit: str
    first: date | None = None
    last: date | None = None
    completeness: float | None = None
    counted: int | None = None
    evidence: tuple[Evidence, ...] = ()
    threshold: SiteThreshold | None = None
    indicative: bool = False
    note: Text | None = None


Facts = Mapping[str, Fact]
"""Facts by name, such as ``noise.area_day``; a name that is missing is not known."""
