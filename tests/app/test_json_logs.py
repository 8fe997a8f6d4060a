"""With ``--log-format json`` every line of a process is one object, whatever it tells."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.commands import Command, run, running

EVERYTHING = """
import gc, logging, sys, threading, warnings
from app import logs
logs.set_up("warning", "json")
import structlog
log = structlog.get_logger()
log.info("below the level")
log.warning("ours", word="安静", of=object())
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("uvicorn.error").exception("a library's\\nof two lines")
warnings.warn("old", stacklevel=1)
def fails():
    raise ValueError("in a thread")
def talks(n):
    for _ in range(200):
        log.warning("many", n=n, text="x" * 300)
        logging.getLogger("many").warning("y" * 300)
threads = [threading.Thread(target=fails, name="courier")]
threads += [threading.Thread(target=talks, args=(n,)) for n in range(4)]
for one in threads: one.start()
for one in threads: one.join()
class Dying:
    def __del__(self):
        raise OSError("while dying")
Dying(); gc.collect()
logs.announce("Text", "told in any case", password="pass")
raise RuntimeError("at the end")
"""


def objects(lines: list[str]) -> list[dict[str, Any]]:
    told = [json.loads(line) for line in lines]
    assert all({"event", "level", "timestamp"} <= one.keys() for one in told)
    return told


def test_whatever_is_told_is_a_line_of_json() -> None:
    done = subprocess.run(
        [sys.executable, "-c", EVERYTHING], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=90,
        check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    told = objects(done.stdout.splitlines())
    assert (
        done.returncode == 1
        and len([one for one in told if one.get("text") or one["event"][0] == "y"]) == 1600
    )
    by_event = {one["event"]: one for one in told}
    assert by_event["ours"]["word"] == "安静" and "below the level" not in by_event
    assert by_event["a library's\nof two lines"]["exception"][0]["exc_type"] == "ZeroDivisionError"
    assert by_event["an exception ended a thread"]["thread"] == "courier"
    assert by_event["an exception where none can be raised"]["exception"][0]["exc_value"] == "while dying"
    assert by_event["an exception that nobody caught"]["exception"][0]["exc_value"] == "at the end"
    assert by_event["told in any case"]["password"] == "pass"
    assert any(one.get("logger") == "py.warnings" for one in told)


@pytest.mark.system
def test_a_server_tells_nothing_but_json(tmp_path: Path, free_port: Callable[[], int]) -> None:
    data = tmp_path / "data"
    words = (
        "--log-format",
        "json",
        "up",
        "--data",
        str(data),
        "--port",
        "0",
        "--mqtt-port",
        str(free_port()),
    )
    with running(*words) as server:
        server.until('"event": "quietwater runs"')
        [start] = [one for one in objects(list(server.lines)) if one["event"] == "quietwater runs"]
        assert (
            start["user"] == "admin" and start["broker"].startswith("mqtt://") and start["data"] == str(data)
        )
        with httpx.Client(base_url=start["page"], timeout=60) as client:
            login = client.post(
                "/api/v1/login",
                json={"name": "admin", "password": start["password"]},
                headers={"X-Request-Id": "a" * 8},
            )
            assert login.status_code == 200 and login.headers["x-request-id"] == "a" * 8
            assert client.get("/nowhere").status_code == 404
        second = Command(*words)
        assert second.process.wait(90) == 1 and second.stop() == 1
        [failed] = [one for one in objects(second.lines) if one["event"] == "the command failed"]
        assert str(data) in failed["cause"]
        assert server.stop(signal.SIGTERM, 90) == 0
        events = [one["event"] for one in objects(server.lines)]
    assert events[-1] == "quietwater has stopped"
    assert sum(start["password"] in line for line in server.lines) == 1


def test_a_word_that_no_command_takes_is_json_too() -> None:
    [told] = objects(run("--log-format", "json", "up", "--speed", "2", expect=2).splitlines())
    assert told["level"] == "critical" and "--demo" in told["cause"]
