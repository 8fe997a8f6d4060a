#!/usr/bin/python3
"""What ``systemctl`` does with the units of a system on which no systemd runs: their commands as their users.

``start``, ``restart``, ``kill --signal=HUP`` work on processes; ``enable`` only demands that the unit is there.
Pids lie in /run/units, what is printed in /var/log/units. A path that is started is watched; a timer only has to be
there, and so does what it starts.
"""

import os
import pwd
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

PLACES = [Path("/etc/systemd/system"), Path("/lib/systemd/system")]
PIDS, LOGS = Path("/run/units"), Path("/var/log/units")


def unit_file(name: str) -> Path:
    name = name if re.search(r"\.(service|path|timer)$", name) else f"{name}.service"
    for place in PLACES:
        if (place / name).exists():
            return place / name
    sys.exit(f"Unit {name} not found.")


def values(text: str, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", re.sub(r"\\\n\s*", " ", text), re.MULTILINE)


def environment(text: str) -> dict[str, str]:
    user = pwd.getpwnam((values(text, "User") or ["root"])[0])
    found = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": user.pw_dir, "USER": user.pw_name}
    for line in values(text, "Environment"):
        found |= dict(part.split("=", 1) for part in shlex.split(line))
    for line in values(text, "EnvironmentFile"):
        path = Path(line.lstrip("-"))
        if path.exists():
            pairs = re.findall(r"^(\w+)=(.*)$", path.read_text(), re.MULTILINE)
            found |= {key: value.strip("\"'") for key, value in pairs}
    return found


def words(line: str, known: dict[str, str]) -> list[str]:
    line = line.lstrip("-+!@:").replace("%%", "%")
    said = [re.sub(r"\$\{(\w+)\}", lambda m: known.get(m[1], ""), word) for word in shlex.split(line)]
    split = [known.get(word[1:], "").split() if re.fullmatch(r"\$\w+", word) else [word] for word in said]
    return [part for parts in split for part in parts]


def as_user(text: str) -> list[str]:
    user = (values(text, "User") or ["root"])[0]
    return [] if user == "root" else ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]


def start(name: str) -> None:
    path = unit_file(name)
    if path.suffix in (".path", ".timer"):
        unit_file(path.with_suffix(".service").name)
    if path.suffix == ".path":
        with (LOGS / path.name).open("ab") as output:
            watcher = subprocess.Popen(
                [sys.executable, __file__, "watch", path.name], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        (PIDS / path.name).write_text(f"{watcher.pid}\n")
    if path.suffix != ".service":
        return
    text, log = path.read_text(), LOGS / path.stem
    known = environment(text)
    for folder in values(text, "StateDirectory"):
        assert (Path("/var/lib") / folder).is_dir()
    with log.open("ab") as output:
        for line in values(text, "ExecStartPre"):
            subprocess.run(words(line, known), env=known, stdout=output, stderr=output, check=False)
        (line,) = values(text, "ExecStart")
        command = [*as_user(text), *words(line, known)]
        if values(text, "Type") == ["oneshot"]:
            after = [[*as_user(text), *words(one, known)] for one in values(text, "ExecStartPost")]
            for one in (command, *after):
                subprocess.run(one, env=known, stdout=output, stderr=output, check=True)
            return
        process = subprocess.Popen(
            command,
            env=known,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
        )
    (PIDS / path.stem).write_text(f"{process.pid}\n")


def stop(name: str) -> None:
    try:
        pid = int((PIDS / unit_file(name).stem).read_text())
        os.kill(pid, signal.SIGTERM)
        while True:
            os.kill(pid, 0)
            time.sleep(0.05)
    except (FileNotFoundError, ProcessLookupError):
        return


def watch(name: str) -> None:
    path = unit_file(name)
    watched = [Path(one) for one in values(path.read_text(), "PathChanged")]

    def now() -> list[int]:
        return [one.stat().st_mtime_ns if one.exists() else 0 for one in watched]

    before = now()
    while True:
        time.sleep(0.2)
        if before != (before := now()):
            start(path.with_suffix(".service").name)


def main() -> None:
    PIDS.mkdir(exist_ok=True)
    LOGS.mkdir(exist_ok=True)
    verb, *rest = sys.argv[1:]
    names = [one for one in rest if not one.startswith("-")]
    for name in names:
        if verb == "enable":
            unit_file(name)
            if "--now" in rest:
                start(name)
        elif verb == "start":
            start(name)
        elif verb == "restart":
            stop(name)
            start(name)
        elif verb == "watch":
            watch(name)
        elif verb == "stop":
            stop(name)
        elif verb == "kill":
            os.kill(int((PIDS / unit_file(name).stem).read_text()), signal.SIGHUP)
        else:
            sys.exit(f"unknown verb {verb}")


main()
