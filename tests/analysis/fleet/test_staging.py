"""When a rollout goes on, waits, halts or goes back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from analysis.fleet.staging import Member, Plan, Told, decide, look, wave_sizes
from contract.flags import NoiseFlag

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MIN = timedelta(minutes=1)
PLAN = Plan(
    wave=0, waves=3, began_at=NOW - 20 * MIN, healthy_for=10 * MIN, patience=60 * MIN, most_failed=0.1
)
PROVED, FRESH, AWAY = Member(NOW - 11 * MIN), Member(NOW - MIN), Member()
FAILED = Member(failure="version 5: no sound")
WELL = Told(True, NOW, {"config_version": 5}, True, NOW - timedelta(seconds=3))


@pytest.mark.parametrize(
    ("total", "waves", "sizes"),
    [
        (1000, ["1", "10%", "50%", "100%"], [1, 100, 500, 1000]),
        (3, ["1", "10%", "50%", "100%"], [1, 2, 3]),
        (1, ["1", "10%", "50%", "100%"], [1]),
        (40, ["5"], [5, 40]),
        (4, ["100", "100%"], [4]),
    ],
)
def test_waves_ascend_and_end_with_all(total, waves, sizes):
    assert wave_sizes(total, waves) == sizes


@pytest.mark.parametrize("wave", ["0", "101%", "-1", "ten", "1.5", ""])
def test_a_wave_that_is_none_is_named(wave):
    with pytest.raises(ValueError, match="a wave is a number"):
        wave_sizes(10, [wave])


@pytest.mark.parametrize(
    ("members", "plan", "verdict", "words"),
    [
        ([AWAY], PLAN, "wait", "1 of 1 devices do not run it well yet"),
        ([FRESH], PLAN, "wait", "0 of 1 devices have proved it"),
        ([PROVED], PLAN, "advance", "1 of 1"),
        ([PROVED] * 9 + [FRESH], PLAN, "wait", "9 of 10"),
        ([PROVED], replace(PLAN, wave=2), "finish", "1 of 1 devices run it, 0 failed"),
        ([FAILED], PLAN, "roll_back", "the first: version 5: no sound"),
        ([PROVED] * 9 + [FAILED], PLAN, "advance", "9 of 10"),
        ([PROVED] * 8 + [FAILED] * 2, PLAN, "roll_back", "2 of 10"),
        ([AWAY] * 9 + [FAILED] * 2, PLAN, "roll_back", "2 of 11"),
        ([PROVED] * 9 + [AWAY], PLAN, "wait", "1 of 10"),
        ([PROVED] * 9 + [AWAY], replace(PLAN, patience=20 * MIN), "advance", "9 of 10"),
        ([PROVED] * 8 + [AWAY] * 2, replace(PLAN, patience=20 * MIN), "halt", "within 20 min"),
        ([AWAY], replace(PLAN, patience=20 * MIN), "halt", "1 of 1"),
    ],
)  # fmt: skip
def test_the_decision_and_its_reason(members, plan, verdict, words):
    found = decide(plan, members, NOW)
    assert found.verdict == verdict and words in found.reason, found


def test_a_device_is_healthy_from_when_it_runs_the_version_and_is_heard():
    member = look(Member(), WELL, 5, NOW)
    assert member.healthy_since == NOW
    assert look(member, WELL, 5, NOW + MIN).healthy_since == NOW
    for told in (
        replace(WELL, online=False),
        replace(WELL, status={"config_version": 4}),
        replace(WELL, status={"config_version": 5, "config_on_trial": True}),
        replace(WELL, newest=NOW - 3 * MIN),
        replace(WELL, newest=None),
    ):
        assert look(member, told, 5, NOW) == Member(), told


def test_a_gateway_is_judged_by_its_status_which_must_have_come_of_late():
    gateway = Told(True, NOW - MIN, {"config_version": 5}, noise=False)
    assert look(Member(), gateway, 5, NOW).healthy_since == NOW
    for told in (replace(gateway, heard_at=NOW - 3 * MIN), replace(gateway, heard_at=None)):
        assert look(Member(NOW - 5 * MIN), told, 5, NOW) == Member(), told
    rare = replace(gateway, status={"config_version": 5, "status_interval_s": 300.0})
    assert look(Member(), replace(rare, heard_at=NOW - 14 * MIN), 5, NOW).healthy_since == NOW
    assert look(Member(), replace(rare, heard_at=NOW - 16 * MIN), 5, NOW) == Member()


def test_a_refusal_counts_if_it_is_of_this_version_and_stays():
    refused = Told(True, NOW, {"config_version": 4, "config_error": "version 5: no sound"}, True, NOW)
    member = look(Member(), refused, 5, NOW)
    assert member.failure == "version 5: no sound"
    assert look(member, WELL, 5, NOW) == member
    other = replace(WELL, status={"config_version": 5, "config_error": "version 55: other"})
    assert look(Member(), other, 5, NOW).failure is None


def test_a_storm_of_overload_is_a_failure_and_a_shout_is_none():
    loud = replace(WELL, flags=int(NoiseFlag.OVERLOAD))
    member = Member()
    for _ in range(9):
        member = look(member, loud, 5, NOW)
    assert member.failure is None
    assert look(member, loud, 5, NOW).failure == "version 5: overloaded in 10 of 10 looks"
    member = Member(NOW, looks=30, overloaded=2)
    assert look(member, loud, 5, NOW).failure is None
