"""Data segments of HJ 212: ``QN=…;ST=…;CN=…;PW=…;MN=…;Flag=…;CP=&&…&&``. Pure.

What real devices and platforms send differs from the letter: keys in other cases, an empty MN, a longer PW. It is
taken as it comes; what we send keeps to the letter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

ANSWER_WANTED: Final = 1
"""Bit of ``Flag``."""
SYSTEM: Final = "91"
"""``ST`` of the talk between the two sides (HJ 212-2017, table 5)."""

Group = Mapping[str, str]


class BadSegment(ValueError):
    """A data segment that cannot be understood."""


@dataclass(frozen=True, slots=True)
class Message:
    """One data segment. ``groups`` are the parts of CP: keys of one group belong to one factor."""

    qn: str
    st: str
    cn: str
    pw: str
    mn: str
    flag: int
    groups: Sequence[Group] = field(default_factory=tuple)

    @property
    def answer_wanted(self) -> bool:
        """Whether the other side waits for an answer."""
        return bool(self.flag & ANSWER_WANTED)

    def value(self, key: str) -> str | None:
        """Return a value of CP by its key, whatever its case."""
        wanted = key.lower()
        return next(
            (value for group in self.groups for name, value in group.items() if name.lower() == wanted), None
        )


def build(message: Message) -> str:
    """Return the data segment of a message."""
    head = [
        ("QN", message.qn),
        ("ST", message.st),
        ("CN", message.cn),
        ("PW", message.pw),
        ("MN", message.mn),
    ]
    return ";".join(f"{key}={value}" for key, value in head if value or key != "QN") + (
        f";Flag={message.flag};CP=&&{content(message.groups)}&&"
    )


def parse(segment: str) -> Message:
    """Return the message of a data segment. Raises :class:`BadSegment` without a command or with an open CP."""
    head, mark, rest = segment.partition("CP=&&")
    if not mark or not rest.endswith("&&"):
        raise BadSegment("CP does not begin and end with &&")
    fields = {key.strip().lower(): value.strip() for key, value in _pairs(head.split(";"))}
    if not fields.get("cn"):
        raise BadSegment("there is no CN")
    flag = fields.get("flag") or "0"
    if not (flag.isascii() and flag.isdigit() and len(flag) <= 3):
        raise BadSegment(f"Flag is no number: {flag[:20]!r}")
    return Message(
        fields.get("qn", ""), fields.get("st", ""), fields["cn"], fields.get("pw", ""), fields.get("mn", ""),
        int(flag), groups_of(rest[:-2]),
    )  # fmt: skip


def content(groups: Sequence[Group]) -> str:
    """Return what stands within CP: groups parted by ``;``, the keys of one by ``,``."""
    return ";".join(",".join(f"{key}={value}" for key, value in group.items()) for group in groups)


def groups_of(content: str) -> Sequence[Group]:
    """Return the groups of what stands within CP."""
    return tuple(dict(_pairs(group.split(","))) for group in content.split(";") if group)


def qn_of(t: datetime) -> str:
    """Return the request number of an instant: yyyyMMddHHmmssSSS, in the zone of ``t``."""
    return f"{t:%Y%m%d%H%M%S}{t.microsecond // 1000:03d}"


def _pairs(parts: Sequence[str]) -> list[tuple[str, str]]:
    split = [part.partition("=") for part in parts if "=" in part]
    return [(key, value) for key, _, value in split]
