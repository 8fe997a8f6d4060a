"""The configuration with which a new device's agent starts, as its installer gets it."""

from __future__ import annotations

from typing import Any

import tomli_w


def agent_configuration(
    site: str, device: str, kind: str, broker_url: str, *, own_ca: bool = False, certified: bool = False
) -> str:
    """Return the text of ``edge.toml``. The password belongs into ``edge.password`` beside it.

    With ``own_ca`` the authority that signed the broker's certificate belongs into ``broker-ca.pem``, and where the
    device is ``certified`` its certificate and its key into ``device.pem``.
    """
    table: dict[str, Any] = {
        "site": site,
        "device": device,
        "data": "/var/lib/quietwater-edge",
        "mqtt": {"url": broker_url, "password_file": "edge.password"},
    }
    if own_ca:
        table["mqtt"]["ca_file"] = "broker-ca.pem"
    if certified:
        table["mqtt"]["cert_file"] = "device.pem"
    if kind in ("noise", "both"):
        table["noise"] = {"full_scale_db": 120.0, "source": {"type": "portaudio"}}
    text = tomli_w.dumps(table)
    if kind in ("gateway", "both"):
        text += "\n# [water]: buses and meters, see docs/meters.md\n"
    return text
