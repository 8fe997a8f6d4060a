"""A leak alarm in one sentence, Chinese or English: what was seen, against what is usual, and since when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final, Literal

from analysis.leaks.alarm import Alarm

Language = Literal["zh", "en"]
_Sentence = tuple[Callable[[Alarm], str], Callable[[Alarm], str]]


def explain(alarm: Alarm, language: Language = "en") -> str:
    """Return the sentence. Times are those of the alarm's own zone, flows litres an hour."""
    zh, en = _SENTENCES[alarm.kind]
    return zh(alarm) if language == "zh" else en(alarm)


def whole_site(source: str) -> tuple[str, str]:
    """Return how an alert's source that is no instrument but a whole site is called, zh and en."""
    return _WHOLE_SITE.get(source, (source, source))


def _at(t: datetime) -> str:
    return f"{t:%Y-%m-%d %H:%M}"


def _flow(lph: float) -> str:
    return f"{lph:.1f}" if abs(lph) < 20.0 else f"{lph:.0f}"


def _continuous_zh(a: Alarm) -> str:
    p = a.params
    return (
        f"已连续 {p['hours']:.0f} 小时不低于 {_flow(p['floor_lph'])} L/h,以往最高 {_flow(p['usual_lph'])} L/h;"
        f"约自 {_at(a.since)} 起,漏水约 {_flow(a.flow_lph)} L/h"
    )


def _continuous_en(a: Alarm) -> str:
    p = a.params
    return (
        f"No hour with less than {_flow(p['floor_lph'])} L/h within {p['hours']:.0f} h, at most "
        f"{_flow(p['usual_lph'])} L/h before; about {_flow(a.flow_lph)} L/h since {_at(a.since)}"
    )


def _toilet_zh(a: Alarm) -> str:
    p = a.params
    return (
        f"反复出现约 {_flow(p['level_lph'])} L/h 的同一流量,共 {p['hours']:.0f} 小时,占时间的 {p['share']:.0%};"
        f"约自 {_at(a.since)} 起,平均漏水约 {_flow(a.flow_lph)} L/h"
    )


def _toilet_en(a: Alarm) -> str:
    p = a.params
    return (
        f"One and the same flow of about {_flow(p['level_lph'])} L/h again and again, {p['hours']:.0f} hours in all, "
        f"{p['share']:.0%} of the time; {_flow(a.flow_lph)} L/h on average since {_at(a.since)}"
    )


def _quarter_zh(a: Alarm) -> str:
    p = a.params
    return (
        f"总表比户表之和多 {_flow(p['loss_lph'])} L/h,平时为 {_flow(p['usual_lph'])} L/h(不确定度 "
        f"{_flow(p['sd_lph'])} L/h);{p['subs']:.0f} 只户表中 {p['silent']:.0f} 只无数据;"
        f"约自 {_at(a.since)} 起,增加约 {_flow(a.flow_lph)} L/h"
    )


def _quarter_en(a: Alarm) -> str:
    p = a.params
    return (
        f"{_flow(p['loss_lph'])} L/h between master and sub-meters where {_flow(p['usual_lph'])} L/h is usual "
        f"(uncertain by {_flow(p['sd_lph'])} L/h); {p['silent']:.0f} of {p['subs']:.0f} sub-meters silent; "
        f"{_flow(a.flow_lph)} L/h more since {_at(a.since)}"
    )


def _district_zh(a: Alarm) -> str:
    p = a.params
    return (
        f"连续 {p['days']:.0f} 天,各时段流量(含夜间)均高出平时约 {_flow(a.flow_lph)} L/h,为平均流量的 "
        f"{p['share']:.1%},是平时波动的 {p['certainty']:.1f} 倍;夜间最小流量 {_flow(p['night_lph'])} L/h,平时 "
        f"{_flow(p['usual_night_lph'])} L/h;约自 {_at(a.since)} 起"
    )


def _district_en(a: Alarm) -> str:
    p = a.params
    return (
        f"For {p['days']:.0f} days the inflow has been higher by about {_flow(a.flow_lph)} L/h at night as by day, "
        f"{p['share']:.1%} of the mean inflow and {p['certainty']:.1f} times what is usual; lowest night flow "
        f"{_flow(p['night_lph'])} L/h, {_flow(p['usual_night_lph'])} L/h before; since about {_at(a.since)}"
    )


_WHOLE_SITE: Final = {
    "quarter": ("全小区", "the whole quarter"),
    "district": ("片区进水口", "the district's inlet"),
}
_CONTINUOUS: Final[_Sentence] = (_continuous_zh, _continuous_en)
_SENTENCES: Final[dict[str, _Sentence]] = {
    "continuous_flow": _CONTINUOUS,
    "burst": _CONTINUOUS,
    "intermittent_toilet": (_toilet_zh, _toilet_en),
    "backflow": (
        lambda a: f"自 {_at(a.since)} 起读数 {a.params['times']:.0f} 次倒退,共 {a.params['volume_l']:.0f} L",
        lambda a: (
            f"The register went back {a.params['times']:.0f} times, by {a.params['volume_l']:.0f} L in all, "
            f"since {_at(a.since)}"
        ),
    ),
    "stuck": (
        lambda a: (
            f"自 {_at(a.since)} 起 {a.params['hours']:.0f} 小时未走,平时最长 {a.params['usual_h']:.0f} 小时"
        ),
        lambda a: (
            f"The register has stood still for {a.params['hours']:.0f} h since {_at(a.since)}, at most "
            f"{a.params['usual_h']:.0f} h before"
        ),
    ),
    "silent": (
        lambda a: f"自 {_at(a.since)} 起 {a.params['hours']:.0f} 小时没有读数",
        lambda a: f"No reading for {a.params['hours']:.0f} h, since {_at(a.since)}",
    ),
    "jump": (
        lambda a: f"{a.params['hours']:.1f} 小时内读数变化 {a.params['volume_l']:.0f} L,不可信",
        lambda a: (
            f"The register moved by {a.params['volume_l']:.0f} L within {a.params['hours']:.1f} h: not to be believed"
        ),
    ),
    "quarter_loss": (_quarter_zh, _quarter_en),
    "district_inflow": (_district_zh, _district_en),
}
