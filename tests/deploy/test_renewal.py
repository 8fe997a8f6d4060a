"""A device renews its certificate by itself, at real brokers; a revoked one cannot."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.context import ApiConfig, ApiContext
from api.live_hub import LiveHub
from contract.clock import SystemClock
from edge.agent import Agent
from edge.certificate import lifetime
from edge.config import from_table
from edge.renewal import Renewal, RenewalFailed
from store.registry.authority import Authority
from store.registry.certificates import certificates, issue
from store.registry.models import Device
from store.series.duckdb_store import DuckDbStore
from tests.api.conftest import serving
from tests.broker import wait_for
from tests.deploy.test_certificates import Town, admin, town

__all__ = ["town"]
pytestmark = pytest.mark.system


def test_it_renews_in_time_comes_with_the_new_one_and_never_once_revoked(town: Town, tmp_path: Path) -> None:
    folder = tmp_path / "device"
    folder.mkdir()
    ours = Authority.open(town.data / "ca")
    assert ours is not None
    begun = datetime.now(UTC) - timedelta(days=2, hours=1)
    with town.quarter.registry.session() as session:
        pair = issue(session, ours, session.get_one(Device, ("s1", "d1")), who="li", now=begun, days=3)
    (folder / "device.pem").write_bytes(pair.certificate)
    (folder / "device.key").write_bytes(pair.key)
    (folder / "password").write_text(town.quarter.login("s1", "d1")[1])
    town.write()
    with ExitStack() as stack:
        series = DuckDbStore(tmp_path / "series.duckdb")
        stack.callback(series.close)
        context = ApiContext(
            series=series, registry=town.quarter.registry, clock=SystemClock(), live=LiveHub(),
            config=ApiConfig(authority=town.data / "ca"),
        )  # fmt: skip
        address = stack.enter_context(serving(context)).address
        config = from_table(
            {
                "site": "s1", "device": "d1", "data": str(folder), "server": {"url": address},
                "mqtt": {
                    "url": f"mqtts://localhost:{town.port}", "ca_file": str(town.ca_file),
                    "cert_file": str(folder / "device.pem"), "key_file": str(folder / "device.key"),
                    "password_file": str(folder / "password"),
                },
                "noise": {"source": {"type": "stdin"}},
            }
        )  # fmt: skip
        agent = Agent(config, SystemClock())
        stack.callback(agent.stop)
        agent._sources.start = lambda: None  # there is no sound in this test
        agent.start()
        wait_for(lambda: agent._link.connected, what="the device to come by its first certificate")
        renewed = folder / "s1.d1.certificate.pem"
        wait_for(renewed.exists, what="the certificate to be renewed")
        life = lifetime(renewed)
        assert life is not None and not life.due(datetime.now(UTC))
        assert renewed.stat().st_mode & 0o777 == 0o600
        with town.quarter.registry.reader() as session:
            serials = [row.serial for row in certificates(session)]
        assert len(serials) == 2 and serials[1] == pair.serial

        # The old one is worth nothing any more: what comes in now comes by the new one.
        admin(town.data, "certificate", "revoke", "s1", "d1", "--serial", pair.serial)
        town.write()
        agent._link.drop()
        wait_for(lambda: not agent._link.connected)
        wait_for(lambda: agent._link.connected, what="the device to come by its new certificate")
        assert _serial(renewed) == serials[0]

        # Who was revoked altogether can neither come nor renew.
        admin(town.data, "certificate", "revoke", "s1", "d1")
        town.write()
        with pytest.raises(RenewalFailed, match="revoked: enrol it anew"):
            Renewal(config.broker(), config.server, SystemClock(), lambda: None).renew()  # type: ignore[arg-type]
        agent._link.drop()
        wait_for(lambda: not agent._link.connected)
        assert not town.come((renewed, renewed)).inside


def _serial(path: Path) -> str:
    told = subprocess.run(
        ["openssl", "x509", "-noout", "-serial", "-in", str(path)], check=True, capture_output=True, text=True
    ).stdout
    return told.strip().removeprefix("serial=").lower().lstrip("0")
