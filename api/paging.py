"""Pages of a list: the whole of it unless a page is asked for, and where the next one begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query

Row = TypeVar("Row")

Limit = Annotated[
    int | None,
    Query(ge=1, le=1000, description="Entries of a page; without it the answer holds all that follow."),
]
After = Annotated[str | None, Query(max_length=100, description="`next` of the page before.")]


class Page:
    """The page that is asked for. Its places are keys of entries, so entries that come and go shift nothing."""

    def __init__(self, limit: Limit = None, after: After = None) -> None:
        self.limit = limit
        self.after = after

    @property
    def whole(self) -> bool:
        """Whether the whole list is asked for."""
        return self.limit is None and self.after is None

    def of(self, rows: Iterable[Row], key: Callable[[Row], str]) -> Cut[Row]:
        """Cut the page out of ``rows``, whatever their order: a page has that of ``key``, which must be unique."""
        after = self.after or ""
        keyed = sorted((one for row in rows if (one := (key(row), row))[0] > after), key=lambda one: one[0])
        shown = keyed if self.limit is None else keyed[: self.limit]
        return Cut([row for _, row in shown], shown[-1][0] if len(shown) < len(keyed) else None)


class Cut(Generic[Row]):
    """Entries of a page, and where the next begins (``None`` on the last)."""

    def __init__(self, rows: list[Row], following: str | None) -> None:
        self.rows = rows
        self.next = following


Paged = Annotated[Page, Depends()]
"""Parameter of an endpoint that lists: ``limit`` and ``after``."""
