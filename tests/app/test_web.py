"""Whose word counts for where a request comes from."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI, Request

from app.web import WebServer


@pytest.mark.parametrize(
    ("proxy", "counts"),
    [("127.0.0.1", True), ("127.0.0.0/8", True), ("10.0.0.0/8", False)],
)
def test_only_the_proxy_is_believed(proxy: str, counts: bool) -> None:
    application = FastAPI()

    @application.get("/")
    def who(request: Request) -> str:
        return request.client.host if request.client else "?"

    server = WebServer(application, "127.0.0.1", 0, proxy=proxy)
    server.start()
    try:
        told = httpx.get(
            f"http://127.0.0.1:{server.port}/", headers={"X-Forwarded-For": "203.0.113.9"}
        ).json()
    finally:
        server.stop()
    assert told == ("203.0.113.9" if counts else "127.0.0.1")
