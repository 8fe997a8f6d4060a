"""Charts of reports as SVG text with presentation attributes alone: no script, no style sheet. Pure.

Own functions rather than a plotting library: five plain pictures, the same on every machine, in vectors, with text that
can be selected and searched, and nothing to load (see docs/decisions/0005).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from html import escape
from math import ceil, floor, log10
from typing import Final

from analysis.report.model import BarsChart, CalendarChart, Chart, DatePoint, DaysChart, ProfileChart

WIDTH: Final = 720.0
FONT: Final = "'Noto Sans CJK SC', 'Noto Sans SC', 'Noto Sans', sans-serif"
INK, MUTED, GRID = "#18211d", "#55625c", "#dbe1dc"
DAY, NIGHT, WATER, LIMIT, ABOVE = "#c98a1b", "#2c4f8c", "#2b74b8", "#b3261e", "#b3261e"
FAR_BELOW, BELOW, UNKNOWN = "#1b6e45", "#9fd3b2", "#e3e7e4"
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 12.0, 26.0, 26.0


def chart_svg(chart: Chart) -> str:
    """Return a chart as one ``svg`` element."""
    match chart:
        case DaysChart():
            return _days(chart)
        case CalendarChart():
            return _calendar(chart)
        case ProfileChart():
            return _profile(chart)
        case BarsChart(lying=True):
            return _lying_bars(chart)
        case BarsChart():
            return _bars(chart)


# -- pieces ------------------------------------------------------------------------------------------------------


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {height:g}" width="{WIDTH:g}" '
        f'height="{height:g}" font-family="{escape(FONT)}" font-size="10" fill="{INK}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )


def _text(
    x: float, y: float, words: str, *, anchor: str = "start", fill: str = MUTED, size: float = 10
) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} fill="{fill}" font-size="{size:g}">{escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, stroke: str, width: float = 1, dash: str = "") -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}" '
        f'stroke-width="{width:g}"{dashed}/>'
    )


def _rect(x: float, y: float, width: float, height: float, fill: str) -> str:
    size = f'width="{max(0.0, width):.1f}" height="{max(0.0, height):.1f}"'
    return f'<rect x="{x:.1f}" y="{y:.1f}" {size} fill="{fill}"/>'


def _legend(items: Sequence[tuple[str, str]], y: float = 12.0) -> list[str]:
    parts, x = [], _LEFT
    for colour, words in items:
        parts += [_rect(x, y - 8, 10, 8, colour), _text(x + 14, y, words)]
        x += 30 + sum(10.5 if ord(letter) > 0x2E80 else 5.6 for letter in words)
    return parts


class _Scale:
    """Maps values to heights, with ticks at round numbers."""

    def __init__(self, low: float, high: float, top: float, bottom: float, step: float) -> None:
        self.low, self.high = floor(low / step) * step, ceil(high / step) * step
        if self.high <= self.low:
            self.high = self.low + step
        self._top, self._bottom, self._step = top, bottom, step

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self._bottom - min(1.0, max(0.0, share)) * (self._bottom - self._top)

    def grid(self, unit: str) -> list[str]:
        count = round((self.high - self.low) / self._step)
        ticks = [self.low + n * self._step for n in range(count + 1)]
        parts = [_line(_LEFT, self.y(one), WIDTH - _RIGHT, self.y(one), GRID, 0.6) for one in ticks]
        parts += [_text(_LEFT - 5, self.y(one) + 3, f"{one:g}", anchor="end") for one in ticks]
        return [*parts, _text(_LEFT - 5, self._top - 9, unit, anchor="end")]


def _level_scale(values: Sequence[float], top: float, bottom: float) -> _Scale:
    low, high = min(values) - 1.0, max(values) + 1.0
    return _Scale(low, high, top, bottom, 5.0 if high - low > 12 else 2.0)


# -- levels ------------------------------------------------------------------------------------------------------


def _days(chart: DaysChart) -> str:
    height = 190.0
    known = [one.value for one in (*chart.day, *chart.night) if one.value is not None]
    scale = _level_scale([*known, chart.day_limit, chart.night_limit], _TOP + 6, height - _BOTTOM)
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(chart.day))
    parts = scale.grid("dB")
    for n, one in enumerate(chart.day):
        day = date.fromisoformat(one.date).day
        if len(chart.day) <= 16 or day % 2 == 1:
            parts.append(_text(_LEFT + (n + 0.5) * step, height - 10, str(day), anchor="middle"))
    for limit, colour in ((chart.day_limit, DAY), (chart.night_limit, NIGHT)):
        parts.append(_line(_LEFT, scale.y(limit), WIDTH - _RIGHT, scale.y(limit), colour, 1.2, dash="5 3"))
    for points, limit, colour, shift in (
        (chart.day, chart.day_limit, DAY, 0.38),
        (chart.night, chart.night_limit, NIGHT, 0.62),
    ):
        parts += [
            _dot(_LEFT + (n + shift) * step, scale.y(one.value), colour, one, limit)
            for n, one in enumerate(points) if one.value is not None
        ]  # fmt: skip
    legend = [
        (DAY, f"{chart.day_label} ({chart.limit_label} {chart.day_limit:g} dB)"),
        (NIGHT, f"{chart.night_label} ({chart.limit_label} {chart.night_limit:g} dB)"),
        (UNKNOWN, chart.incomplete_label),
    ]
    return _svg(height, chart.title, [*_legend(legend), *parts])


def _dot(x: float, y: float, colour: str, one: DatePoint, limit: float) -> str:
    if not one.complete:
        return (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{UNKNOWN}" stroke="{colour}" stroke-width="0.7"/>'
        )
    above = one.value is not None and one.value > limit
    ring = f' stroke="{ABOVE}" stroke-width="1.6"' if above else ""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.4" fill="{colour}"{ring}/>'


def _profile(chart: ProfileChart) -> str:
    height = 180.0
    levels = [one.laeq_db for one in (*chart.workdays, *chart.restdays) if one.laeq_db is not None]
    band = [value for one in chart.workdays for value in (one.l10_db, one.l90_db) if value is not None]
    scale = _level_scale([*levels, *band, chart.day_limit, chart.night_limit], _TOP + 6, height - _BOTTOM)
    step = (WIDTH - _LEFT - _RIGHT) / 24.0

    def x(hour: float) -> float:
        return _LEFT + hour * step

    parts = [_rect(x(0), _TOP + 6, x(chart.day_starts_h) - x(0), height - _BOTTOM - _TOP - 6, "#eef1f7")]
    parts.append(
        _rect(
            x(chart.night_starts_h),
            _TOP + 6,
            x(24) - x(chart.night_starts_h),
            height - _BOTTOM - _TOP - 6,
            "#eef1f7",
        )
    )
    parts += scale.grid("dB")
    parts += [_text(x(hour), height - 10, f"{hour}", anchor="middle") for hour in range(0, 25, 2)]
    parts += [
        _rect(x(one.hour), scale.y(one.l10_db), step, scale.y(one.l90_db) - scale.y(one.l10_db), "#d5e8e4")
        for one in chart.workdays if one.l10_db is not None and one.l90_db is not None
    ]  # fmt: skip
    for first, last, limit in (
        (0, chart.day_starts_h, chart.night_limit),
        (chart.day_starts_h, chart.night_starts_h, chart.day_limit),
        (chart.night_starts_h, 24, chart.night_limit),
    ):
        parts.append(_line(x(first), scale.y(limit), x(last), scale.y(limit), LIMIT, 1.2, dash="5 3"))
    for points, colour in ((chart.restdays, DAY), (chart.workdays, NIGHT)):
        parts += _polyline(
            [(x(one.hour + 0.5), None if one.laeq_db is None else scale.y(one.laeq_db)) for one in points], colour
        )  # fmt: skip
    legend = [
        (NIGHT, chart.workdays_label), (DAY, chart.restdays_label), ("#d5e8e4", chart.band_label),
        (LIMIT, chart.limit_label),
    ]  # fmt: skip
    return _svg(height, chart.title, [*_legend(legend), *parts])


def _polyline(points: Sequence[tuple[float, float | None]], colour: str) -> list[str]:
    """Draw a line that is broken where a value is missing."""
    parts: list[str] = []
    run: list[str] = []
    for x, y in [*points, (0.0, None)]:
        if y is not None:
            run.append(f"{x:.1f},{y:.1f}")
        elif run:
            parts.append(
                f'<polyline points="{" ".join(run)}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
            )
            run = []
    return parts


# -- a year ------------------------------------------------------------------------------------------------------


def _calendar(chart: CalendarChart) -> str:
    if not chart.margins:
        return _svg(20.0, chart.title, [])
    first = date.fromisoformat(chart.margins[0].date)
    start = first - timedelta(days=first.weekday())
    cell, top = 12.4, 40.0
    parts: list[str] = []
    for one in chart.margins:
        day = date.fromisoformat(one.date)
        x = _LEFT + (day - start).days // 7 * cell
        parts.append(_rect(x, top + day.weekday() * cell, cell - 1.6, cell - 1.6, _colour(one)))
        if day.day == 1:
            parts.append(_text(x, top - 5, chart.months[day.month - 1]))
    parts += [
        _text(_LEFT - 5, top + n * cell + 9, chart.weekdays[n], anchor="end", size=9) for n in (0, 2, 4, 6)
    ]
    legend = list(zip((FAR_BELOW, BELOW, ABOVE, UNKNOWN), chart.legend, strict=True))
    return _svg(top + 7 * cell + 6, chart.title, [*_legend(legend), *parts])


def _colour(one: DatePoint) -> str:
    if one.value is None or not one.complete:
        return UNKNOWN
    if one.value > 0.0:
        return ABOVE
    return FAR_BELOW if one.value < -5.0 else BELOW


# -- bars --------------------------------------------------------------------------------------------------------


def _bars(chart: BarsChart) -> str:
    height = 150.0
    known = [one for one in chart.values if one is not None]
    most = max([*known, chart.line or 0.0, 1e-9])
    scale = _Scale(0.0, most, _TOP + 6, height - _BOTTOM, _round_step(most))
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(chart.values))
    parts = scale.grid(chart.unit)
    every = 1 if len(chart.labels) <= 16 else 2
    for n, (name, value) in enumerate(zip(chart.labels, chart.values, strict=True)):
        x = _LEFT + n * step
        if value is None:
            parts.append(
                _rect(
                    x + step * 0.2, scale.y(scale.high), step * 0.6, scale.y(0) - scale.y(scale.high), UNKNOWN
                )
            )
        else:
            parts.append(
                _rect(x + step * 0.2, scale.y(value), step * 0.6, scale.y(0) - scale.y(value), WATER)
            )
        if n % every == 0:
            parts.append(_text(x + step / 2, height - 10, name, anchor="middle"))
    legend = [(WATER, chart.title)]
    if chart.line is not None:
        parts.append(
            _line(_LEFT, scale.y(chart.line), WIDTH - _RIGHT, scale.y(chart.line), LIMIT, 1.2, dash="5 3")
        )
        legend.append((LIMIT, chart.line_label))
    return _svg(height, chart.title, [*_legend(legend), *parts])


def _lying_bars(chart: BarsChart) -> str:
    row, top, left = 15.0, 22.0, 150.0
    most = max([*(one for one in chart.values if one is not None), chart.line or 0.0, 1e-9])
    width = WIDTH - left - 60.0
    parts: list[str] = []
    for n, (name, value) in enumerate(zip(chart.labels, chart.values, strict=True)):
        y = top + n * row
        parts.append(_text(left - 6, y + 9, name, anchor="end", fill=INK))
        if value is None:
            parts.append(_text(left + 4, y + 9, "–"))
            continue
        parts.append(_rect(left, y, width * value / most, row - 5, NIGHT))
        parts.append(_text(left + width * value / most + 5, y + 9, f"{value:.1f} {chart.unit}"))
    return _svg(top + len(chart.labels) * row + 4, chart.title, [_text(left, 12, chart.title), *parts])


def _round_step(most: float) -> float:
    """Return a step of 1, 2 or 5 times a power of ten that makes about four steps."""
    power = 10.0 ** floor(log10(max(most, 1e-12) / 4.0))
    return next((factor * power for factor in (1.0, 2.0, 5.0) if factor * power * 4.5 >= most), 10.0 * power)
