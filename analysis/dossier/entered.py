"""Facts from what was entered by hand. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import TypeVar, cast, get_args

from analysis.dossier.entries import (
    AdoptedRule,
    Appliance,
    Complaint,
    Entry,
    EntryData,
    Measure,
    NoiseSource,
    Profile,
    RuleKind,
)
from analysis.dossier.facts import Evidence, Fact
from analysis.dossier.text import Text

_Data = TypeVar("_Data", bound=EntryData)
_NONE_RECEIVED = Text("时段内没有投诉（已确认）", "no complaint in the period (confirmed)")
_NO_SOURCE = Text("没有声源（已确认）", "no source (confirmed)")


def entered_facts(
    site: str, entries: Sequence[Entry], profile: Profile, first: date, last: date
) -> dict[str, Fact]:
    """Return every fact that the registers and the profile give. Complaints count by the date they were received."""
    facts = {
        **_of_profile(profile),
        **_of_complaints(_all(entries, Complaint), profile, first, last),
        **_of_sources(_all(entries, NoiseSource), profile),
        **_of_measures(_all(entries, Measure)),
        **_of_rules(_all(entries, AdoptedRule)),
        **_of_appliances(_all(entries, Appliance)),
    }
    return {name: _with_link(site, name, fact) for name, fact in facts.items()}


def _all(entries: Iterable[Entry], kind: type[_Data]) -> list[_Data]:
    return [cast(_Data, one.data) for one in entries if isinstance(one.data, kind)]


def _share(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def _yes(value: bool | None) -> float | None:
    return None if value is None else float(value)


def _of_profile(one: Profile) -> dict[str, Fact]:
    return {
        "profile.land_m2": Fact(one.land_m2, "m2"),
        "profile.floor_m2": Fact(one.floor_m2, "m2"),
        "profile.households": Fact(one.households, "households"),
        "profile.green_share": Fact(one.green_share, "share"),
        "profile.closed_quarter": Fact(_yes(one.closed_quarter), "yes_no"),
        "profile.waste_daily": Fact(_yes(one.waste_daily), "yes_no"),
        "profile.contact": Fact(1.0 if one.contact_office and one.complaint_phone else None, "yes_no"),
        "profile.public_metered_share": Fact(_share(one.public_metered, one.public_uses), "share"),
        "profile.unconventional_share": Fact(
            _share(one.green_unconventional_m3, one.green_water_m3), "share"
        ),
    }


def _of_complaints(found: list[Complaint], profile: Profile, first: date, last: date) -> dict[str, Fact]:
    facts: dict[str, Fact] = {}
    for topic in ("noise", "water"):
        mine = [one for one in found if one.topic == topic and first <= one.received_on <= last]
        closed = [one for one in mine if one.closed_on is not None]
        asked = [one for one in closed if one.satisfied is not None]
        name = f"complaints.{topic}"
        if not mine:
            value, note = (1.0, _NONE_RECEIVED) if profile.no_complaints else (None, None)
            none = Fact(value, "share", first, last, counted=0, note=note)
            facts[f"{name}.closed_share"] = facts[f"{name}.satisfied_share"] = none
            continue
        facts[f"{name}.closed_share"] = Fact(len(closed) / len(mine), "share", first, last, counted=len(mine))
        facts[f"{name}.satisfied_share"] = Fact(
            _share(sum(bool(one.satisfied) for one in asked), len(asked)),
            "share",
            first,
            last,
            counted=len(asked),
        )
    return facts


def _of_sources(found: list[NoiseSource], profile: Profile) -> dict[str, Fact]:
    if not found:
        value, note = (1.0, _NO_SOURCE) if profile.no_sources else (None, None)
        return {"sources.complete_share": Fact(value, "share", counted=0, note=note)}
    complete = sum(one.complete for one in found)
    return {"sources.complete_share": Fact(complete / len(found), "share", counted=len(found))}


def _of_measures(found: list[Measure]) -> dict[str, Fact]:
    facts: dict[str, Fact] = {}
    for topic in ("noise", "water"):
        mine = [one for one in found if one.topic == topic]
        done = float(sum(one.state == "done" for one in mine))
        facts[f"measures.{topic}.done"] = Fact(done if mine else None, "count", counted=len(mine))
    return facts


def _of_rules(found: list[AdoptedRule]) -> dict[str, Fact]:
    facts: dict[str, Fact] = {}
    for kind in get_args(RuleKind):
        mine = [one for one in found if one.rule_kind == kind]
        displayed = float(any(one.displayed for one in mine))
        facts[f"rules.{kind}"] = Fact(displayed if mine else None, "yes_no", counted=len(mine))
    return facts


def _of_appliances(found: list[Appliance]) -> dict[str, Fact]:
    total, efficient = sum(one.total for one in found), sum(one.efficient for one in found)
    return {"appliances.efficient_share": Fact(_share(efficient, total), "share", counted=total)}


_REGISTERS = {
    "complaints": ("complaint", Text("投诉登记", "register of complaints")),
    "sources": ("source", Text("声源登记", "register of noise sources")),
    "measures": ("measure", Text("措施登记", "register of measures")),
    "rules": ("rule", Text("规章登记", "register of rules")),
    "appliances": ("appliance", Text("器具登记", "register of fittings")),
}


def _with_link(site: str, name: str, fact: Fact) -> Fact:
    family = name.partition(".")[0]
    if family == "profile":
        link = Evidence(
            Text("小区概况", "profile"), f"/api/v1/sites/{site}/dossier/profile", f"#/dossier/{site}/profile"
        )
    else:
        kind, words = _REGISTERS[family]
        link = Evidence(
            words, f"/api/v1/sites/{site}/dossier/entries?kind={kind}", f"#/dossier/{site}/registers"
        )
    return Fact(
        fact.value, fact.unit, fact.first, fact.last, fact.completeness, fact.counted, (link,), note=fact.note
    )
