"""A replay of what the quarantine holds: asked for by one process, done by the one that owns the series store."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from store.registry.models import Counter
from store.registry.quarantine import add_to_counter

_ASKED = "replay_asked"
_DONE = "replay_done"
_RESULTS = ("replay_stored", "replay_refused", "replay_still_held")


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What became of the held readings: now stored, refused for another reason, or still of an unknown source."""

    stored: int = 0
    refused: int = 0
    still_held: int = 0


def ask(session: Session) -> int:
    """Ask for a replay; return its number."""
    return add_to_counter(session, _ASKED, 1)


def pending(session: Session) -> int | None:
    """Return the number of the newest replay that was asked for and is not done, or ``None``."""
    asked, done = _value(session, _ASKED), _value(session, _DONE)
    return asked if asked > done else None


def finish(session: Session, number: int, result: ReplayResult) -> None:
    """Note that all replays up to ``number`` are done."""
    _set(session, _DONE, number)
    for name, value in zip(_RESULTS, (result.stored, result.refused, result.still_held), strict=True):
        _set(session, name, value)


def result_of(session: Session, number: int) -> ReplayResult | None:
    """Return the result once replay ``number`` is done."""
    if _value(session, _DONE) < number:
        return None
    return ReplayResult(*(_value(session, name) for name in _RESULTS))


def _value(session: Session, name: str) -> int:
    row = session.get(Counter, name)
    return row.value if row else 0


def _set(session: Session, name: str, value: int) -> None:
    add_to_counter(session, name, value - _value(session, name))
