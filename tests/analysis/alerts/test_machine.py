from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from analysis.alerts.machine import NOTHING, Observation, Outcome, Standing, Timing, decide, withdraw

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
BREACH = Observation("breach", 58.0, 55.0)
BETWEEN = Observation("between", 54.6, 55.0)
CLEAR = Observation("clear", 50.0, 55.0)
NO_DATA = Observation("no_data")
TIMING = Timing(
    hold=timedelta(minutes=5), recover=timedelta(minutes=10), escalate_after=timedelta(minutes=30)
)


def _after(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def _steps(outcome: Outcome) -> list[tuple[str | None, str, str]]:
    return [(one.from_state, one.to_state, one.reason) for one in outcome.transitions]


def _pending() -> Standing:
    alert = decide(None, BREACH, T0, TIMING).alert
    assert alert is not None
    return alert


def _firing() -> Standing:
    alert = decide(_pending(), BREACH, _after(5), TIMING).alert
    assert alert is not None
    return alert


@pytest.mark.parametrize("seen", [BETWEEN, CLEAR, NO_DATA])
def test_only_a_breach_begins_an_alert(seen: Observation) -> None:
    assert decide(None, seen, T0, TIMING) is NOTHING


def test_it_waits_for_the_hold_then_fires() -> None:
    begun = decide(None, BREACH, T0, TIMING)
    assert _steps(begun) == [(None, "pending", "condition_met")]
    assert begun.alert is not None
    assert decide(begun.alert, BREACH, _after(4.9), TIMING).transitions == ()
    fired = decide(begun.alert, BREACH, _after(5), TIMING)
    assert _steps(fired) == [("pending", "firing", "condition_held")]
    assert fired.alert is not None
    assert (fired.alert.firing_since, fired.alert.pending_since) == (_after(5), T0)


def test_without_a_hold_it_fires_at_once_and_logs_both_steps() -> None:
    outcome = decide(None, BREACH, T0, Timing())
    assert _steps(outcome) == [(None, "pending", "condition_met"), ("pending", "firing", "condition_held")]


@pytest.mark.parametrize(("seen", "reason"), [(CLEAR, "condition_gone"), (NO_DATA, "no_data")])
def test_a_pending_alert_that_loses_its_ground_is_cancelled(seen: Observation, reason: str) -> None:
    assert _steps(decide(_pending(), seen, _after(1), TIMING)) == [("pending", "cancelled", reason)]


def test_within_the_hysteresis_nothing_changes_but_nothing_fires_either() -> None:
    assert decide(_pending(), BETWEEN, _after(6), TIMING).transitions == ()
    calm = decide(_firing(), BETWEEN, _after(6), TIMING)
    assert calm.transitions == ()
    assert calm.alert is not None and calm.alert.recovering_since is None


def test_it_resolves_after_the_recovery_and_not_before() -> None:
    calm = decide(_firing(), CLEAR, _after(6), TIMING)
    assert calm.save and calm.alert is not None and calm.alert.recovering_since == _after(6)
    assert decide(calm.alert, CLEAR, _after(15.9), TIMING).transitions == ()
    assert _steps(decide(calm.alert, CLEAR, _after(16), TIMING)) == [("firing", "resolved", "condition_gone")]


def test_a_breach_starts_the_recovery_anew() -> None:
    calm = decide(_firing(), CLEAR, _after(6), TIMING).alert
    again = decide(calm, BREACH, _after(10), TIMING).alert
    assert again is not None and again.recovering_since is None


def test_the_hysteresis_neither_stops_nor_ends_a_recovery() -> None:
    calm = decide(_firing(), CLEAR, _after(6), TIMING).alert
    between = decide(calm, BETWEEN, _after(20), TIMING)
    assert between.transitions == () and between.alert is not None
    assert _steps(decide(between.alert, CLEAR, _after(20), TIMING)) == [
        ("firing", "resolved", "condition_gone")
    ]


def test_no_data_never_resolves_and_stops_the_recovery() -> None:
    calm = decide(_firing(), CLEAR, _after(6), TIMING).alert
    gone = decide(calm, NO_DATA, _after(16), TIMING)
    assert _steps(gone) == [("firing", "firing", "no_data")]
    assert gone.alert is not None and gone.alert.no_data
    assert decide(gone.alert, NO_DATA, _after(20), TIMING).transitions == ()
    back = decide(gone.alert, CLEAR, _after(25), TIMING)
    assert _steps(back) == [("firing", "firing", "data_back")]
    assert back.alert is not None and back.alert.recovering_since == _after(25)


def test_nobody_answers_and_it_escalates_once() -> None:
    up = decide(_firing(), BREACH, _after(35), TIMING)
    assert _steps(up) == [("firing", "escalated", "not_acknowledged_in_time")]
    assert up.alert is not None
    assert decide(up.alert, BREACH, _after(90), TIMING).transitions == ()


def test_an_acknowledged_alert_does_not_escalate_but_resolves() -> None:
    taken = replace(_firing(), state="acknowledged")
    assert decide(taken, BREACH, _after(90), TIMING).transitions == ()
    calm = decide(taken, CLEAR, _after(91), TIMING).alert
    assert _steps(decide(calm, CLEAR, _after(101), TIMING)) == [
        ("acknowledged", "resolved", "condition_gone")
    ]


def test_it_escalates_without_data_too() -> None:
    assert _steps(decide(_firing(), NO_DATA, _after(35), TIMING)) == [
        ("firing", "firing", "no_data"),
        ("firing", "escalated", "not_acknowledged_in_time"),
    ]


def test_a_clock_that_steps_back_makes_nothing_wait_for_it() -> None:
    late = decide(None, BREACH, _after(600), TIMING).alert
    assert decide(late, BREACH, _after(0), TIMING).transitions == ()
    rebased = decide(late, BREACH, _after(0), TIMING).alert
    assert _steps(decide(rebased, BREACH, _after(5), TIMING)) == [("pending", "firing", "condition_held")]


def test_what_a_clock_step_moves_is_written_down() -> None:
    calm = decide(replace(_firing(), state="acknowledged"), CLEAR, _after(600), TIMING).alert
    stepped = decide(calm, CLEAR, _after(0), TIMING)
    assert stepped.save and stepped.alert is not None and stepped.alert.recovering_since == _after(0)
    over = decide(stepped.alert, CLEAR, _after(10), TIMING)
    assert _steps(over) == [("acknowledged", "resolved", "condition_gone")]


def test_the_worst_value_is_kept() -> None:
    worse = decide(_firing(), Observation("breach", 70.0, 55.0), _after(6), TIMING).alert
    calmer = decide(worse, CLEAR, _after(7), TIMING).alert
    assert calmer is not None and (calmer.worst, calmer.value) == (70.0, 50.0)


def test_values_alone_are_written_down_now_and_then() -> None:
    alert = _firing()
    assert not decide(alert, BREACH, _after(5) + timedelta(seconds=29), TIMING).save
    assert decide(alert, BREACH, _after(5) + timedelta(seconds=30), TIMING).save


def test_withdrawing_tells_why() -> None:
    assert _steps(withdraw(_pending(), "rule_disabled", T0)) == [("pending", "cancelled", "rule_disabled")]
    assert _steps(withdraw(_firing(), "source_removed", T0)) == [("firing", "resolved", "source_removed")]


def test_a_closed_alert_takes_no_observation() -> None:
    with pytest.raises(ValueError, match="is resolved"):
        decide(replace(_firing(), state="resolved"), BREACH, T0, TIMING)
