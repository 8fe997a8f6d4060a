"""The port for metrics: whom it answers, and where its token comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.observe import NeedsToken, ObservePort, given_token


def _port(host: str = "127.0.0.1", token: str | None = None) -> ObservePort:
    return ObservePort(
        host, 0, page=lambda: b"numbers", alive={"loop": lambda: None}, ready={"store": lambda: "away"},
        token=token,
    )  # fmt: skip


def test_beyond_this_machine_it_wants_a_token_and_says_where_it_goes() -> None:
    with pytest.raises(NeedsToken, match="QUIETWATER_METRICS_TOKEN_FILE"):
        _port("0.0.0.0")
    _port("0.0.0.0", "long and random").stop()


def test_numbers_and_reasons_are_for_those_who_send_it() -> None:
    port = _port(token="long and random")
    try:
        assert port.answer("/metrics", "")[0] == 401
        assert port.answer("/metrics", "Bearer long and random")[::2] == (200, b"numbers")
        assert port.answer("/healthz", "")[0] == 200
        status, _, told = port.answer("/readyz", "")
        assert status == 503 and b"away" not in told
        assert b"away" in port.answer("/readyz", "Bearer long and random")[2]
    finally:
        port.stop()


def test_the_token_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QUIETWATER_METRICS_TOKEN", raising=False)
    assert given_token() is None
    monkeypatch.setenv("QUIETWATER_METRICS_TOKEN", "from the environment")
    assert given_token() == "from the environment"
    (tmp_path / "token").write_text("from a file\n")
    monkeypatch.setenv("QUIETWATER_METRICS_TOKEN_FILE", str(tmp_path / "token"))
    assert given_token() == "from a file"
