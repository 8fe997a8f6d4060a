import os

import pytest

from tests.chaos.town import run

pytestmark = [pytest.mark.system, pytest.mark.slow]


def test_nothing_committed_is_lost_and_nothing_is_doubled_whatever_is_killed_cut_or_full(tmp_path, free_port):
    seed = int(os.environ.get("CHAOS_SEED", "20260301"))
    town, verdict = run(tmp_path, free_port(), edges=20, seconds=50, seed=seed, pause_s=3.0)
    print(f"seed {seed}; faults: {dict(town.faults)}; {verdict}")
    assert verdict.faults == []
    assert verdict.promised > 4_000
    assert verdict.stored + verdict.dropped_told + verdict.lost_by_damage == verdict.promised
    assert verdict.lost_by_damage < verdict.promised / 10
    assert len(town.faults) >= 6, "a run without faults shows nothing"
