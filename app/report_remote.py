"""Has a running server make a report, waits for it and fetches the file."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import click
import requests

_WAIT_S: Final = 1.0
_LONGEST_S: Final = 900.0
_TIMEOUT_S: Final = 60.0


def fetch(
    server: str, path: str, order: dict[str, Any], token: str, tell: Callable[..., None]
) -> tuple[bytes, str]:
    """Return the file and its name. Raises ``click.ClickException`` with the server's own words where it refuses."""
    base = server.rstrip("/")
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {token}"
        ticket = _json(session, "POST", base + path, order)
        deadline = time.monotonic() + _LONGEST_S
        told = ""
        while ticket["state"] not in ("done", "failed"):
            if time.monotonic() > deadline:
                raise click.ClickException(f"the report {ticket['id']} takes longer than {_LONGEST_S:.0f} s")
            if ticket["state"] != told:
                told = ticket["state"]
                tell(f"{told} ...", err=True)
            time.sleep(_WAIT_S)
            ticket = _json(session, "GET", f"{base}/api/v1/reports/{ticket['id']}")
        if ticket["state"] == "failed":
            raise click.ClickException(ticket["error"])
        answer = _answer(session, "GET", f"{base}/api/v1/reports/{ticket['id']}/file")
        return answer.content, ticket["file_name"]


def _json(session: requests.Session, method: str, url: str, body: Any = None) -> dict[str, Any]:
    return _answer(session, method, url, body).json()


def _answer(session: requests.Session, method: str, url: str, body: Any = None) -> requests.Response:
    try:
        answer = session.request(method, url, json=body, timeout=_TIMEOUT_S)
    except requests.RequestException as error:
        raise click.ClickException(
            f"no server answers at {url.split('/api/')[0]}: {type(error).__name__}"
        ) from error
    if answer.ok:
        return answer
    try:
        told = answer.json().get("detail", "")
    except ValueError:
        told = ""
    raise click.ClickException(f"the server refused ({answer.status_code}): {told or answer.reason}")
