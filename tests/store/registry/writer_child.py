"""A process that writes to a registry: ``python -m tests.store.registry.writer_child ADDRESS WHAT``.

``count N`` adds one to a counter so many times, reading it first. ``hold TIMEOUT`` takes the writers' turn, says so,
and keeps it until its standard input ends; the server takes it away after that time. The password comes from the
environment, as that of any command.
"""

from __future__ import annotations

import os
import sys

from sqlalchemy import text

from store.registry.address import parse_registry
from store.registry.quarantine import add_to_counter


def main() -> None:
    address, what = parse_registry(sys.argv[1], os.environ), sys.argv[2]
    registry = address.open()
    if what == "count":
        for _ in range(int(sys.argv[3])):
            with registry.session() as session:
                add_to_counter(session, "seen", 1)
    else:
        with registry.session() as session:
            add_to_counter(session, "held", 1)
            session.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = '{sys.argv[3]}'"))
            print("holding", flush=True)
            sys.stdin.read()
    registry.close()


if __name__ == "__main__":
    main()
