"""The registers and the profile as tables with headings, in both languages. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from analysis.dossier.entries import (
    AdoptedRule,
    Appliance,
    Complaint,
    Entry,
    Kind,
    Measure,
    NoiseSource,
    Profile,
)
from analysis.dossier.text import NO, NONE, YES, Text, same, shown


@dataclass(frozen=True, slots=True)
class RegisterRow:
    """A row; ``id`` is the entry's number."""

    id: int
    cells: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class Register:
    """A table of entries of one kind; cells stand in the order of ``columns``."""

    kind: Kind
    title: Text
    columns: tuple[Text, ...]
    rows: tuple[RegisterRow, ...]


WORDS: Final[dict[str, Text]] = {
    "noise": Text("噪声", "noise"),
    "water": Text("用水", "water"),
    "other": Text("其他", "other"),
    "planned": Text("计划", "planned"),
    "running": Text("进行中", "running"),
    "done": Text("已完成", "done"),
    "traffic": Text("交通", "traffic"),
    "construction": Text("施工", "construction"),
    "commerce": Text("商业", "commerce"),
    "equipment": Text("设备", "equipment"),
    "social": Text("社会生活", "social life"),
    "school": Text("学校", "school"),
    "residents_pact": Text("居民公约", "residents' pact"),
    "no_horn_signs": Text("禁止鸣笛标志", "no-horn signs"),
    "quiet_hours": Text("安静时段", "quiet hours"),
    "renovation": Text("装修管理", "renovation"),
    "water_saving": Text("节水管理", "saving water"),
    "tap": Text("水龙头", "tap"),
    "shower": Text("淋浴器", "shower"),
    "toilet": Text("坐便器", "toilet"),
    "urinal": Text("小便器", "urinal"),
    "washing_machine": Text("洗衣机", "washing machine"),
    "irrigation": Text("灌溉", "irrigation"),
    "household": Text("住户", "households"),
    "public": Text("公共", "public"),
}
"""Words for the choices in entries."""

_Cell = Callable[[Any], Text]


def _word(key: str) -> _Cell:
    return lambda one: WORDS[getattr(one, key)]


def _plain(key: str, unit: str = "") -> _Cell:
    def cell(one: Any) -> Text:
        value = getattr(one, key)
        if value is None or value == "":
            return NONE
        if isinstance(value, bool):
            return YES if value else NO
        if isinstance(value, date):
            return same(value.isoformat())
        return shown(float(value), unit) if isinstance(value, int | float) else same(value)

    return cell


_TABLES: Final[dict[Kind, tuple[type, Text, tuple[tuple[Text, _Cell], ...]]]] = {
    "complaint": (
        Complaint, Text("投诉与处理", "Complaints and their handling"),
        (
            (Text("收到", "received"), _plain("received_on")), (Text("类别", "topic"), _word("topic")),
            (Text("内容", "about"), _plain("about")), (Text("地点", "place"), _plain("place")),
            (Text("处理", "handling"), _plain("handling")), (Text("办结", "closed"), _plain("closed_on")),
            (Text("投诉人满意", "satisfied"), _plain("satisfied")),
        ),
    ),
    "source": (
        NoiseSource, Text("噪声源登记", "Register of noise sources"),
        (
            (Text("名称", "name"), _plain("name")), (Text("类别", "kind"), _word("source_kind")),
            (Text("距离", "distance"), _plain("distance_m", "m")), (Text("时段", "hours"), _plain("hours")),
            (Text("限值", "limit"), _plain("limit_db", "dB")), (Text("依据", "basis"), _plain("limit_basis")),
            (Text("措施", "measure"), _plain("measure")),
        ),
    ),
    "measure": (
        Measure, Text("已采取的措施", "Measures taken"),
        (
            (Text("措施", "measure"), _plain("title")), (Text("类别", "topic"), _word("topic")),
            (Text("状态", "state"), _word("state")), (Text("完成", "done"), _plain("done_on")),
            (Text("费用（元）", "cost (CNY)"), _plain("cost_yuan")), (Text("效果", "effect"), _plain("effect")),
        ),
    ),
    "rule": (
        AdoptedRule, Text("制定的规章", "Rules adopted"),
        (
            (Text("名称", "title"), _plain("title")), (Text("类别", "kind"), _word("rule_kind")),
            (Text("通过", "adopted"), _plain("adopted_on")), (Text("已公示", "on display"), _plain("displayed")),
            (Text("内容", "content"), _plain("content")),
        ),
    ),
    "appliance": (
        Appliance, Text("节水器具", "Water-saving fittings"),
        (
            (Text("器具", "fitting"), _word("appliance")), (Text("位置", "place"), _word("place")),
            (Text("总数", "all"), _plain("total")), (Text("节水型", "saving water"), _plain("efficient")),
            (Text("依据", "basis"), _plain("basis")),
        ),
    ),
}  # fmt: skip
_PROFILE: Final[tuple[tuple[str, str, Text], ...]] = (
    ("land_m2", "m2", Text("占地面积", "land")),
    ("floor_m2", "m2", Text("建筑面积", "floor area")),
    ("households", "", Text("户数", "households")),
    ("persons", "", Text("人数", "people")),
    ("green_share", "share", Text("绿化与硬化率", "green or paved share")),
    ("closed_quarter", "", Text("封闭管理", "closed, secured quarter")),
    ("waste_daily", "", Text("垃圾日产日清", "waste removed daily")),
    ("contact_office", "", Text("负责岗位", "office in charge")),
    ("complaint_phone", "", Text("投诉电话", "complaint telephone")),
    ("no_complaints", "", Text("确认没有投诉", "no complaints, confirmed")),
    ("no_sources", "", Text("确认没有声源", "no noise source, confirmed")),
    ("public_uses", "", Text("公共用水点", "public uses of water")),
    ("public_metered", "", Text("已计量的公共用水点", "public uses with a meter")),
    ("green_water_m3", "m³", Text("绿化用水量", "water for green areas")),
    ("green_unconventional_m3", "m³", Text("其中非常规水", "of it rain or reclaimed water")),
)


def registers(entries: Sequence[Entry], kinds: Sequence[Kind]) -> tuple[Register, ...]:
    """Return a table for each kind, empty ones too."""
    return tuple(_register(kind, entries) for kind in kinds)


def _register(kind: Kind, entries: Sequence[Entry]) -> Register:
    of, title, columns = _TABLES[kind]
    rows = (
        RegisterRow(one.id, tuple(cell(one.data) for _, cell in columns))
        for one in entries
        if isinstance(one.data, of)
    )
    return Register(kind, title, tuple(words for words, _ in columns), tuple(rows))


def profile_rows(profile: Profile) -> tuple[tuple[Text, Text], ...]:
    """Return the profile as pairs of heading and value."""
    return tuple((words, _plain(key, unit)(profile)) for key, unit, words in _PROFILE)
