"""Enrolment codes: once, for a while, for one device, however they are typed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.registry.database import Registry
from store.registry.enrolment import LONGEST, CodeRefused, make_code, normalized, redeem
from store.registry.models import Device
from store.registry.provisioning import add_device, add_site

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def registry(tmp_path):
    registry = Registry.in_folder(tmp_path)
    with registry.session() as session:
        add_site(session, "s1", label_zh="小区", label_en="Quarter", now=NOW)
        for name in ("d1", "d2"):
            add_device(session, "s1", name, kind="noise", label_zh="设备", label_en="Device", now=NOW)
    yield registry
    registry.close()


def make(session, name: str = "d1", **given) -> str:
    return make_code(session, session.get_one(Device, ("s1", name)), who="li", now=NOW, **given)[1]


def refused(session, code: str, now: datetime = NOW, **given) -> str:
    with pytest.raises(CodeRefused) as caught:
        redeem(session, code, now, **given)
    return caught.value.reason


def test_a_code_gives_a_new_password_once(registry) -> None:
    with registry.session() as session:
        before = session.get_one(Device, ("s1", "d1")).secret_hash
        code = make(session)
        found = redeem(session, code, NOW + HOUR)
        assert (found.device.site, found.device.name) == ("s1", "d1")
        assert found.device.secret_hash != before
        assert bcrypt.checkpw(found.password.encode(), found.device.secret_hash.encode())
        assert refused(session, code, NOW + HOUR) == "used"


def test_a_code_ends_by_time_and_by_the_next_one(registry) -> None:
    with registry.session() as session:
        first, of_another = make(session), make(session, "d2")
        second = make(session, valid_for=HOUR)
        assert refused(session, first) == "over"
        assert refused(session, second, NOW + HOUR) == "over"
        assert redeem(session, second, NOW + HOUR - timedelta(seconds=1)).device.name == "d1"
        assert redeem(session, of_another, NOW).device.name == "d2"


def test_what_a_refused_code_leaves_alone(registry) -> None:
    with registry.session() as session:
        code, before = make(session), session.get_one(Device, ("s1", "d1")).secret_hash
        assert refused(session, "0000-0000-0000") == "unknown"
        assert refused(session, code, device="s1/d2") == "other"
        session.get_one(Device, ("s1", "d1")).enabled = False
        assert refused(session, code) == "disabled"
        session.get_one(Device, ("s1", "d1")).enabled = True
        assert session.get_one(Device, ("s1", "d1")).secret_hash == before
        assert redeem(session, code, NOW, device="s1/d1").device.name == "d1"


def test_a_code_is_not_kept(registry, tmp_path, backend) -> None:
    if backend != "sqlite":
        pytest.skip("reads the file")
    with registry.session() as session:
        code = make(session)
    registry.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert b"enrolments" in kept and code.encode() not in kept and normalized(code).encode() not in kept


def test_no_code_is_valid_for_ever(registry) -> None:
    with registry.session() as session, pytest.raises(ValueError, match="30 days"):
        make(session, valid_for=LONGEST + HOUR)


@given(st.lists(st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZ"), min_size=12, max_size=12), st.data())
def test_however_it_is_typed(letters, data) -> None:
    looks_like = {"0": "0oO", "1": "1iIlL"}
    typed = "".join(
        data.draw(st.sampled_from(looks_like.get(one, one + one.lower())))
        + data.draw(st.sampled_from(["", "-", " ", "\t"]))
        for one in letters
    )
    assert normalized(typed) == "".join(letters)
