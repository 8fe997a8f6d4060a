"""The chapter that traces figures to their seconds: device, from, to, how many seconds, revision, links. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from analysis.levels import hours_between
from analysis.report.facts import QuarterFacts, SourceFacts
from analysis.report.figures import PeriodName, bounds, count, months_of, period_of
from analysis.report.links import Links
from analysis.report.model import Block, Paragraph, Section, Table
from analysis.report.noise_part import Spec, name_of, table
from analysis.report.rules_part import left_out_words
from analysis.report.words import Words, iso, utc
from store.series.interface import NoiseHour

_DAY = timedelta(days=1)
_INDICATORS: Final[tuple[tuple[PeriodName, str], ...]] = (("day", "Ld"), ("night", "Ln"))


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one figure comes from. ``seconds`` are stored in the range; ``revision`` is the highest of its hours."""

    figure: str
    device: str
    start: datetime
    end: datetime
    value: float | None
    seconds: int
    valid_s: float
    hours_counted: int
    left_out: str
    revision: int
    figure_link: str
    seconds_link: str


def provenance_section(facts: QuarterFacts, words: Words, links: Links) -> Section:
    """Return the chapter. Of a month each date is printed; of a year the months, and the dates are in the workbook."""
    monthly = facts.period.kind == "month"
    daily = [one for source in facts.sources for one in _dates(facts, source, words, links)]
    blocks: list[Block] = [Paragraph(text=words.t("provenance.lead"))]
    if facts.left_out:
        blocks.append(Paragraph(text=words.t("provenance.left_out", text=left_out_words(facts, words))))
    if not monthly:
        blocks.append(Paragraph(text=words.t("provenance.workbook")))
        months = [one for source in facts.sources for one in _months(facts, source, words, links)]
        blocks.append(_table("", months, words, 500))
    blocks.append(
        _table(
            "provenance",
            daily,
            words,
            500 if monthly else 0,
            words.t("provenance.pattern", base=links.base_url, site=facts.site.name),
        )
    )
    if facts.water is not None:
        blocks.append(_water(facts, words, links))
    return Section(
        key="provenance", title=words.t("section.provenance"), blocks=tuple(blocks), break_before=True
    )


def _table(sheet: str, origins: Sequence[Origin], words: Words, most_printed: int, note: str = "") -> Table:
    spec: Spec = [
        ("figure", "text", 15, lambda one: one.figure),
        ("device", "text", 14, lambda one: one.device),
        ("from", "time", 17, lambda one: utc(one.start)),
        ("to", "time", 17, lambda one: utc(one.end)),
        ("value_full", "level", 8, lambda one: one.value),
        ("seconds", "count", 9, lambda one: one.seconds),
        ("valid_s", "count", 9, lambda one: one.valid_s),
        ("counted", "count", 7, lambda one: one.hours_counted),
        ("left_out", "text", 18, lambda one: one.left_out),
        ("revision", "count", 7, lambda one: one.revision),
        ("figure_link", "link", 8, lambda one: one.figure_link),
        ("seconds_link", "link", 8, lambda one: one.seconds_link),
    ]
    return table(
        sheet, words.t("table.provenance"), spec, origins, words, most_printed=most_printed, note=note,
    )  # fmt: skip


def _dates(facts: QuarterFacts, source: SourceFacts, words: Words, links: Links) -> Iterator[Origin]:
    hours = {row.t: row for row in source.hours}
    site, device = facts.site.name, source.device.name
    for day in source.days:
        for period, name in _INDICATORS:
            start, end = bounds(facts.clock, day.date, period)
            one = period_of(day, period)
            rows = [hours[t] for t in hours_between(start, end) if t in hours]
            yield _origin(
                f"{name} {iso(day.date)}", name_of(source, words), start, end, one.laeq_db, rows, one.hours_counted,
                words.reasons(Counter(hour.reason for hour in one.stats.uncounted)),
                links.noise_days(site, device, day.date, day.date), links.noise_seconds(site, device, start, end),
            )  # fmt: skip


def _months(facts: QuarterFacts, source: SourceFacts, words: Words, links: Links) -> Iterator[Origin]:
    site, device = facts.site.name, source.device.name
    for month, days in months_of(source.days):
        first, last = days[0].date, days[-1].date
        start, end = facts.clock.midnight(first), facts.clock.midnight(last + _DAY)
        rows = [row for row in source.hours if start <= row.t < end]
        for period, name in _INDICATORS:
            of_period = [row for row in rows if facts.clock.period(row.t) == period]
            counted = sum(period_of(day, period).hours_counted for day in days)
            yield _origin(
                f"{name} {month:%Y-%m}", name_of(source, words), start, end, count(days, period).level_db, of_period,
                counted, "", links.noise_days(site, device, first, last),
                links.noise_hours(site, device, start, end),
            )  # fmt: skip


def _origin(
    figure: str, device: str, start: datetime, end: datetime, value: float | None, rows: Sequence[NoiseHour],
    counted: int, left_out: str, figure_link: str, seconds_link: str,
) -> Origin:  # fmt: skip
    return Origin(
        figure=figure, device=device, start=start, end=end, value=value, seconds=sum(row.seconds for row in rows),
        valid_s=sum(row.valid_s for row in rows), hours_counted=counted, left_out=left_out,
        revision=max((row.revision for row in rows), default=0), figure_link=figure_link, seconds_link=seconds_link,
    )  # fmt: skip


def _water(facts: QuarterFacts, words: Words, links: Links) -> Table:
    """Trace each meter over the period; the workbook has the dates of the meters that the use is taken from."""
    assert facts.water is not None
    period, site = facts.period, facts.site.name

    def span(first: date, last: date) -> tuple[datetime, datetime]:
        return facts.clock.midnight(first), facts.clock.midnight(last + _DAY)

    rows = [
        (meter, span(period.first, period.last), meter.volume_l, sum(one.readings for one in meter.origins),
         max((one.revision for one in meter.origins), default=0), period.first, period.last)
        for meter in facts.water.meters
    ]  # fmt: skip
    rows += [
        (meter, span(day.date, day.date), day.volume_l, origin.readings, origin.revision, day.date, day.date)
        for meter in facts.water.meters
        if meter.role == "master" or facts.water.measured_by != "master"
        for day, origin in zip(meter.days, meter.origins, strict=True)
    ]
    spec: Spec = [
        ("meter", "text", 18, lambda one: words.label(one[0].label_zh, one[0].label_en)),
        ("from", "time", 20, lambda one: utc(one[1][0])),
        ("to", "time", 20, lambda one: utc(one[1][1])),
        ("value_full", "litres", 12, lambda one: one[2]),
        ("readings", "count", 9, lambda one: one[3]),
        ("revision", "count", 8, lambda one: one[4]),
        ("figure_link", "link", 8, lambda one: links.water_days(site, one[0].name, one[5], one[6])),
        ("seconds_link", "link", 8, lambda one: links.water_hours(site, one[0].name, *one[1])),
    ]
    return table(
        "provenance_water", words.t("table.water_provenance"), spec, rows, words,
        most_printed=min(40, len(facts.water.meters)),
    )  # fmt: skip
