"""The short form of the cluster trial: a node, then an ingest killed, then a cut between two nodes; then the count."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.trial import Plan, Trial, told


@pytest.mark.slow
@pytest.mark.system
def test_a_cluster_that_is_killed_and_cut_loses_and_doubles_nothing(
    tmp_path: Path, program: Callable[[str], str]
) -> None:
    outcome = Trial(tmp_path, Plan(seconds=20.0, devices=6, rate=20, outage_s=4.0), program("influxd")).run()
    assert outcome.made == outcome.stored > 1000, told(outcome)
    assert not (outcome.doubled or outcome.wrong or outcome.quarantined or outcome.missing), told(outcome)
