"""Where the server's password at the broker comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.settings import ServerSettings, broker_password


def test_the_password_comes_from_a_file_the_environment_or_the_embedded_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QUIETWATER_BROKER_PASSWORD", raising=False)
    settings = ServerSettings(data=tmp_path)
    embedded = broker_password(settings)
    assert embedded == (tmp_path / "broker" / "server.password").read_text().strip()
    monkeypatch.setenv("QUIETWATER_BROKER_PASSWORD", "from the environment")
    assert broker_password(settings) == "from the environment"
    (tmp_path / "secret").write_text("from a file\n")
    monkeypatch.setenv("QUIETWATER_BROKER_PASSWORD_FILE", str(tmp_path / "secret"))
    assert broker_password(settings) == "from a file"
    (tmp_path / "secret").unlink()
    with pytest.raises(FileNotFoundError):
        broker_password(settings)
