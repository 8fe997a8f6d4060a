"""The shipped Caddyfile: valid, and in front of the real server it holds nothing back."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.app.commands import run, running, wait_for

CADDYFILE = Path(__file__).parents[2] / "deploy" / "caddy" / "Caddyfile"


def test_it_is_valid(program: Callable[[str], str], tmp_path: Path) -> None:
    words = [program("caddy"), "validate", "--config", str(CADDYFILE), "--adapter", "caddyfile"]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, env={**os.environ, "HOME": str(tmp_path)}
    )
    assert done.returncode == 0 and "Valid configuration" in done.stdout + done.stderr, done.stderr


@pytest.mark.system
def test_the_page_and_its_live_stream_come_through(
    program: Callable[[str], str], tmp_path: Path, free_port: Callable[[], int]
) -> None:
    data, port = tmp_path / "data", free_port()
    address = f"http://127.0.0.1:{port}"
    with running("up", "--data", str(data), "--port", "0", "--mqtt-port", str(free_port())) as server:
        upstream = server.until(r"http://(127\.0\.0\.1:\d+)")[1]
        told = run("admin", "user", "add", "tester", "--role", "admin", data=data)
        caddy = subprocess.Popen(
            [program("caddy"), "run", "--config", str(CADDYFILE), "--adapter", "caddyfile"],
            stdout=subprocess.DEVNULL, stderr=(tmp_path / "caddy.log").open("wb"),
            env={
                **os.environ, "HOME": str(tmp_path), "CADDY_ADMIN": f"127.0.0.1:{free_port()}",
                "QUIETWATER_HOST": address, "QUIETWATER_UPSTREAM": upstream,
            },
        )  # fmt: skip
        try:
            with httpx.Client(base_url=address, timeout=60) as client:
                wait_for(lambda: _answers(client), (tmp_path / "caddy.log").read_text() or "Caddy")
                _look(client, told.split("password ")[1].split()[0])
        finally:
            caddy.terminate()
            caddy.wait(60)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def _look(client: httpx.Client, password: str) -> None:
    page = client.get("/")
    assert page.status_code == 200 and page.headers["Content-Encoding"] in ("gzip", "zstd")
    assert "default-src" in page.headers["Content-Security-Policy"]
    assert client.get("/metrics").status_code == 404
    assert client.post("/api/v1/login", content=b"x" * (33 << 20)).status_code == 413
    login = client.post("/api/v1/login", json={"name": "tester", "password": password})
    assert login.status_code == 200, login.text
    with client.stream("GET", "/api/v1/live") as live:
        assert "Content-Encoding" not in live.headers
        lines = live.iter_lines()
        first = next(
            line for line in lines if line.startswith("data:")
        )  # it comes at once, or the client gives up
        assert json.loads(first.removeprefix("data:"))
