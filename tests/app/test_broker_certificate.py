"""When the broker's own certificate is made anew, and when it is left alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from app.broker_certificate import renewed
from store.registry.authority import Authority, Pair

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.open_or_make(tmp_path / "ca", NOW)


def _give(folder: Path, pair: Pair) -> None:
    (folder / "server.pem").write_bytes(pair.certificate)
    (folder / "server.key").write_bytes(pair.key)


@pytest.mark.parametrize(("age_days", "due"), [(0, False), (79, False), (81, True), (200, True)])
def test_it_is_renewed_when_a_fifth_of_its_life_is_left(
    tmp_path: Path, authority: Authority, age_days: int, due: bool
) -> None:
    names = ["broker.example", "10.0.0.7"]
    _give(tmp_path, authority.for_server(names, NOW - timedelta(days=age_days), days=100))
    made = renewed(authority, tmp_path, NOW)
    assert bool(made) == due
    if made:
        new = x509.load_pem_x509_certificate(made["server.pem"].encode())
        (old,) = (x509.load_pem_x509_certificate((tmp_path / "server.pem").read_bytes()),)
        which = x509.SubjectAlternativeName
        assert new.extensions.get_extension_for_class(which) == old.extensions.get_extension_for_class(which)
        assert new.subject == old.subject and new.serial_number != old.serial_number
        assert (new.not_valid_after_utc - NOW).days in (99, 100)
        for name, text in made.items():
            (tmp_path / name).write_text(text)
        assert renewed(authority, tmp_path, NOW) == {}


def test_a_key_that_a_cut_of_power_left_empty_is_mended(tmp_path: Path, authority: Authority) -> None:
    _give(tmp_path, authority.for_server(["broker.example"], NOW))
    (tmp_path / "server.key").write_text("")
    assert renewed(authority, tmp_path, NOW).keys() == {"server.key", "server.pem"}


def test_what_is_not_ours_is_left_alone(tmp_path: Path, authority: Authority) -> None:
    assert renewed(authority, tmp_path, NOW) == {}
    other = Authority.open_or_make(tmp_path / "other", NOW)
    _give(tmp_path, other.for_server(["broker.example"], NOW - timedelta(days=1000)))
    assert renewed(authority, tmp_path, NOW) == {}
    (tmp_path / "server.pem").write_text("damaged")
    assert renewed(authority, tmp_path, NOW) == {}
