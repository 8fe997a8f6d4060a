"""A sentence in both languages, and numbers as the dossier shows them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Text:
    """The same words in Chinese and English."""

    zh: str
    en: str

    def filled(self, **values: str | Text) -> Text:
        """Return the words with every ``{name}`` replaced."""
        zh = {key: one.zh if isinstance(one, Text) else one for key, one in values.items()}
        en = {key: one.en if isinstance(one, Text) else one for key, one in values.items()}
        return Text(self.zh.format(**zh), self.en.format(**en))


def same(words: str) -> Text:
    """Return what people wrote themselves, or figures: one wording for both languages."""
    return Text(words, words)


YES: Final = Text("是", "yes")
NO: Final = Text("否", "no")
NONE: Final = same("–")
_UNITS: Final = {
    "dB": Text("dB", "dB"),
    "lpd": Text("升/人·日", "L per person and day"),
    "m3_month": Text("m³/户·月", "m³ per household and month"),
    "m2": Text("m²", "m²"),
    "count": Text("项", ""),
    "households": Text("户", "households"),
}


def shown(value: float | None, unit: str) -> Text:
    """Return a value with its unit as people read it: shares as per cent, ``yes_no`` as a word."""
    if value is None:
        return NONE
    if unit == "yes_no":
        return YES if value >= 0.5 else NO
    if unit == "share":
        return same(f"{value * 100:.1f}".removesuffix(".0") + " %")
    figure = f"{value:.1f}" if unit in ("dB", "m3_month") else f"{value:.1f}".removesuffix(".0")
    words = _UNITS.get(unit, same(unit))
    return Text(f"{figure} {words.zh}".strip(), f"{figure} {words.en}".strip())


def difference(value: float, unit: str) -> Text:
    """Return how much is missing; differences of shares are percentage points."""
    if unit == "share":
        figure = f"{value * 100:.1f}".removesuffix(".0")
        return Text(f"{figure} 个百分点", f"{figure} percentage points")
    return shown(value, unit)
