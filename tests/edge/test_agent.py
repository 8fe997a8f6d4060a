from pathlib import Path

import msgspec
import pytest

from contract.clock import SystemClock
from contract.codec import decode_reading
from edge.agent import Agent
from edge.config import AgentConfig

CONFIG = {"site": "s1", "device": "d1", "mqtt": {"url": "mqtt://127.0.0.1:1"}}


def _events(agent: Agent) -> list[str]:
    entries = [one for one in agent.outbox.older_than(1 << 53, 100) if one.kind == "event"]
    return [getattr(decode_reading("event", one.payload), "kind", "") for one in entries]


@pytest.mark.parametrize("content", [b"", b"junk", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_corrupt_outbox_never_keeps_the_agent_from_starting(tmp_path: Path, content: bytes):
    path = tmp_path / "s1.d1.outbox.sqlite"
    path.write_bytes(content)
    config = msgspec.convert({**CONFIG, "data": str(tmp_path)}, AgentConfig)
    agent = Agent(config, SystemClock())
    agent.start()
    agent.stop()
    assert len(list(tmp_path.glob("*.corrupt-*"))) == 1
    again = Agent(config, SystemClock())
    assert _events(again) == ["restart", "outbox_replaced"], "newest first"
    again.outbox.close()
