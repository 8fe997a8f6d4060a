"""``$filter`` (OGC 18-088, clause 9.3.3.5) as far as it is offered: comparisons, all of which must hold. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import eq, ge, gt, le, lt, ne
from typing import Any, Final, Literal

from api.sensorthings.faults import BadQuery, NotOffered
from api.sensorthings.model import ID, Kind

Operator = Literal["eq", "ne", "gt", "ge", "lt", "le"]
HOLDS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "eq": eq, "ne": ne, "gt": gt, "ge": ge, "lt": lt, "le": le,
}  # fmt: skip
_TURNED: Final[Mapping[str, Operator]] = {
    "eq": "eq", "ne": "ne", "gt": "lt", "ge": "le", "lt": "gt", "le": "ge",
}  # fmt: skip
_OFFERED: Final[Mapping[str, tuple[Operator, ...]]] = {
    "text": ("eq",), "number": ("eq", "ne", "gt", "ge", "lt", "le"), "time": ("eq", "gt", "ge", "lt", "le"),
}  # fmt: skip
_ARITHMETIC: Final = frozenset({"add", "sub", "mul", "div", "mod", "in", "has"})
_DEEPEST: Final = 20
_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<text>'(?:[^']|'')*')
      | (?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:Z|[+-][0-9]{2}:?[0-9]{2})?)
      | (?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
      | (?P<word>[A-Za-z_@][A-Za-z0-9_.@/]*)
      | (?P<mark>[(),])
    )""",
    re.VERBOSE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of a property with a value: text, number, or time (aware, UTC)."""

    name: str
    operator: Operator
    value: str | float | datetime

    def holds(self, value: str | float | None) -> bool:
        """Whether it holds for a text or a number; nothing compares with what is not known."""
        return value is not None and HOLDS[self.operator](value, self.value)


@dataclass(frozen=True, slots=True)
class _Token:
    what: str
    text: str


def parse_filter(text: str, kind: Kind) -> tuple[Condition, ...]:
    """Return the comparisons of a ``$filter``, all of which must hold. Raises ``Fault``."""
    return _Parser(_tokens(text), kind).conditions()


class _Parser:
    def __init__(self, tokens: list[_Token], kind: Kind) -> None:
        self._tokens = tokens
        self._kind = kind
        self._at = 0

    def conditions(self) -> tuple[Condition, ...]:
        found = self._all(0)
        if self._at < len(self._tokens):
            raise _unexpected(self._tokens[self._at])
        return tuple(found)

    def _all(self, depth: int) -> list[Condition]:
        if depth > _DEEPEST:
            raise BadQuery("$filter", f"$filter has more than {_DEEPEST} brackets within each other")
        found = self._term(depth)
        while self._peek() == "and":
            self._at += 1
            found += self._term(depth)
        if self._peek() == "or":
            raise NotOffered("$filter", "'or' in $filter is not offered; ask twice")
        return found

    def _term(self, depth: int) -> list[Condition]:
        if self._peek() == "not":
            raise NotOffered("$filter", "'not' in $filter is not offered; turn the comparison round")
        if self._peek() != "(":
            return [self._comparison()]
        self._at += 1
        found = self._all(depth + 1)
        if self._next().text != ")":
            raise BadQuery("$filter", "a bracket of $filter does not close")
        return found

    def _comparison(self) -> Condition:
        left = self._operand()
        operator = self._next().text
        if operator in _ARITHMETIC:
            raise NotOffered("$filter", f"{operator!r} in $filter is not offered")
        if operator not in HOLDS:
            raise BadQuery(
                "$filter", f"{operator[:40]!r} in $filter is no comparison: eq, ne, gt, ge, lt, le"
            )
        right = self._operand()
        if self._peek() in _ARITHMETIC:
            raise NotOffered("$filter", f"{self._peek()!r} in $filter is not offered")
        if left.what == right.what == "word":
            raise NotOffered("$filter", "two properties in one comparison are not offered")
        if left.what != "word" and right.what != "word":
            raise BadQuery("$filter", "a comparison in $filter needs a property")
        if left.what != "word":
            return self._condition(right, _TURNED[operator], left)
        return self._condition(left, operator, right)

    def _operand(self) -> _Token:
        token = self._next()
        if token.what == "mark":
            raise _unexpected(token)
        if token.what == "word" and self._peek() == "(":
            raise NotOffered("$filter", f"the function {token.text[:40]!r} in $filter is not offered")
        if token.what == "word" and token.text in ("null", "true", "false"):
            raise NotOffered("$filter", f"{token.text!r} in $filter is not offered")
        return token

    def _condition(self, name: _Token, operator: str, value: _Token) -> Condition:
        field = ID if name.text == "id" else name.text
        wanted = self._kind.filters.get(field)
        if wanted is None:
            raise self._no_such_field(field)
        for offered in _OFFERED[wanted]:
            if offered == operator:
                return Condition(field, offered, _value(field, wanted, value))
        raise NotOffered("$filter", f"{field} in $filter is compared by {', '.join(_OFFERED[wanted])}")

    def _no_such_field(self, field: str) -> BadQuery | NotOffered:
        known = ", ".join(self._kind.filters)
        first = field.partition("/")[0]
        fault = NotOffered if first in (*self._kind.properties, *self._kind.navigations) else BadQuery
        return fault("$filter", f"{self._kind.plural} are filtered by {known}, not by {field[:80]!r}")

    def _peek(self) -> str | None:
        token = self._tokens[self._at] if self._at < len(self._tokens) else None
        return token.text if token and token.what in ("word", "mark") else None

    def _next(self) -> _Token:
        if self._at >= len(self._tokens):
            raise BadQuery("$filter", "$filter ends too early")
        self._at += 1
        return self._tokens[self._at - 1]


def _tokens(text: str) -> list[_Token]:
    tokens, at, text = [], 0, text.strip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if not found or found.end() == at:
            raise BadQuery("$filter", f"$filter is not understood at {text[at : at + 40].strip()!r}")
        tokens.append(_Token(str(found.lastgroup), found[str(found.lastgroup)]))
        at = found.end()
    if not tokens:
        raise BadQuery("$filter", "$filter is empty")
    return tokens


def _value(name: str, wanted: str, token: _Token) -> str | float | datetime:
    if token.what != wanted:
        like = {
            "text": "a text in single quotes",
            "number": "a number",
            "time": "a time such as 2026-03-01T00:00:00Z",
        }
        raise BadQuery(
            "$filter", f"{name} in $filter is compared with {like[wanted]}, not {token.text[:40]!r}"
        )
    if wanted == "text":
        return token.text[1:-1].replace("''", "'")
    return float(token.text) if wanted == "number" else _time(token.text)


def _time(text: str) -> datetime:
    try:
        t = datetime.fromisoformat(text)
        if t.tzinfo is None:
            raise BadQuery("$filter", f"{text!r} has no zone: write Z, or an offset whose + is sent as %2B")
        return t.astimezone(UTC)
    except BadQuery:
        raise
    except (ValueError, OverflowError):
        raise BadQuery("$filter", f"{text[:40]!r} is no time such as 2026-03-01T00:00:00Z") from None


def _unexpected(token: _Token) -> BadQuery:
    return BadQuery("$filter", f"{token.text[:40]!r} is not expected there in $filter")
