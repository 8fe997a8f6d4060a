"""Facts into plain words, Chinese and English: what, where, since when, how far above, what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from analysis.notify.facts import Facts, Language
from analysis.standard_rows import PROJECT_DEFAULT

MOST_IN_FULL: Final = 4
"""Alerts told in full in one message, the rest are counted: chat services take some 2,000 bytes."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message, plain text."""

    title: str
    body: str


@dataclass(frozen=True, slots=True)
class KindWording:
    """How one kind of rule is told: a short name, the sentence with the numbers, and what to do, zh and en."""

    name: tuple[str, str]
    what: Callable[[Facts, Language], str]
    todo: tuple[str, str]


def compose(facts: Sequence[Facts], language: Language, links: Mapping[int, str] | None = None) -> Message:
    """Put one or more events into one message. ``links`` takes an alert on, by its number."""
    if not facts:
        raise ValueError("a message needs at least one event")
    shown = facts[:MOST_IN_FULL]
    parts = [_paragraph(one, language, (links or {}).get(one.alert_id)) for one in shown]
    if len(facts) > len(shown):
        more = len(facts) - len(shown)
        parts.append(
            f"另有 {more} 条告警,请到页面查看。" if language == "zh" else f"{more} more alerts: see the page."
        )
    if any(one.indicative for one in facts):
        parts.append(INDICATIVE[_index(language)])
    return Message(_title(facts, language), "\n\n".join(parts))


def _title(facts: Sequence[Facts], language: Language) -> str:
    first = facts[0]
    if len(facts) == 1:
        place = first.site_zh if language == "zh" else first.site_en
        return (
            f"{place}:{_headline(first, language)}"
            if language == "zh"
            else f"{place}: {_headline(first, language)}"
        )
    places = list(dict.fromkeys(one.site_zh if language == "zh" else one.site_en for one in facts))
    count = len(facts)
    if language == "zh":
        return f"{'、'.join(places[:3])}{'等' if len(places) > 3 else ''}:{count} 条告警"
    return f"{', '.join(places[:3])}{' and others' if len(places) > 3 else ''}: {count} alerts"


def _headline(one: Facts, language: Language) -> str:
    name = _wording(one).name[_index(language)]
    match one.event, language:
        case "resolved", "zh":
            return f"已恢复:{name}"
        case "resolved", _:
            return f"over: {name}"
        case "escalated", "zh":
            return f"无人处理,已升级:{name}"
        case "escalated", _:
            return f"nobody answered, escalated: {name}"
    return name


def _paragraph(one: Facts, language: Language, link: str | None) -> str:
    wording = _wording(one)
    zh = language == "zh"
    lines = [
        f"{_headline(one, language)}",
        f"地点:{one.site_zh} · {one.source_zh}" if zh else f"Where: {one.site_en} · {one.source_en}",
        wording.what(one, language),
        _times(one, language),
    ]
    if one.event != "resolved":
        lines.append(f"怎么办:{wording.todo[0]}" if zh else f"What to do: {wording.todo[1]}")
    if link is not None and one.event != "resolved":
        lines.append(f"我来处理:{link}" if zh else f"I'm on it: {link}")
    elif link is not None:
        lines.append(f"查看:{link}" if zh else f"See it: {link}")
    return "\n".join(lines)


def _times(one: Facts, language: Language) -> str:
    since = f"{one.since:%Y-%m-%d %H:%M}"
    if one.until is None:
        return f"开始时间:{since}" if language == "zh" else f"Since: {since}"
    until, lasted = f"{one.until:%Y-%m-%d %H:%M}", _lasted(one.since, one.until, language)
    return (
        f"时间:{since} 至 {until},历时{lasted}"
        if language == "zh"
        else f"From {since} to {until}, {lasted} in all"
    )


def _lasted(since: datetime, until: datetime, language: Language) -> str:
    minutes = max(1, round((until - since) / timedelta(minutes=1)))
    hours, rest = divmod(minutes, 60)
    if language == "zh":
        return (f" {hours} 小时" if hours else "") + (f" {rest} 分钟" if rest or not hours else "")
    return " ".join(([f"{hours} h"] if hours else []) + ([f"{rest} min"] if rest or not hours else []))


