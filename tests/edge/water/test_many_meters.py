"""Thirty-two meters on one bus with the timing of 2400 baud."""

import pytest

from tests.edge.water.bench import bus_tables, polled, served, wait_until

METERS, SILENT, NOISY = 32, 5, 9
INTERVAL_S = 20


@pytest.mark.slow
def test_one_silent_and_one_noisy_meter_do_not_disturb_the_other_thirty(tmp_path):
    faults = [f"silent@{SILENT}", f"noise:0.7@{NOISY}", f"checksum:0.3@{NOISY}"]
    with served("cjt188", METERS, baud=2400, faults=faults) as (where, meters, _server):
        tables = bus_tables(
            "cjt188", where, meters, baud=2400, timeout_s=0.5, interval_s=INTERVAL_S, silent_after=1
        )
        good = [f"m{one.number}" for one in meters if one.number not in (SILENT, NOISY)]
        with polled(tables, tmp_path) as output:
            # The first reading comes with the start, the others at the beginning of each interval.
            wait_until(lambda: all(output.count()[name] >= 3 for name in good), 120)
    for name in good:
        turns = [int(one.t.timestamp() // INTERVAL_S) for one in output.readings if one.meter == name]
        assert turns[1:] == list(range(turns[1], turns[1] + len(turns) - 1)), name
    assert output.count()[f"m{SILENT}"] == 0
    assert ("meter_silent", f"m{SILENT}") in output.kinds()
    assert {meter for _kind, meter in output.kinds()} <= {f"m{SILENT}", f"m{NOISY}"}
    by_name = {f"m{one.number}": one for one in meters}
    for one in output.readings:
        assert 0 <= one.volume_ml // 1000 - by_name[one.meter].volume_l(one.t) // 10 * 10 <= 10
