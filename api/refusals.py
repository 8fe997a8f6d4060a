"""From what a change refuses to the problem that answers it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from analysis.rules import edit
from api.problems import ApiProblem, invalid
from store.registry import dossier
from store.registry.handling import TooManyEntries
from store.registry.provisioning import AlreadyExists
from store.registry.tokens import TooManyTokens
from store.registry.users import NameTaken

_CONFLICTS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (AlreadyExists, "already_exists"),
    (NameTaken, "already_exists"),
    (dossier.ChangedMeanwhile, "changed_meanwhile"),
    (edit.ChangedMeanwhile, "changed_meanwhile"),
    (dossier.TooMany, "not_possible"),
    (TooManyEntries, "not_possible"),
    (TooManyTokens, "not_possible"),
)
"""What the state of things does not allow, and its code."""


@contextmanager
def refusals(where: str = "body") -> Iterator[None]:
    """Answer 409 for what the state does not allow, 404 for what is not there, 422 for what does not fit.

    The words are those of the refusal.
    """
    try:
        yield
    except (LookupError, ValueError) as error:
        for kind, code in _CONFLICTS:
            if isinstance(error, kind):
                raise ApiProblem(409, code, str(error)) from None
        if isinstance(error, LookupError):
            raise ApiProblem(404, "not_found", str(error)) from None
        raise invalid(where, str(error)) from None
