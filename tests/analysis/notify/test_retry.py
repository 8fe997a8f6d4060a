from analysis.notify.retry import BACKOFF_S, BURST, BURST_WITHIN_S, PAUSE_S, after_failure, quiet_until


def test_it_backs_off_ever_longer_and_then_gives_up() -> None:
    waits = [after_failure(n, permanent=False) for n in range(1, len(BACKOFF_S) + 2)]
    assert [one.action for one in waits] == ["retry"] * len(BACKOFF_S) + ["give_up"]
    times = [one.wait_s for one in waits[:-1]]
    assert times == sorted(times) and waits[-1].reason == "tried_long_enough"


def test_what_cannot_succeed_is_not_tried_again() -> None:
    assert after_failure(1, permanent=True).reason == "address_not_understood"


def test_the_first_messages_go_at_once_and_a_storm_is_gathered() -> None:
    assert quiet_until([]) == quiet_until([0.0]) == 0.0
    storm = [float(n) for n in range(BURST)]
    assert quiet_until(storm) == storm[-1] + PAUSE_S
    assert quiet_until([0.0, *(BURST_WITHIN_S + n for n in range(BURST - 1))]) == 0.0
