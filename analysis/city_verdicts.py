"""How each quarter of a city stood over a period: its judged days and nights, and the worst of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from analysis.verdict_table import SourceVerdicts

Standing = Literal["all_within", "mostly_within", "often_above", "none_judged"]

MOSTLY_SHARE: Final = 0.9
"""From this share of judged days and nights within their limit a quarter stood "mostly within". A project default: no
standard grades a quarter by its share."""


@dataclass(frozen=True, slots=True)
class SiteStanding:
    """Counts over the sources of one quarter and the dates of a period; an incomplete day or night is not judged."""

    site: str
    days: int = 0
    days_within: int = 0
    nights: int = 0
    nights_within: int = 0

    @property
    def share_within(self) -> float | None:
        """Judged days and nights within their limit of all that were judged; ``None`` where none was."""
        judged = self.days + self.nights
        return (self.days_within + self.nights_within) / judged if judged else None

    @property
    def standing(self) -> Standing:
        """The share in a word."""
        share = self.share_within
        if share is None:
            return "none_judged"
        if share == 1.0:
            return "all_within"
        return "mostly_within" if share >= MOSTLY_SHARE else "often_above"


def site_standings(table: Iterable[SourceVerdicts]) -> dict[str, SiteStanding]:
    """Return the standing of every quarter that has a source in the table."""
    counts: dict[str, list[int]] = {}
    for source in table:
        count = counts.setdefault(source.site, [0, 0, 0, 0])
        for offset, verdicts in ((0, source.day), (2, source.night)):
            judged = [one for one in verdicts if one != "incomplete"]
            count[offset] += len(judged)
            count[offset + 1] += judged.count("pass")
    return {site: SiteStanding(site, *count) for site, count in counts.items()}
