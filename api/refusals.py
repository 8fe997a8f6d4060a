"""From what a change refuses to the problem that answers it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from api.problems import ApiProblem, invalid
from store.registry.provisioning import AlreadyExists
from store.registry.users import NameTaken


@contextmanager
def refusals(where: str = "body") -> Iterator[None]:
    """Answer 409 for a name that is taken, 404 for what is not there, 422 for what does not fit; in their own words."""
    try:
        yield
    except (AlreadyExists, NameTaken) as error:
        raise ApiProblem(409, "already_exists", str(error)) from None
    except LookupError as error:
        raise ApiProblem(404, "not_found", str(error)) from None
    except ValueError as error:
        raise invalid(where, str(error)) from None
