"""What a check says."""

from __future__ import annotations

from typing import Literal

import msgspec

Level = Literal["ok", "warning", "error"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one check; ``key`` names the outcome and is what the documentation lists."""

    key: str
    level: Level
    text: str
    cure: str = ""


def ok(key: str, text: str) -> Finding:
    """Return that a thing is as it should be."""
    return Finding(key=key, level="ok", text=text)


def error(key: str, text: str, cure: str) -> Finding:
    """Return that a thing is broken."""
    return Finding(key=key, level="error", text=text, cure=cure)


def warning(key: str, text: str, cure: str) -> Finding:
    """Return that a thing may be broken."""
    return Finding(key=key, level="warning", text=text, cure=cure)


def worst(findings: list[Finding]) -> int:
    """Return the exit code: 0 all well, 1 a warning, 2 an error."""
    return max(({"ok": 0, "warning": 1, "error": 2}[finding.level] for finding in findings), default=0)
