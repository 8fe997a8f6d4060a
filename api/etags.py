"""Entity tags: an unchanged answer is sent once, and a change can be bound to what it was made from (RFC 9110, 13)."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from pydantic import BaseModel
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import ApiProblem

_MOST_BYTES: Final = 4 << 20
"""A larger answer is not held back to be tagged."""
_OPAQUE: Final = re.compile(r'(?:W/)?("[!#-~\x80-\xff]*")')
_METHODS: Final = ("GET", "PATCH", "PUT")


class EntityTags:
    """ASGI middleware: tags JSON answers below ``prefix`` and answers 304 where the asker has them already.

    The tag is weak, since the same answer may go out compressed or not. Streams are left alone.
    """

    def __init__(self, app: ASGIApp, *, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if (
            scope["type"] != "http"
            or not scope["path"].startswith(self._prefix)
            or scope["method"] not in _METHODS
        ):
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, _Tagged(scope, send))


class _Tagged:
    """Sends an answer on: whole and tagged where it may be, else as it comes."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._wanted = Headers(scope=scope).get("if-none-match", "") if scope["method"] == "GET" else ""
        self._send = send
        self._start: Message | None = None
        self._body: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _may_be_tagged(message):
            self._start = message
        elif message["type"] == "http.response.body" and self._start is not None:
            self._body.append(message.get("body", b""))
            if not message.get("more_body", False):
                await self._whole(self._start, b"".join(self._body))
        else:
            await self._send(message)

    async def _whole(self, start: Message, body: bytes) -> None:
        headers = MutableHeaders(scope=start)
        headers["ETag"] = tag_of(body)
        if headers["ETag"].removeprefix("W/") in _opaque(self._wanted):
            start, body = {**start, "status": 304}, b""
            for name in ("content-length", "content-type"):
                del MutableHeaders(scope=start)[name]
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})


def _may_be_tagged(start: Message) -> bool:
    """Whether an answer is JSON of a known and moderate length, and has no tag of its own."""
    headers = Headers(raw=start["headers"])
    length = headers.get("content-length", "")
    return (
        start["status"] == 200 and "etag" not in headers
        and headers.get("content-type", "").split(";")[0].endswith("json")
        and length.isdecimal() and int(length) <= _MOST_BYTES
    )  # fmt: skip


def tag_of(body: bytes) -> str:
    """Return the weak entity tag of an answer's body."""
    return f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


def demand_unchanged(request: Request, kept: BaseModel) -> None:
    """Refuse a change with ``If-Match`` where what is kept now, as it is read, has another tag.

    To be called within the transaction that makes the change. Raises :class:`ApiProblem` 412.
    """
    given = request.headers.get("if-match")
    if given is None or given.strip() == "*":
        return
    if tag_of(kept.model_dump_json().encode()).removeprefix("W/") not in _opaque(given):
        raise ApiProblem(
            412, "precondition_failed", "somebody else changed it since it was read; read it again, then change it"
        )  # fmt: skip


def _opaque(given: str) -> list[str]:
    return _OPAQUE.findall(given)
