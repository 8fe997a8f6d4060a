"""Checks of what answers over HTTP: the clock of the server, the version of InfluxDB."""

from __future__ import annotations

import urllib.error
import urllib.request
from datetime import datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Final

from app.doctor.finding import Finding, error, ok

MOST_OFFSET_S: Final = 5.0
"""A ``Date`` header has whole seconds, and an answer takes its time."""


def headers(url: str, timeout_s: float = 10) -> Message:
    """Return the headers of an answer, whatever its status. Raises ``OSError`` if there is none."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as response:  # noqa: S310  the operator's own address
            return response.headers
    except urllib.error.HTTPError as answer:
        return answer.headers


def clock(url: str, now: datetime) -> Finding:
    """Compare ``now`` with the ``Date`` header (RFC 9110, 6.6.1) of the server at ``url``."""
    try:
        offset_s = (now - parsedate_to_datetime(headers(url)["Date"])).total_seconds()
    except (OSError, TypeError, ValueError) as problem:
        return error("server_unreachable", f"{url}: {problem}", "check address and network, and that it runs")
    if abs(offset_s) <= MOST_OFFSET_S:
        return ok("clock", f"clock within {MOST_OFFSET_S:g} s of {url}")
    cure = "let chrony or systemd-timesyncd set the clock (timedatectl set-ntp true)"
    return error("clock_wrong", f"clock {offset_s:+.0f} s against {url}", cure)


def influx(url: str) -> Finding:
    """Say whether an InfluxDB that the product can use answers at ``url``."""
    try:
        version = headers(f"{url.rstrip('/')}/ping").get("X-Influxdb-Version")
    except OSError as problem:
        return error("store_unreachable", f"{url}: {problem}", "check address and network, and that it runs")
    number = (version or "").removeprefix("v").split(".")
    if not version or not number[0].isdigit():
        return error("store_unknown", f"{url} does not say that it is InfluxDB", "correct the address")
    if int(number[0]) < 1:
        return error("store_version", f"InfluxDB {version} is too old", "install InfluxDB 1.6 or newer")
    return ok("store", f"InfluxDB {version} answers")
