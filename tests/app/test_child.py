import os
import signal
import sys
from pathlib import Path

from app.child import SupervisedChild
from tests.app.commands import wait_for

SLEEPER = "import time, sys; print('up', flush=True); time.sleep(600)"


def test_a_killed_child_is_started_again_and_ends_with_stop(tmp_path: Path) -> None:
    child = SupervisedChild("sleeper", [sys.executable, "-c", SLEEPER], tmp_path / "child.log")
    child.start()
    try:
        first = wait_for(lambda: child.pid, "the child")
        assert isinstance(first, int)
        wait_for(lambda: (tmp_path / "child.log").read_text() == "up\n", "its first word")
        os.kill(first, signal.SIGKILL)
        second = wait_for(lambda: child.pid if child.pid != first else None, "the child's second life")
        assert child.restarts == 1
        wait_for(lambda: (tmp_path / "child.log").read_text() == "up\nup\n", "both lives' output")
    finally:
        child.stop()
    assert child.pid is None
    assert isinstance(second, int)
    assert not Path(f"/proc/{second}").exists()


def test_a_child_dies_with_its_killed_starter(tmp_path: Path) -> None:
    program = f"""
import sys, time
from pathlib import Path
from app.child import SupervisedChild
child = SupervisedChild("sleeper", [sys.executable, "-c", {SLEEPER!r}], Path({str(tmp_path / "log")!r}))
child.start()
while child.pid is None: time.sleep(0.01)
print(child.pid, flush=True)
time.sleep(600)
"""
    import subprocess

    starter = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    starter.kill()
    starter.wait()
    starter.stdout.close()
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), "the child's end")
