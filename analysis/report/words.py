"""Texts, names and times of a report in its language. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from analysis.notify.wording import WORDINGS
from analysis.report.model import Language
from analysis.report.period import Period
from analysis.report.texts import MONTHS_EN, TEXTS, WEEKDAYS
from analysis.standard_rows import round_to

NONE: Final = "–"


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one language."""

    language: Language

    def t(self, key: str, **values: object) -> str:
        """Return a text with ``{name}`` filled in. Raises ``KeyError`` for a text that is not there."""
        text = TEXTS[key][self._index]
        return text.format(**values) if values else text

    def named(self, family: str, key: str) -> str:
        """Return the text of one of a family such as ``state``, or the key itself where it has none."""
        found = TEXTS.get(f"{family}.{key}")
        return found[self._index] if found else key

    def label(self, zh: str, en: str) -> str:
        """Return the name in this language, or the other one's where it is empty."""
        return (zh or en) if self.language == "zh" else (en or zh)

    def alert_kind(self, kind: str) -> str:
        """Return what an alert of a kind is called, as in messages."""
        found = WORDINGS.get(kind)
        return kind if found is None else found.name[self._index].capitalize()

    def period(self, period: Period) -> str:
        """Return the name of a period: 2026年10月, October 2026."""
        first = period.first
        return self.t(
            f"period.{period.kind}", year=first.year, month=first.month, month_name=MONTHS_EN[first.month - 1]
        )

    def months(self) -> tuple[str, ...]:
        """Return the names of the twelve months, short."""
        if self.language == "zh":
            return tuple(f"{n}月" for n in range(1, 13))
        return tuple(name[:3] for name in MONTHS_EN)

    def weekdays(self) -> tuple[str, ...]:
        """Return the names of the days of a week from Monday on, short."""
        return WEEKDAYS[self._index]

    def reasons(self, reasons: Mapping[str, int]) -> str:
        """Return why hours were left out, with their numbers."""
        return ", ".join(
            f"{self.named('reason', reason)} {count}" for reason, count in sorted(reasons.items())
        )

    @property
    def _index(self) -> int:
        return 0 if self.language == "zh" else 1


def level(value: float | None) -> str:
    """Return a level with one decimal, rounded half to even as GB/T 8170 wants."""
    return NONE if value is None else f"{round_to(value, 0.1):.1f}"


def number(value: float | None, decimals: int = 0) -> str:
    """Return a number with grouped thousands."""
    return NONE if value is None else f"{value:,.{decimals}f}"


def percent(share: float | None) -> str:
    """Return a share in per cent with one decimal, without the sign."""
    return NONE if share is None else f"{100.0 * share:.1f}"


def utc(t: datetime | None) -> str | None:
    """Return a time as the API writes it: ``2026-10-01T14:00:00Z``."""
    return None if t is None else t.strftime("%Y-%m-%dT%H:%M:%SZ")


def local(t: datetime | None, zone: str) -> str | None:
    """Return a time as people at the site read it: ``2026-10-01 22:00``."""
    return None if t is None else t.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")


def iso(day: date) -> str:
    """Return a date as ``2026-10-01``."""
    return day.isoformat()


def params_text(params: Mapping[str, Any]) -> str:
    """Return the parameters of a rule in one line, as the API names them."""
    return "; ".join(f"{key}={_plain(value)}" for key, value in sorted(params.items()))


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_plain(one) for one in value) + "]"
    return str(value)
