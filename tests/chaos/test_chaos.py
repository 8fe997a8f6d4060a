import os

import pytest

from tests.chaos.__main__ import told
from tests.chaos.town import Plan, run

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.mark.parametrize(
    "plan",
    [
        Plan(seconds=45, pause_s=3.0),
        Plan(seconds=20, pause_s=2.0, edges=6, broker="mosquitto", store="duckdb"),
    ],
    ids=["embedded-influxdb", "mosquitto-duckdb"],
)
def test_nothing_committed_is_lost_and_nothing_is_doubled_whatever_is_killed_cut_or_full(
    tmp_path, free_port, program, plan
):
    for name in {"influxdb": ["influxd"], "duckdb": []}[plan.store] + ["mosquitto"] * (
        plan.broker == "mosquitto"
    ):
        program(name)
    seed = int(os.environ.get("CHAOS_SEED", "20260301"))
    faults, verdict = run(tmp_path, free_port(), Plan(**{**vars(plan), "seed": seed}))
    print(f"seed {seed}\n{told(faults, verdict)}")
    assert verdict.faults == []
    assert verdict.promised > 100 * plan.edges
    assert verdict.stored + verdict.dropped_told + verdict.lost_by_damage == verdict.promised
    assert verdict.lost_by_damage < verdict.promised / 10
    assert len(faults.count) == len(faults.kinds), "a run without some kind of fault does not show that kind"
