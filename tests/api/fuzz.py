"""Fuzz the whole API against its own OpenAPI document, as each role and as nobody.

``python -m tests.api.fuzz --examples 200`` (``make fuzz-api``) takes its time; the suite runs it with a few examples.
Each generated request goes out with generated values, or with those of the seeded city in place of the names, so that
it gets behind the first "not found"; every role sends it. No answer may be a failure of ours, none may differ from the
document, and nobody may be told of another's quarter.
"""

from __future__ import annotations

import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.generation.case import Case
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.app import create_app
from api.context import ApiConfig, ApiContext
from api.live_hub import LiveHub
from api.ratelimit import Rate
from app.logs import set_up
from store.registry.database import Registry
from store.registry.users import SITE_BOUND_ROLES, create_user
from store.series.duckdb_store import DuckDbStore
from store.series.interface import SeriesStore
from tests.api import seeding
from tests.api.conftest import Person, SetClock

_CHECKS: Final = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
]  # fmt: skip
SPARE: Final = "spare"
"""A user whom requests may change: the roles that ask stay as they are."""
_KNOWN: Final[Mapping[str, str]] = {
    "site": seeding.OWN_SITE, "device": "dong-men", "source": "dong-men", "meter": "zong-biao", "name": SPARE,
    "alert_id": "2", "rule_id": "1",
}  # fmt: skip
_OTHERS: Final = tuple(
    word for site, labels in seeding.SITES.items() if site != seeding.OWN_SITE for word in (site, *labels[:2])
)
_SLOW: Final = frozenset({"login", "add_user", "renew_password", "change_password"})
"""Operations that hash passwords, slow on purpose: they get fewer requests."""
_ENDING: Final = frozenset({"login", "logout", "change_password", "change_user", "renew_password"})
"""Operations that can end somebody's session, and so those after them get a new one."""
_NO_RATE: Final = Rate(1e9, 1e9)


@dataclass
class Result:
    """How many requests of each operation were sent, by status, and what was wrong."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


@contextmanager
def city(folder: Path, series: SeriesStore | None = None) -> Iterator[FastAPI]:
    """An application over a seeded city whose bounds of requests are out of the way."""
    registry = Registry.in_folder(folder / "registry")
    seeding.seed_registry(registry)
    with registry.session() as session:
        create_user(
            session, SPARE, seeding.PASSWORD, role="viewer", now=seeding.NOW, sites=[seeding.OWN_SITE]
        )
    own = None
    if series is None:
        series = own = DuckDbStore(folder / "series.duckdb")
        seeding.seed_series(series)
    config = ApiConfig(user_rate=_NO_RATE, address_rate=_NO_RATE)
    try:
        app = create_app(ApiContext(series, registry, SetClock(), LiveHub(), config, files=folder / "files"))
        try:
            yield app
        finally:
            app.state.reports.close()  # what is being drawn of strange words may take minutes
    finally:
        registry.close()
        if own is not None:
            own.close()


def run(app: FastAPI, examples: int, *, part: int = 0, parts: int = 1) -> Result:
    """Send ``examples`` requests an operation and role; ``part`` of ``parts`` is a share of the operations."""
    schema = schemathesis.openapi.from_dict(app.openapi())
    found = sorted((one.ok() for one in schema.get_all_operations()), key=lambda one: one.label)
    result, people = Result(), _People(app)
    for operation in found[part::parts]:
        name = str(operation.definition.raw["operationId"])
        count = max(1, examples // 4) if name in _SLOW else examples
        _fuzz(people, name, operation.as_strategy(), count, result)
    return result


class _People:
    """Who asks, by role; logged in anew for each operation that may end the session."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._people: dict[str | None, Person] = {}

    def of(self, role: str | None, operation: str) -> Person:
        if operation in _ENDING:
            self._people.clear()
            return Person(self._app, role)
        if role not in self._people:
            self._people[role] = Person(self._app, role)
        return self._people[role]


def _fuzz(people: _People, name: str, cases: st.SearchStrategy[Case], examples: int, result: Result) -> None:
    @settings(
        max_examples=examples, database=None, derandomize=True, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=cases, known=st.booleans())
    def send(case: Case, known: bool) -> None:
        if known:
            _put_known(case)
        if name == "stream_live":  # one that is let in never ends
            case.query = {**(case.query or {}), "site": "no-such-site"}
        for role in (None, *seeding.ROLES):
            result.faults += _ask(people, name, role, case, result.statuses)

    send()


def _put_known(case: Case) -> None:
    for values in (case.path_parameters, case.query):
        for key in values or ():
            if key in _KNOWN:
                values[key] = _KNOWN[key]


def _ask(
    people: _People, name: str, role: str | None, case: Case, statuses: Counter[tuple[str, int]]
) -> list[str]:
    who = people.of(role, name)
    sent = case.as_transport_kwargs(base_url="http://testserver")
    headers = {**_sendable(sent.pop("headers", {})), "X-CSRF-Token": who.csrf}
    arguments = {key: value for key, value in sent.items() if key in ("params", "json", "data", "content")}
    if isinstance(arguments.get("data"), bytes):
        arguments["content"] = arguments.pop("data")
    try:
        answer = who.http.request(sent["method"], sent["url"], headers=headers, **arguments)
    except (UnicodeError, ValueError) as error:
        if "testserver" not in str(error) and type(error).__module__.startswith("httpx"):
            return []  # what no client can send
        raise
    statuses[name, answer.status_code] += 1
    told = f"{name} as {role or 'nobody'}: {sent['method']} {answer.request.url}"
    faults: list[str] = []
    # So many reports at once are refused, as the document says.
    full = answer.status_code == 503 and answer.json()["code"] == "too_many_reports"
    checks = [one for one in _CHECKS if not (full and one is not_a_server_error)]
    try:
        case.validate_response(answer, checks=checks)
    except (FailureGroup, Failure) as error:
        faults.append(f"{told} -> {answer.status_code}: {_words(error)}")
    if role is None or role in SITE_BOUND_ROLES:
        asked = str(answer.request.url) + str(arguments)
        faults += [f"{told}: told of {word}" for word in _OTHERS if word in answer.text and word not in asked]
    return faults


def _sendable(headers: Mapping[str, Any]) -> dict[str, str]:
    return {
        key: str(value) for key, value in headers.items()
        if key.lower() not in ("x-csrf-token", "cookie", "authorization") and str(value).isascii()
        and str(value).isprintable()
    }  # fmt: skip


def _words(error: BaseException) -> str:
    inner: Sequence[BaseException] = getattr(error, "exceptions", ()) or (error,)
    return " | ".join(" ".join(str(one).split())[:300] for one in inner)


@click.command()
@click.option("--examples", default=100, show_default=True, help="Requests for each operation and role.")
def main(examples: int) -> None:
    """Fuzz every operation as every role; ends with an error where anything is wrong."""
    warnings.simplefilter("ignore")
    set_up("error")
    with tempfile.TemporaryDirectory() as folder, city(Path(folder)) as app:
        result = run(app, examples)
    by_class = Counter(status for _, status in result.statuses.elements())
    click.echo(f"{result.statuses.total()} requests, by status: {dict(sorted(by_class.items()))}")
    for fault in result.faults[:50]:
        click.echo(fault, err=True)
    if result.faults:
        raise click.ClickException(f"{len(result.faults)} faults")


if __name__ == "__main__":
    main()
