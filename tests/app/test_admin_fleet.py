"""``quietwater admin config`` and ``rollout``."""

from click.testing import CliRunner

from app.cli import main
from tests.broker import quarter


def test_from_a_draft_to_a_rollout_that_is_held_and_taken_back(tmp_path):
    quarter(tmp_path, devices=3).registry.close()

    def run(*arguments: str, fails: bool = False) -> str:
        told = CliRunner().invoke(main, ["admin", "--data", str(tmp_path), *arguments])
        assert (told.exit_code != 0) == fails, told.output
        return told.output

    assert "configuration 1" in run("config", "draft", "noise.spectrum=false", "noise.self_noise_db=null")
    assert "no number" in run("config", "draft", "noise.spectrum=no", fails=True)
    assert "KEY=VALUE" in run("config", "draft", "noise.spectrum", fails=True)
    assert "from afar" in run("config", "draft", 'mqtt.url="mqtt://x"', fails=True)
    assert "is to run 1; it was 0" in run("config", "give", "1", "s1", "d2")
    assert "there is no device" in run("config", "give", "1", "s1", "nobody", fails=True)
    assert "no configuration 9" in run("config", "give", "9", "s1", "d1", fails=True)
    assert "1\t1 devices" in run("config", "list")
    assert "waves of 1, 2, 3 devices" in run("rollout", "begin", "1")
    assert "is not over" in run("rollout", "begin", "1", fails=True)
    assert "rollout 1 is paused" in run("rollout", "pause", "1")
    assert "rollout 1 is running" in run("rollout", "resume", "1")
    assert "rollout 1 is rolled back" in run("rollout", "back", "1")
    assert "rolled_back" in run("rollout", "list")
    assert "there is no rollout 5" in run("rollout", "pause", "5", fails=True)
    assert "Examples:" in run("rollout", "begin", "--help")