def _noise_window(one: Facts, language: Language) -> str:
    told = one.worst if one.event == "resolved" else one.value
    if told is None or one.limit is None:
        return "等效声级超过限值" if language == "zh" else "The level is above the limit"
    excess = told - one.limit
    night = one.detail.get("period") == "night"
    span = _window_words(int(one.detail.get("window_s", 600)), language)
    if language == "zh":
        most = "最高的" if one.event == "resolved" else ""
        period = one.detail.get("quiet_zh") or ("夜间" if night else "昼间")
        return (
            f"{most}{span}等效声级 {told:.1f} dB(A),"
            f"超过{period}限值 {one.limit:.0f} dB(A) {excess:.1f} dB({_standard(one, language)})"
        )
    period = one.detail.get("quiet_en") or ("night" if night else "day")
    most = "Highest level" if one.event == "resolved" else "Level"
    return (
        f"{most} over {span}: {told:.1f} dB(A), {excess:.1f} dB above the {period} limit of "
        f"{one.limit:.0f} dB(A) ({_standard(one, language)})"
    )


def _window_words(window_s: int, language: Language) -> str:
    minutes, rest = divmod(window_s, 60)
    if language == "zh":
        return f"{minutes} 分钟" if not rest else f"{window_s} 秒"
    return f"{minutes} minutes" if not rest else f"{window_s} seconds"


def _standard(one: Facts, language: Language) -> str:
    """Return what the limit rests on; this project's own number is never passed off as a standard's."""
    name = str(one.detail.get("standard", ""))
    return "项目默认值" if name == PROJECT_DEFAULT and language == "zh" else name


def _water_continuous(one: Facts, language: Language) -> str:
    hours = int(one.detail.get("window_s", 86_400)) // 3600
    flow = one.value if one.event != "resolved" else one.worst
    if flow is None:
        return "用水从未停止" if language == "zh" else "The water never rested"
    month_m3 = flow * 24.0 * 30.0 / 1000.0
    if language == "zh":
        return f"连续 {hours} 小时用水从未停止,最小流量 {flow:.1f} L/h,照此每月约 {month_m3:.1f} m³"
    return (
        f"The water has not rested within {hours} hours; the lowest flow was {flow:.1f} L/h, "
        f"about {month_m3:.1f} m³ a month"
    )


def _leak(one: Facts, language: Language) -> str:
    alarms = one.detail.get("alarms") or []
    if not alarms or one.value is None:
        return "用水异常" if language == "zh" else "The use of water is not as it should be"
    first = alarms[0]
    zh, en = _LEAK_NAMES.get(str(first["kind"]), ("用水异常", "unusual use of water"))
    if first.get("month_l", 0.0) <= 0.0:
        return zh if language == "zh" else en.capitalize()
    month_m3, money = first["month_l"] / 1000.0, first["month_money"]
    if language == "zh":
        return f"{zh},约 {one.value:.1f} L/h,照此每月损失约 {month_m3:.1f} m³、{money:.2f} 元"
    currency = one.detail.get("currency", "")
    return (
        f"{en.capitalize()}, about {one.value:.1f} L/h: a month of it is about {month_m3:.1f} m³ "
        f"and {money:.2f} {currency}"
    )


def _water_plan(one: Facts, language: Language) -> str:
    if one.value is None or one.limit is None:
        return "用水可能超计划" if language == "zh" else "Use may pass the plan"
    surcharge = one.detail.get("surcharge", "0.00")
    if language == "zh":
        return f"预计全年用水 {one.value:.0f} m³,计划 {one.limit:.0f} m³,预计超计划加价 {surcharge} 元"
    return (
        f"The year is heading for {one.value:.0f} m³ against a plan of {one.limit:.0f} m³; "
        f"the surcharge would be {surcharge} CNY"
    )


def _device_offline(one: Facts, language: Language) -> str:
    minutes = f"{one.value:.0f}" if one.value is not None else "?"
    silent = one.detail.get("what") == "silent"
    if one.event == "resolved":
        return "设备已恢复" if language == "zh" else "The device is back"
    if language == "zh":
        return f"设备在线,但 {minutes} 分钟没有数据" if silent else f"设备离线 {minutes} 分钟"
    return f"Online, but no readings for {minutes} minutes" if silent else f"Offline for {minutes} minutes"


