"""Checks of the way to the broker: a log-in as the device or the server would do it, and nothing more."""

from __future__ import annotations

import ssl
import threading
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from app.doctor.finding import Finding, error, ok


def broker(
    url: str, username: str | None, password: str | None, *, ca_file: str | None = None,
    cert_file: str | None = None, key_file: str | None = None, timeout_s: float = 10,
) -> Finding:  # fmt: skip
    """Log in at one broker with a session of its own and say what came of it."""
    address = urlsplit(url)
    tls = address.scheme == "mqtts"
    answered = threading.Event()
    codes: list[str] = []

    def on_connect(_client: object, _data: object, _flags: object, reason: object, _more: object) -> None:
        codes.append(str(reason))
        answered.set()

    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="", protocol=mqtt.MQTTv311)
    client.connect_timeout = timeout_s
    client.on_connect = on_connect
    client.username_pw_set(username, password)
    try:
        if tls:
            client.tls_set(ca_certs=ca_file, certfile=cert_file, keyfile=key_file)
        client.connect(address.hostname or "", address.port or (8883 if tls else 1883))
    except ssl.SSLCertVerificationError as problem:
        return _certificate(url, problem)
    except (OSError, ValueError) as problem:
        cure = "check address, port, firewall, and that the broker runs"
        return error("broker_unreachable", f"{url}: {problem}", cure)
    client.loop_start()
    answered.wait(timeout_s)
    client.disconnect()
    client.loop_stop()
    return _answer(url, username, codes)


def _certificate(url: str, problem: ssl.SSLCertVerificationError) -> Finding:
    if "expired" in problem.verify_message:
        return error(
            "broker_certificate_expired", f"{url}: {problem.verify_message}", "renew it; check the clock"
        )
    cure = "set mqtt.ca_file to the authority that signed the broker's certificate"
    return error("broker_certificate_untrusted", f"{url}: {problem.verify_message}", cure)


def _answer(url: str, username: str | None, codes: list[str]) -> Finding:
    if not codes:
        return error(
            "broker_silent", f"{url}: no answer to the log-in", "check that an MQTT broker listens there"
        )
    if codes[0] == "Success":
        return ok("broker", f"{url}: logged in as {username or 'nobody'}")
    cure = "give the device a new password (enrol it again), or correct user name and password"
    return error("broker_refused", f"{url}: {codes[0]} for {username or 'nobody'}", cure)
