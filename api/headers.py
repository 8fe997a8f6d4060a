"""What happens to every request and answer: headers that say what the browser may load, and a bound on bodies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import ApiProblem, problem_response

_OWN_IMAGES: Final = "img-src 'self' data:"
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        _OWN_IMAGES,
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_ALWAYS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}


class SecurityHeaders:
    """ASGI middleware that adds the headers; ``secure`` adds HSTS where people come by TLS.

    ``images`` are origins from which images may be loaded too: those of the map's tiles.
    """

    def __init__(self, app: ASGIApp, *, secure: bool = False, images: Sequence[str] = ()) -> None:
        self._app = app
        policy = CONTENT_SECURITY_POLICY.replace(_OWN_IMAGES, " ".join((_OWN_IMAGES, *sorted(set(images)))))
        self._headers = {
            **_ALWAYS,
            "Content-Security-Policy": policy,
            **({"Strict-Transport-Security": "max-age=31536000"} if secure else {}),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, sent)


class BodyLimit:
    """ASGI middleware that refuses a body above ``most_bytes``, announced or not, without keeping it.

    ``larger`` are patterns of whole paths to which more may be sent, and how much.
    """

    def __init__(self, app: ASGIApp, *, most_bytes: int, larger: Sequence[tuple[str, int]] = ()) -> None:
        self._app = app
        self._most_bytes = most_bytes
        self._larger = [(re.compile(pattern), size) for pattern, size in larger]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._most_of(scope["path"])
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdecimal() or int(announced[:20]) > most:
            await problem_response(ApiProblem(413, "too_large", _words(most)))(scope, receive, send)
            return
        read = 0

        async def received() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > most:
                raise HTTPException(413, _words(most))
            return message

        await self._app(scope, received, send)

    def _most_of(self, path: str) -> int:
        return next((size for pattern, size in self._larger if pattern.fullmatch(path)), self._most_bytes)


def _words(most: int) -> str:
    return f"a request's body may have {most} bytes at most"
