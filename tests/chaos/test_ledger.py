"""The chaos test's own bookkeeping finds what it is there to find."""

import json

import pytest

from tests.chaos.ledger import _judge_device, read_journal

BEGIN = ["begin", [[n, "noise", n * 1000] for n in range(10)], []]
DROP = ("noise", 3, 0, 2)


def judged(tmp_path, rows, *, stored, told=()):
    path = tmp_path / "d.journal"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return _judge_device(read_journal(path), {"noise": {n * 1000 for n in stored}, "water": set()}, set(told))


def test_what_is_committed_and_stored_is_well(tmp_path):
    verdict = judged(tmp_path, [BEGIN, ["end", []]], stored=range(10))
    assert (verdict.promised, verdict.stored, verdict.faults) == (10, 10, [])


def test_a_committed_reading_that_is_not_in_the_store_is_a_fault(tmp_path):
    verdict = judged(tmp_path, [BEGIN, ["end", []]], stored=range(9))
    assert verdict.faults == ["noise 9 was committed and is lost"]


def test_what_a_commit_that_was_cut_short_holds_is_not_promised(tmp_path):
    verdict = judged(tmp_path, [BEGIN], stored=[])
    assert (verdict.promised, verdict.faults) == (0, [])
    verdict = judged(tmp_path, [BEGIN, ["undone"], BEGIN, ["end", []]], stored=range(10))
    assert (verdict.promised, verdict.faults) == (10, [])


def test_a_drop_that_is_told_matches_to_the_reading(tmp_path):
    verdict = judged(tmp_path, [BEGIN, ["end", [[*DROP, 77]]]], stored=range(3, 10), told=[DROP])
    assert (verdict.dropped_told, verdict.drops_exact, verdict.faults) == (3, 1, [])


@pytest.mark.parametrize("told", [[], [("noise", 2, 0, 2)], [("noise", 3, 0, 1)]])
def test_a_drop_that_is_not_told_or_told_otherwise_is_a_fault(tmp_path, told):
    verdict = judged(tmp_path, [BEGIN, ["end", [[*DROP, 77]]]], stored=range(3, 10), told=told)
    assert f"the drop {DROP} is not told" in verdict.faults


def test_a_count_that_is_wrong_is_a_fault(tmp_path):
    wrong = ("noise", 4, 0, 2)
    verdict = judged(tmp_path, [BEGIN, ["end", [[*wrong, 77]]]], stored=range(3, 10), told=[wrong])
    assert verdict.faults == ["4 noise 0..2 are told as dropped, it was 3"]


def test_a_drop_out_of_nothing_is_a_fault(tmp_path):
    verdict = judged(tmp_path, [BEGIN, ["end", []]], stored=range(10), told=[DROP])
    assert "drops are told of which the journal knows nothing" in verdict.faults[0]


def test_an_event_that_was_pushed_out_in_its_turn_is_told_by_the_one_that_says_so(tmp_path):
    rows = [BEGIN, ["end", [[*DROP, 77]]], ["begin", [], []], ["end", [["event", 1, 77, 77, 78]]]]
    verdict = judged(tmp_path, rows, stored=range(3, 10), told=[("event", 1, 77, 77)])
    assert (verdict.dropped_told, verdict.drops_exact, verdict.faults) == (3, 2, [])


def test_an_event_in_a_commit_that_was_cut_short_may_be_there_and_be_pushed_out(tmp_path):
    cut_short = [BEGIN, ["tells", 77]]
    drop = ["begin", [], []], ["end", [["event", 1, 77, 77, 78]]]
    verdict = judged(tmp_path, [*cut_short, *drop], stored=[], told=[("event", 1, 77, 77)])
    assert (verdict.drops_unsure, verdict.faults) == (1, [])
    verdict = judged(tmp_path, [BEGIN, *drop], stored=[], told=[("event", 1, 77, 77)])
    assert verdict.faults == ["1 event 77..77 are told as dropped, it was 0"]


def test_what_was_removed_may_be_there_again_when_the_log_that_said_so_is_gone(tmp_path):
    removed = [BEGIN, ["end", []], ["begin", [], list(range(10))], ["end", []]]
    drop = ["begin", [], []], ["end", [[*DROP, 77]]]
    assert judged(tmp_path, [*removed, *drop], stored=range(10), told=[DROP]).faults
    verdict = judged(tmp_path, [*removed, ["damaged"], *drop], stored=range(10), told=[DROP])
    assert (verdict.drops_unsure, verdict.faults) == (1, [])
    later = ["begin", [[20, "noise", 20_000]], []], ["end", [["noise", 2, 20, 20, 78]]]
    verdict = judged(tmp_path, [*removed, ["damaged"], *later], stored=range(10), told=[("noise", 2, 20, 20)])
    assert verdict.faults == ["2 noise 20..20 are told as dropped, it was 1"]


def test_only_what_lay_on_a_disk_that_we_damaged_may_be_lost_with_it(tmp_path):
    later = ["begin", [[20, "noise", 20_000]], []]
    rows = [BEGIN, ["end", []], ["begin", [], [0, 1]], ["end", []], ["damaged"], later, ["end", []]]
    verdict = judged(tmp_path, rows, stored=[0, 1])
    assert (verdict.stored, verdict.lost_by_damage) == (2, 8)
    assert verdict.faults == ["noise 20 was committed and is lost"]
