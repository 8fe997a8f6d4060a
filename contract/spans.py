"""Tracing as an argument: a part that does work gets :class:`Spans`, and knows nothing of who collects them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol

Attribute = str | int | float


class Span(Protocol):
    """Work that is under way."""

    def name(self, name: str) -> None:
        """Call it by what has turned out."""
        ...

    def set(self, key: str, value: Attribute) -> None:
        """Note something about it."""
        ...


class Spans(Protocol):
    """Opens spans; one that is opened within another of the same thread or task belongs to it."""

    def span(
        self, name: str, *, parent: str | None = None, **attributes: Attribute
    ) -> AbstractContextManager[Span]:
        """Open a span for the length of a block; what the block raises is noted and goes on.

        ``parent`` is a W3C ``traceparent`` of somebody who asked for the work, such as a browser or a proxy.
        """
        ...


class _NoSpan:
    def name(self, name: str) -> None:
        pass

    def set(self, key: str, value: Attribute) -> None:
        pass


_NO_SPAN: Final = _NoSpan()


class NoSpans:
    """Collects nothing."""

    def span(
        self, name: str, *, parent: str | None = None, **attributes: Attribute
    ) -> AbstractContextManager[Span]:
        """Run the block."""
        del name, parent, attributes
        return nullcontext(_NO_SPAN)


NO_SPANS: Final = NoSpans()
