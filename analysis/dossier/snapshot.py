"""Frozen versions: a dossier as exact bytes with their digest, reading it back, and what changed between two. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from analysis.dossier.text import Text, same
from analysis.dossier.tree import SCHEMA, Dossier, IndicatorLine

Change = Literal["added", "removed", "changed"]
_SCORE: Final = Text("得分", "score")
_PASSED: Final = Text("达到申报条件", "fit to be handed in")
_YES, _NO = Text("是", "yes"), Text("否", "no")


class BrokenSnapshot(ValueError):
    """A frozen version is not what was frozen: its digest does not fit, or it cannot be read."""


@dataclass(frozen=True, slots=True)
class DiffLine:
    """One difference; ``before`` or ``after`` is ``None`` for what was not there."""

    part: Literal["summary", "indicator", "profile", "register", "survey", "attachment"]
    id: str
    label: Text
    change: Change
    before: Text | None
    after: Text | None


def freeze(dossier: Dossier, previous_sha256: str) -> tuple[str, str]:
    """Return (document, SHA-256). The digest covers the version before too, so that none can be slipped in."""
    document = msgspec.json.encode(dossier, order="deterministic").decode()
    return document, digest(document, previous_sha256)


def digest(document: str, previous_sha256: str) -> str:
    """Return the SHA-256 of the version before (hexadecimal, empty for the first), a line feed and the document."""
    return hashlib.sha256(f"{previous_sha256}\n{document}".encode()).hexdigest()


def thaw(document: str, sha256: str, previous_sha256: str) -> Dossier:
    """Return what was frozen. Raises :class:`BrokenSnapshot`."""
    if digest(document, previous_sha256) != sha256:
        raise BrokenSnapshot("the frozen version was changed: its digest does not fit")
    try:
        found = msgspec.json.decode(document, type=Dossier)
    except msgspec.MsgspecError as error:
        raise BrokenSnapshot(f"the frozen version cannot be read: {error}") from error
    if found.schema != SCHEMA:
        raise BrokenSnapshot(f"the frozen version has schema {found.schema}; this program reads {SCHEMA}")
    return found


def diff(before: Dossier, after: Dossier) -> list[DiffLine]:
    """Return what differs, in the order of the dossier."""
    return [
        *_summary(before, after),
        *_compare("indicator", _indicators(before), _indicators(after)),
        *_compare("profile", _profile(before), _profile(after)),
        *_compare("register", _rows(before), _rows(after)),
        *_compare("survey", _surveys(before), _surveys(after)),
        *_compare("attachment", _files(before), _files(after)),
    ]


def _summary(before: Dossier, after: Dossier) -> Iterable[DiffLine]:
    pairs = (
        ("score", _SCORE, same(f"{before.score:.1f}"), same(f"{after.score:.1f}")),
        ("passed", _PASSED, _YES if before.passed else _NO, _YES if after.passed else _NO),
        ("period", Text("时段", "period"), _period(before), _period(after)),
    )
    return (
        DiffLine("summary", key, label, "changed", old, new) for key, label, old, new in pairs if old != new
    )


def _period(one: Dossier) -> Text:
    return same(f"{one.first.isoformat()} … {one.last.isoformat()}")


_Known = Mapping[Hashable, tuple[Text, Text]]


def _compare(part: Any, before: _Known, after: _Known) -> Iterable[DiffLine]:
    for key in [*before, *(key for key in after if key not in before)]:
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        change: Change = "added" if old is None else "removed" if new is None else "changed"
        label = (new or old or (same(""), same("")))[0]
        yield DiffLine(part, str(key), label, change, old and old[1], new and new[1])


def _indicators(one: Dossier) -> _Known:
    return {line.id: (line.label, _words(line)) for line in one.indicators}


def _words(line: IndicatorLine) -> Text:
    points = f"{line.gained:g}/{line.points:g}"
    return Text(f"{line.reason_text.zh}（{points} 分）", f"{line.reason_text.en} ({points} points)")


def _profile(one: Dossier) -> _Known:
    return {label.en: (label, value) for label, value in one.profile}


def _rows(one: Dossier) -> _Known:
    return {
        row.id: (table.title, Text(" · ".join(c.zh for c in row.cells), " · ".join(c.en for c in row.cells)))
        for table in one.registers
        for row in table.rows
    }


def _surveys(one: Dossier) -> _Known:
    return {
        line.id: (line.title, Text(f"{line.result.answers} 份答卷", f"{line.result.answers} answers"))
        for line in one.surveys
    }


def _files(one: Dossier) -> _Known:
    return {file.id: (same(file.name), same(file.sha256[:12])) for file in one.attachments}
