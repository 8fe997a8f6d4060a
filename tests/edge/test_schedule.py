from hypothesis import given
from hypothesis import strategies as st

from edge.schedule import Schedule


def _started(**settings) -> Schedule:
    schedule = Schedule(**settings)
    schedule.backlog_allowance(0.0)
    return schedule


def test_the_backlog_flows_at_its_rate_and_never_beyond_the_window():
    schedule = _started(backlog_per_s=100, window=150)
    assert schedule.backlog_allowance(0.5) == 50
    schedule.sent(range(50), 0.5, backlog=True)
    assert schedule.backlog_allowance(0.5) == 0
    assert schedule.backlog_allowance(100.0) == 100, "a second's worth is saved up at most"
    schedule.sent(range(50, 150), 100.0, backlog=True)
    assert schedule.backlog_allowance(200.0) == 0, "the window is full"
    schedule.answered([(0, 9)])
    assert schedule.backlog_allowance(200.0) == 10


def test_what_is_not_answered_in_time_is_sent_again_by_the_next_pass():
    schedule = _started(answer_timeout_s=30)
    schedule.connected(100)
    schedule.sent([97, 98, 99], 0.0, backlog=True)
    schedule.answered([(98, 98)])
    schedule.pass_is_over(1.0)
    schedule.maybe_restart(100, 2, 20.0)
    assert schedule.cursor is None, "all that waits is under way"
    assert schedule.expire(29.0) == 0
    assert schedule.expire(31.0) == 2
    schedule.maybe_restart(100, 2, 31.0)
    assert schedule.cursor == 100


def test_sending_again_counts_from_the_second_time():
    schedule = _started(answer_timeout_s=30)
    schedule.sent([1, 2], 0.0, backlog=False)
    schedule.sent([1], 20.0, backlog=True)
    assert schedule.expire(31.0) == 1
    assert list(schedule.under_way) == [1]


def test_silence_doubles_the_patience_up_to_a_quarter_of_an_hour_and_one_answer_ends_it():
    schedule = _started(answer_timeout_s=30, window=10)
    now, sent = 0.0, 0
    for _ in range(100):
        schedule.sent(range(10), now, backlog=True)
        sent += 10
        now += schedule.patience_s + 1
        schedule.expire(now)
    assert schedule.patience_s == 900
    hours = now / 3600
    assert sent / hours < 60, "a silent server is not flooded"
    schedule.sent([1], now, backlog=False)
    schedule.answered([(1, 1)])
    assert schedule.patience_s == 30


def test_a_silent_server_gets_a_new_connection_at_each_time_out():
    schedule = _started(answer_timeout_s=30)
    due = []
    for second in range(1_000):
        schedule.expire(float(second))
        if schedule.reconnect_due:
            schedule.reconnect_due = False
            schedule.connected(1)
            due.append(second)
        if not schedule.under_way:
            schedule.sent([0], float(second), backlog=True)
    assert due == [31, 92, 213, 454, 935]
    schedule.answered([])
    assert schedule.patience_s == 30


def test_passes_that_confirm_nothing_come_ever_more_rarely_and_a_fruitful_one_ends_that():
    schedule = _started(answer_timeout_s=30)
    now, passes = 0.0, 0
    schedule.connected(1_000)
    for _ in range(36_000):  # an hour; the server stores what is new, and knows nothing of one meter
        now += 0.1
        schedule.sent([10_000], now, backlog=False)
        schedule.answered([(10_000, 10_000)])
        schedule.expire(now)
        schedule.maybe_restart(1_000, 5, now)
        if schedule.cursor is not None:
            passes += 1
            schedule.sent(range(5), now, backlog=True)
            schedule.pass_is_over(now)
    assert 5 <= passes <= 12
    schedule.maybe_restart(1_000, 5, now + 1_000)
    schedule.sent(range(5), now + 1_000, backlog=True)
    schedule.answered([(4, 4)])
    schedule.pass_is_over(now + 1_000)
    schedule.expire(now + 1_031)
    schedule.maybe_restart(1_000, 4, now + 2_000)
    assert schedule.cursor == 1_000
    assert schedule.rest_s == 10


def test_a_new_connection_begins_a_pass_from_the_newest_reading():
    schedule = _started()
    schedule.sent([5], 0.0, backlog=False)
    schedule.connected(6)
    assert (schedule.cursor, dict(schedule.under_way)) == (6, {})


ranges = st.tuples(st.integers(0, 300), st.integers(0, 2**53)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(st.sets(st.integers(0, 300)), st.lists(ranges, max_size=5))
def test_answers_of_any_size_take_exactly_what_they_name(under_way, answered):
    schedule = _started()
    schedule.sent(under_way, 0.0, backlog=True)
    schedule.answered(answered)
    assert set(schedule.under_way) == {n for n in under_way if not any(a <= n <= b for a, b in answered)}
