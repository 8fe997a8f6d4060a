"""What only a server can do to a registry: refuse, go away, come back, and keep a turn for a process that stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from store.registry import engines
from store.registry.address import PASSWORD_VARIABLE, PostgresAddress
from store.registry.database import Registry, RegistryUnavailable
from store.registry.models import Counter
from store.registry.quarantine import add_to_counter
from tests.app.commands import wait_for
from tests.postgres import DURABLE, PASSWORD, PostgresServer, postgresql

pytestmark = pytest.mark.own_registry


@pytest.fixture(params=["postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    """Once, not for each kind of registry."""
    return request.param


@pytest.fixture
def address(postgres_server: PostgresServer) -> Iterator[PostgresAddress]:
    with postgres_server.database() as address:
        yield address


def _count(registry: Registry, name: str = "seen") -> int:
    with registry.reader() as session:
        row = session.get(Counter, name)
        return row.value if row else 0


def _add(registry: Registry) -> bool:
    try:
        with registry.session() as session:
            add_to_counter(session, "seen", 1)
    except RegistryUnavailable:
        return False
    return True


def test_it_goes_on_after_the_server_was_killed_and_has_what_was_committed(postgres_server) -> None:
    with postgresql(postgres_server.bin, *DURABLE) as server:
        registry = server.address(server.make_database()).open()
        assert _add(registry)
        with pytest.raises(RegistryUnavailable, match="does not answer"), registry.session() as session:
            add_to_counter(session, "seen", 100)
            server.kill()
        with pytest.raises(RegistryUnavailable, match="does not answer") as raised:
            _count(registry)
        assert PASSWORD not in str(raised.value)
        server.start()
        assert _count(registry) == 1
        assert _add(registry)
        assert _count(registry) == 2
        registry.close()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"password": "not this one"}, "password authentication failed"),
        ({"username": "nobody"}, "password authentication failed"),
        ({"database": "nowhere"}, "does not exist"),
        ({"port": 1}, "refused"),
    ],
)
def test_a_server_that_refuses_is_told_with_its_reason_and_no_password(
    postgres_server, changes, told
) -> None:
    values = {"database": "postgres", **changes}
    with pytest.raises(RegistryUnavailable, match=told) as raised:
        postgres_server.address(**values).open()
    assert "\n" not in str(raised.value)
    for secret in (PASSWORD, "not this one"):
        assert secret not in str(raised.value)


def test_a_database_that_counts_bytes_for_letters_is_refused_with_the_cure(postgres_server) -> None:
    with postgres_server.admin() as connection:
        connection.execute(
            "CREATE DATABASE qw_bytes ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0 STRATEGY FILE_COPY"
        )
    try:
        with pytest.raises(RegistryUnavailable, match="SQL_ASCII; make one with: createdb --encoding UTF8"):
            postgres_server.address("qw_bytes").open()
    finally:
        postgres_server.drop_database("qw_bytes")


def test_a_login_that_may_not_write_is_told_so(postgres_server, address) -> None:
    with postgres_server.admin(address.database) as connection:
        connection.execute("DROP ROLE IF EXISTS onlooker")
        connection.execute("CREATE ROLE onlooker LOGIN PASSWORD 'x'")
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO onlooker")
    registry = postgres_server.address(address.database, username="onlooker", password="x").open()
    assert _count(registry) == 0
    with pytest.raises(RegistryUnavailable, match="permission denied"), registry.session() as session:
        add_to_counter(session, "seen", 1)
    registry.close()


def test_a_reader_sees_one_state_and_can_change_nothing(address) -> None:
    registry = address.open()
    with registry.reader() as reader:
        assert reader.scalar(select(Counter.value)) is None
        assert _add(registry)
        assert reader.scalar(select(Counter.value)) is None
    with pytest.raises(DBAPIError, match="read-only"), registry.reader() as reader:
        reader.execute(text("DELETE FROM counters"))
    assert _count(registry) == 1
    registry.close()


def test_who_waits_too_long_for_the_turn_is_told(address, monkeypatch) -> None:
    first = address.open()
    monkeypatch.setattr(engines.server_engine, "__kwdefaults__", {"patience_s": 0.2})
    second = address.open()
    with first.session() as session:
        add_to_counter(session, "seen", 1)
        with pytest.raises(RegistryUnavailable, match="lock timeout"), second.session() as other:
            add_to_counter(other, "seen", 1)
        assert _count(second) == 0  # a reader does not wait
    assert _add(second)
    first.close()
    second.close()


def test_a_turn_is_for_ten_seconds_at_most(address) -> None:
    registry = address.open()
    with registry.session() as session:
        assert session.scalar(text("SHOW idle_in_transaction_session_timeout")) == "10s"
        assert session.scalar(text("SHOW lock_timeout")) == "10s"
    registry.close()


@pytest.mark.system
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_dies_or_stops_within_its_turn_gives_it_up(address, number, monkeypatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    holder = subprocess.Popen(
        [sys.executable, "-m", "tests.store.registry.writer_child", str(address), "hold", "500ms"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    registry = address.open()
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holding\n"
        os.kill(holder.pid, number)
        wait_for(lambda: _add(registry), "the turn of a process that is gone")
        assert _count(registry, "held") == 0
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.communicate()
        registry.close()


def test_an_address_in_a_socket_folder(postgres_server, address) -> None:
    by_socket = postgres_server.address(address.database, host=str(postgres_server.folder))
    registry = by_socket.open()
    assert _add(registry)
    registry.close()
    assert postgres_server.folder.name in str(by_socket)