def _noise_night_max(one: Facts, language: Language) -> str:
    told = one.worst
    if told is None or one.limit is None:
        return "夜间突发噪声" if language == "zh" else "A sudden noise at night"
    excess = told - one.limit
    if language == "zh":
        return f"夜间突发噪声最大声级 {told:.1f} dB(A),超过 {one.limit:.0f} dB(A) {excess:.1f} dB"
    return f"Highest level of a sudden noise at night: {told:.1f} dB(A), {excess:.1f} dB above {one.limit:.0f} dB(A)"


def _any_kind(one: Facts, language: Language) -> str:
    if one.value is None:
        return "条件成立" if language == "zh" else "The rule's condition is met"
    return f"数值 {one.value:.1f}" if language == "zh" else f"Value {one.value:.1f}"


def _wording(one: Facts) -> KindWording:
    return WORDINGS.get(one.kind, _UNKNOWN)


def _index(language: Language) -> int:
    return 0 if language == "zh" else 1


INDICATIVE: Final = (
    "指示性数据,不作执法依据:测量设备未经型式批准。",
    "Indicative, not for enforcement: the instrument is not type-approved.",
)
_LEAK_NAMES: Final[dict[str, tuple[str, str]]] = {
    "continuous_flow": ("疑似持续漏水", "water that never rests"),
    "intermittent_toilet": ("疑似马桶间歇漏水", "a toilet that runs again and again"),
    "burst": ("疑似爆管或水龙头未关", "a burst pipe or an open tap"),
    "backflow": ("水表倒流", "the meter runs backwards"),
    "stuck": ("水表停走", "the meter stands still"),
    "silent": ("水表失联", "the meter is silent"),
    "quarter_loss": ("总表与户表之间疑似漏水", "water is lost between the master meter and the households"),
    "district_inflow": ("片区夜间流量异常升高", "the district's night flow has risen"),
}
"""By kind of leak alarm."""
_UNKNOWN: Final = KindWording(
    ("告警", "alert"), _any_kind, ("请到页面查看详情。", "see the page for what it is about.")
)
WORDINGS: Final[dict[str, KindWording]] = {
    "noise_window": KindWording(
        ("噪声超限", "noise above the limit"),
        _noise_window,
        (
            "请到现场找到声源(施工、音响、设备、车辆),请对方停止或降低音量,并在页面点“我来处理”。",
            "find the source on site (building work, music, machines, vehicles), have it stopped or turned down, "
            "and say “I'm on it” on the page.",
        ),
    ),
    "water_continuous": KindWording(
        ("疑似持续漏水", "water never rests, a leak is likely"),
        _water_continuous,
        (
            "请联系住户,检查马桶、水龙头、热水器和水表后的管道;全部关闭后水表应当静止。",
            "ask the household to check toilets, taps, the water heater and the pipe behind the meter: with all of "
            "them shut the meter must stand still.",
        ),
    ),
    "noise_night_max": KindWording(
        ("夜间突发噪声", "sudden noise at night"),
        _noise_night_max,
        (
            "请查看该时段的监测记录,找到声源并劝止。",
            "look at what was measured at that time, find the source and have it stopped.",
        ),
    ),
    "water_leak": KindWording(
        ("疑似漏水", "a leak is likely"),
        _leak,
        (
            "请联系住户,检查马桶、水龙头、热水器和水表后的管道;爆管请立即关闭阀门。",
            "ask the household to check toilets, taps, the water heater and the pipe behind the meter; at a burst, "
            "shut the valve at once.",
        ),
    ),
    "water_meter_fault": KindWording(
        ("水表异常", "a meter needs a look"),
        _leak,
        (
            "请安排人员检查水表、接线和读数设备。",
            "send somebody to look at the meter, its wiring and its reader.",
        ),
    ),
    "water_quarter_loss": KindWording(
        ("小区管网疑似漏损", "water is lost between the meters"),
        _leak,
        (
            "请检查总表与户表之间的管道,必要时夜间听漏。",
            "check the pipes between the master meter and the households, at night by listening if need be.",
        ),
    ),
    "water_plan": KindWording(
        ("预计用水超计划", "use is heading above the plan"),
        _water_plan,
        (
            "请查看用水大户和漏损情况,安排节水措施。",
            "look at the largest users and at losses, and arrange for saving.",
        ),
    ),
    "device_offline": KindWording(
        ("设备离线", "a device is away"),
        _device_offline,
        ("请检查设备的电源和网络。", "check the device's power and network."),
    ),
}
"""By kind of rule."""
