#!/usr/bin/python3
"""What ``systemctl`` does with one service of ``Type=notify``, on a system where no systemd runs.

``restart`` comes back when the service says READY, or fails when it ends before; a service that ends is started again
and counted. Others are taken as done. The unit's command runs as root, its user being beside the point here.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

STATE = Path("/run/service-manager")
UNIT = Path("/etc/systemd/system/quietwater-edge.service")


def number(name: str) -> int:
    try:
        return int((STATE / name).read_text())
    except (FileNotFoundError, ValueError):
        return 0


def keep(name: str, value: int) -> None:
    draft = STATE / f"{name}.{os.getpid()}"
    draft.write_text(str(value))
    draft.replace(STATE / name)


def stop() -> None:
    keeper = number("keeper")
    if keeper:
        os.killpg(keeper, signal.SIGKILL)
    for name in ("keeper", "restarts", "active"):
        keep(name, 0)


def supervise(ready: int) -> None:
    """Run the unit's command again and again; say on ``ready`` how the first start went."""
    keep("keeper", os.getpid())
    found = re.search(r"^ExecStart=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert found
    for turn in range(10_000):
        keep("restarts", turn)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(f"\0service-manager-{os.getpid()}-{turn}")
            listener.settimeout(0.05)
            address = f"@service-manager-{os.getpid()}-{turn}"
            process = subprocess.Popen(
                found[1].split(), env={**os.environ, "NOTIFY_SOCKET": address}, cwd="/"
            )
            keep("main", process.pid)
            while process.poll() is None:
                try:
                    if b"READY=1" in listener.recv(4096):
                        keep("active", 1)
                        os.write(ready, b"1") if turn == 0 else None
                except TimeoutError:
                    continue
        keep("active", 0)
        if turn == 0:
            os.write(ready, b"0")
        time.sleep(0.2)


def restart() -> int:
    stop()
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        quiet = os.open("/dev/null", os.O_RDWR)
        for standard in range(3):
            os.dup2(quiet, standard)
        supervise(writer)
    return 0 if os.read(reader, 1) == b"1" else 1


def main(arguments: list[str]) -> int:
    STATE.mkdir(exist_ok=True)
    if arguments[0] == "restart" and arguments[-1] == UNIT.name:
        return restart()
    if arguments[0] == "stop":
        stop()
    if arguments[0] == "is-active":
        return 0 if number("active") else 3
    if arguments[0] == "show":
        sys.stdout.write(f"{number('restarts')}\n")
    return 0


sys.exit(main(sys.argv[1:]))
