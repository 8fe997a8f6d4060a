"""The chapter on noise, and its sheets: days, months, hours. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from analysis.days import NoiseDay, PeriodLevel
from analysis.patterns import ProfileHour
from analysis.report.facts import QuarterFacts, SourceFacts
from analysis.report.figures import PERIODS, Count, PeriodName, count, months_of, period_of
from analysis.report.model import (
    Block,
    CalendarChart,
    Cell,
    CellFormat,
    Column,
    DatePoint,
    DaysChart,
    Mark,
    Paragraph,
    ProfileChart,
    ProfilePoint,
    Section,
    Table,
)
from analysis.report.words import Words, iso, local, utc
from analysis.validity import why_not

Value = Callable[[Any], Cell]
Spec = Sequence[tuple[str, CellFormat, int, Value]]
"""Key of the title, format, width, and how a cell is made of a row."""


def noise_section(facts: QuarterFacts, words: Words) -> Section:
    """Return the chapter: for each point its charts and its days or months; for the workbook days and hours."""
    blocks: list[Block] = []
    if not facts.sources:
        blocks.append(Paragraph(text=words.t("say.no_noise")))
    for source in facts.sources:
        blocks += _source(facts, source, words)
    if facts.sources:
        blocks += [_days_sheet(facts, words), _hours_sheet(facts, words)]
    return Section(
        key="noise", title=words.t("section.noise"), blocks=tuple(blocks), break_before=bool(facts.sources)
    )


def name_of(source: SourceFacts, words: Words) -> str:
    """Return what a point is called."""
    return words.label(source.device.label_zh, source.device.label_en)


def points_table(facts: QuarterFacts, words: Words) -> Table:
    """Return one row for each point: levels, verdicts, how much was valid."""
    spec: Spec = [
        ("device", "text", 20, lambda one: name_of(one[0], words)),
        ("day_level", "level", 10, lambda one: one[1].level_db),
        ("day_limit", "level", 10, lambda one: one[0].days[-1].day.limit.value),
        ("days_passed", "count", 9, lambda one: one[1].passed),
        ("days_failed", "count", 9, lambda one: one[1].failed),
        ("days_incomplete", "count", 9, lambda one: one[1].incomplete),
        ("night_level", "level", 10, lambda one: one[2].level_db),
        ("night_limit", "level", 10, lambda one: one[0].days[-1].night.limit.value),
        ("nights_passed", "count", 9, lambda one: one[2].passed),
        ("nights_failed", "count", 9, lambda one: one[2].failed),
        ("nights_incomplete", "count", 9, lambda one: one[2].incomplete),
        ("night_max", "level", 10, lambda one: one[2].max_db),
        ("valid", "share", 10, lambda one: (one[1].valid_share * 2 + one[2].valid_share) / 3),
        ("note", "text", 24, lambda one: _approval(one[0], words)),
    ]
    rows = [(one, count(one.days, "day"), count(one.days, "night")) for one in facts.sources]
    return table(
        "summary", words.t("table.points"), spec, rows, words, [_mark(one[1], one[2]) for one in rows]
    )


def table(
    sheet: str, title: str, spec: Spec, rows: Sequence[Any], words: Words, marks: Sequence[Mark] = (), *,
    note: str = "", most_printed: int = 10_000, unprinted: Sequence[str] = (),
) -> Table:  # fmt: skip
    """Make a table of rows by a list of columns."""
    return Table(
        sheet=sheet, title=title, note=note, most_printed=most_printed, marks=tuple(marks),
        columns=tuple(
            Column(title=words.t(f"col.{key}"), format=form, width=width, printed=key not in unprinted)
            for key, form, width, _ in spec
        ),
        rows=tuple(tuple(value(row) for _, _, _, value in spec) for row in rows),
    )  # fmt: skip


def _source(facts: QuarterFacts, source: SourceFacts, words: Words) -> Iterator[Block]:
    name = name_of(source, words)
    if facts.period.kind == "month":
        yield _days_chart(source, name, words)
        yield _profile_chart(facts, source, name, words)
        yield _days_table(words.t("table.days", device=name), source.days, words)
        return
    yield _calendar(source, words.t("chart.calendar", device=name), "night", words)
    yield _calendar(source, words.t("chart.calendar_day", device=name), "day", words)
    yield _profile_chart(facts, source, name, words)
    yield _months_table(source, words.t("table.months", device=name), words)
    bad = [day for day in source.days if "fail" in (day.day.verdict, day.night.verdict)]
    if bad:
        yield _days_table(words.t("table.bad_days", device=name), bad, words, most_printed=60)


def _days_table(title: str, days: Sequence[NoiseDay], words: Words, *, most_printed: int = 40) -> Table:
    spec: Spec = [
        ("date", "date", 12, lambda day: iso(day.date)),
        ("ld", "level", 8, lambda day: day.ld_db),
        ("day_verdict", "text", 14, lambda day: verdict_words(day.day, words)),
        ("day_valid", "share", 8, lambda day: day.day.valid_share),
        ("ln", "level", 8, lambda day: day.ln_db),
        ("night_verdict", "text", 14, lambda day: verdict_words(day.night, words)),
        ("night_valid", "share", 8, lambda day: day.night.valid_share),
        ("night_max", "level", 8, lambda day: day.night.stats.lafmax_db),
    ]
    return table("", title, spec, days, words, [day_mark(day) for day in days], most_printed=most_printed)


def verdict_words(one: PeriodLevel, words: Words) -> str:
    """Return a verdict, with why where it is none."""
    told = words.t(f"verdict.{one.verdict}")
    return f"{told} ({words.named('reason', one.reason)})" if one.reason else told


def day_mark(day: NoiseDay) -> Mark:
    """Return how a date is to be seen: its worse half."""
    verdicts = (day.day.verdict, day.night.verdict)
    if "fail" in verdicts:
        return "bad"
    return "weak" if "incomplete" in verdicts else ""


def _months_table(source: SourceFacts, title: str, words: Words) -> Table:
    rows = [
        (month.strftime("%Y-%m"), count(days, "day"), count(days, "night"))
        for month, days in months_of(source.days)
    ]
    spec: Spec = [
        ("month", "text", 9, lambda one: one[0]),
        ("day_level", "level", 9, lambda one: one[1].level_db),
        ("days_passed", "count", 8, lambda one: one[1].passed),
        ("days_failed", "count", 8, lambda one: one[1].failed),
        ("days_incomplete", "count", 8, lambda one: one[1].incomplete),
        ("day_valid", "share", 8, lambda one: one[1].valid_share),
        ("night_level", "level", 9, lambda one: one[2].level_db),
        ("nights_passed", "count", 8, lambda one: one[2].passed),
        ("nights_failed", "count", 8, lambda one: one[2].failed),
        ("nights_incomplete", "count", 8, lambda one: one[2].incomplete),
        ("night_valid", "share", 8, lambda one: one[2].valid_share),
    ]
    return table("", title, spec, rows, words, [_mark(one[1], one[2]) for one in rows])


def _mark(day: Count, night: Count) -> Mark:
    if day.failed or night.failed:
        return "bad"
    return "" if day.passed and night.passed else "weak"


def _days_sheet(facts: QuarterFacts, words: Words) -> Table:
    rows = [(source, day) for source in facts.sources for day in source.days]
    spec: Spec = [
        ("device", "text", 18, lambda one: name_of(one[0], words)),
        ("date", "date", 11, lambda one: iso(one[1].date)),
    ]
    for period in PERIODS:
        spec = [*spec, *_period_columns(period, words)]
    spec = [*spec, ("ldn", "level", 9, lambda one: one[1].ldn_db)]
    return table(
        "days", words.t("table.days_sheet"), spec, rows, words, [day_mark(one[1]) for one in rows],
        most_printed=0,
    )  # fmt: skip


def _period_columns(period: PeriodName, words: Words) -> Spec:
    def of(row: Any) -> PeriodLevel:
        return period_of(row[1], period)

    columns: Spec = [
        ("ld" if period == "day" else "ln", "level", 8, lambda row: of(row).laeq_db),
        (f"{period}_limit", "level", 8, lambda row: of(row).limit.value),
        (f"{period}_margin", "level", 8, lambda row: _margin(of(row))),
        (f"{period}_verdict", "text", 10, lambda row: words.t(f"verdict.{of(row).verdict}")),
        ("reason", "text", 14, lambda row: words.named("reason", of(row).reason) if of(row).reason else None),
        (f"{period}_valid", "share", 8, lambda row: of(row).valid_share),
        (f"{period}_counted", "count", 8, lambda row: of(row).hours_counted),
        (f"{period}_l10", "level", 8, lambda row: of(row).stats.l10_db),
        (f"{period}_l90", "level", 8, lambda row: of(row).stats.l90_db),
    ]
    if period == "night":
        columns = [*columns, ("night_max", "level", 8, lambda row: of(row).stats.lafmax_db)]
    return columns


def _margin(one: PeriodLevel) -> float | None:
    return None if one.laeq_db is None else one.laeq_db - one.limit.value


def _hours_sheet(facts: QuarterFacts, words: Words) -> Table:
    zone, least = facts.site.timezone, facts.validity.hour_share
    rows = [(source, hour) for source in facts.sources for hour in source.hours]
    spec: Spec = [
        ("device", "text", 18, lambda one: name_of(one[0], words)),
        ("time", "time", 20, lambda one: utc(one[1].t)),
        ("local", "text", 16, lambda one: local(one[1].t, zone)),
        ("period", "text", 8, lambda one: words.t(facts.clock.period(one[1].t))),
        ("laeq", "level", 9, lambda one: one[1].laeq_db),
        ("l10", "level", 8, lambda one: one[1].l10_db),
        ("l50", "level", 8, lambda one: one[1].l50_db),
        ("l90", "level", 8, lambda one: one[1].l90_db),
        ("lafmax", "level", 9, lambda one: one[1].lafmax_db),
        ("valid_share", "share", 9, lambda one: one[1].valid_share),
        ("valid_s", "number", 9, lambda one: one[1].valid_s),
        ("seconds", "count", 9, lambda one: one[1].seconds),
        ("revision", "count", 8, lambda one: one[1].revision),
        ("counted", "text", 8, lambda one: words.t("no" if why_not(one[1], least) else "yes")),
        ("reason", "text", 14, lambda one: words.named("reason", why_not(one[1], least)) or None),
    ]
    # A reason of nothing is "": the family has no such text, and the cell stays empty.
    return table("hours", words.t("table.hours_sheet"), spec, rows, words, most_printed=0)


def _days_chart(source: SourceFacts, name: str, words: Words) -> DaysChart:
    last = source.days[-1]
    return DaysChart(
        title=words.t("chart.days", device=name), day_label=words.t("chart.ld"), night_label=words.t("chart.ln"),
        limit_label=words.t("chart.limit"), incomplete_label=words.t("chart.incomplete"),
        day=tuple(_point(day, "day") for day in source.days), night=tuple(_point(day, "night") for day in source.days),
        day_limit=last.day.limit.value, night_limit=last.night.limit.value,
    )  # fmt: skip


def _point(day: NoiseDay, period: PeriodName) -> DatePoint:
    one = period_of(day, period)
    return DatePoint(date=iso(day.date), value=one.laeq_db, complete=one.verdict != "incomplete")


def _calendar(source: SourceFacts, title: str, period: PeriodName, words: Words) -> CalendarChart:
    return CalendarChart(
        title=title, weekdays=words.weekdays(), months=words.months(),
        legend=tuple(words.t(f"chart.{key}") for key in ("far_below", "just_below", "above", "incomplete")),
        margins=tuple(
            DatePoint(
                date=iso(day.date), value=_margin(period_of(day, period)),
                complete=period_of(day, period).verdict != "incomplete",
            )
            for day in source.days
        ),
    )  # fmt: skip


def _profile_chart(facts: QuarterFacts, source: SourceFacts, name: str, words: Words) -> ProfileChart:
    last = source.days[-1]
    return ProfileChart(
        title=words.t("chart.profile", device=name), workdays_label=words.t("chart.workdays"),
        restdays_label=words.t("chart.restdays"), band_label=words.t("chart.band"),
        limit_label=words.t("chart.limit"), workdays=_profile(source.workdays), restdays=_profile(source.restdays),
        day_limit=last.day.limit.value, night_limit=last.night.limit.value,
        day_starts_h=facts.site.day_starts_h, night_starts_h=facts.site.night_starts_h,
    )  # fmt: skip


def _profile(hours: Sequence[ProfileHour]) -> tuple[ProfilePoint, ...]:
    return tuple(
        ProfilePoint(hour=one.hour, laeq_db=one.laeq_db, l10_db=one.l10_db, l90_db=one.l90_db)
        for one in hours
    )


def _approval(source: SourceFacts, words: Words) -> str:
    return words.t("type_approved" if source.device.type_approved else "devices.not_approved")


def further_table(facts: QuarterFacts, words: Words) -> Table | None:
    """Return what the site is judged by beside Ld and Ln, with counts; ``None`` where there is nothing."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    rows_of = {}
    for source in facts.sources:
        for finding in source.findings:
            key = (name_of(source, words), finding.row.id)
            counts.setdefault(key, Counter())[finding.verdict] += 1
            rows_of[finding.row.id] = finding.row
    if not counts:
        return None
    spec: Spec = [
        ("device", "text", 18, lambda one: one[0][0]),
        (
            "what",
            "text",
            40,
            lambda one: words.label(rows_of[one[0][1]].label_zh, rows_of[one[0][1]].label_en),
        ),
        ("standard", "text", 18, lambda one: rows_of[one[0][1]].standard),
        ("limit", "level", 8, lambda one: rows_of[one[0][1]].value),
        ("mark", "text", 6, lambda one: rows_of[one[0][1]].verified),
        ("passed", "count", 8, lambda one: one[1]["pass"]),
        ("failed", "count", 8, lambda one: one[1]["fail"]),
        ("incomplete", "count", 10, lambda one: one[1]["incomplete"]),
    ]
    marks: list[Mark] = ["bad" if found["fail"] else "" for found in counts.values()]
    return table("summary", words.t("table.further"), spec, list(counts.items()), words, marks)
