from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from store.registry.lease_plan import Held, Member, Step, plan, shares

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TTL, SETTLE = timedelta(seconds=15), timedelta(seconds=6)
LONG_AGO = NOW - timedelta(hours=1)


def _member(name: str, joined_at: datetime = LONG_AGO, left: timedelta = TTL) -> Member:
    return Member(name, joined_at, NOW + left)


def _plan(
    me: str, members: list[Member], leases: dict[str, Held], work: list[str], known: dict[str, int] | None = None
) -> list[Step]:  # fmt: skip
    mine = {one: lease.epoch for one, lease in leases.items() if lease.holder == me}
    return plan(me, members, leases, work, NOW, known=mine if known is None else known, settle=SETTLE)


def test_one_alone_takes_everything() -> None:
    assert {(one.action, one.resource, one.reason) for one in _plan("a", [_member("a")], {}, ["x", "y"])} == {
        ("claim", "x", "free"), ("claim", "y", "free"),
    }  # fmt: skip


def test_what_a_member_that_is_gone_held_is_claimed() -> None:
    gone = _member("b", left=timedelta(0))
    leases = {"x": Held("a", 1, LONG_AGO), "y": Held("b", 4, LONG_AGO), "z": Held("never seen", 2, LONG_AGO)}
    steps = _plan("a", [_member("a"), gone], leases, ["x", "y", "z"])
    assert {(one.action, one.resource, one.reason) for one in steps} == {
        ("claim", "y", "holder_gone"), ("claim", "z", "holder_gone"),
    }  # fmt: skip


def test_what_is_not_shared_out_stays_with_its_holder_and_goes_only_to_who_wants_it() -> None:
    there = [_member("a"), _member("b")]
    leases = {"uplink": Held("a", 1, LONG_AGO), "configurations": Held("a", 1, LONG_AGO)}
    known = {"uplink": 1, "configurations": 1}

    def steps(me: str, leases: dict[str, Held], wanted: list[str], known: dict[str, int]) -> list[Step]:
        return plan(me, there, leases, wanted, NOW, known=known, settle=SETTLE, fair=False)

    assert steps("a", leases, ["configurations", "uplink"], known) == []
    assert steps("b", leases, ["configurations"], {}) == []
    free = {"uplink": Held(None, 1, NOW), "configurations": Held(None, 1, NOW)}
    assert [(one.action, one.resource) for one in steps("b", free, ["configurations"], {})] == [
        ("claim", "configurations")
    ]


def test_what_somebody_who_is_there_holds_is_left_to_them() -> None:
    leases = {"x": Held("b", 1, LONG_AGO), "y": Held("b", 1, LONG_AGO)}
    assert _plan("a", [_member("a"), _member("b")], leases, ["x", "y"]) == []


def test_the_newest_is_given_up_for_a_member_that_has_been_there_for_a_while() -> None:
    leases = {"x": Held("a", 1, NOW), "y": Held("a", 1, LONG_AGO)}
    just_come = _member("b", joined_at=NOW - SETTLE / 2)
    assert _plan("a", [_member("a"), just_come], leases, ["x", "y"]) == []
    assert _plan("a", [_member("a"), _member("b", joined_at=NOW - SETTLE)], leases, ["x", "y"]) == [
        Step("release", "x", "fair_share")
    ]


def test_a_lease_of_an_earlier_process_of_the_same_name_is_claimed_anew() -> None:
    assert _plan("a", [_member("a")], {"x": Held("a", 3, LONG_AGO)}, ["x"], known={}) == [
        Step("claim", "x", "own_name")
    ]


def test_a_piece_that_there_is_no_more_is_given_up() -> None:
    assert _plan("a", [_member("a")], {"x": Held("a", 3, LONG_AGO)}, []) == [
        Step("release", "x", "not_wanted")
    ]


def test_those_that_hold_more_keep_the_odd_pieces() -> None:
    assert shares({"a": 1, "b": 3, "c": 0}, 5) == {"a": 2, "b": 2, "c": 1}
    assert shares({}, 5) == {}


class Pool(RuleBasedStateMachine):
    """Members come, beat, are paused, wake, die and leave in any order; the table is the database's."""

    names = Bundle("names")

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.members: dict[str, Member] = {}
        self.leases: dict[str, Held] = {}
        self.known: dict[str, dict[str, int]] = {}
        self.work = [f"site-{n}" for n in range(7)]
        self.count = 0

    @rule(target=names)
    def joins(self) -> str:
        self.count += 1
        name = f"m{self.count}"
        self.known[name] = {}
        self.beats(name)
        return name

    @rule(name=names)
    def beats(self, name: str) -> None:
        before = self.members.get(name)
        joined = before.joined_at if before and before.expires_at > self.now else self.now
        self.members[name] = Member(name, joined, self.now + TTL)
        # What somebody else took while this member was paused is not known under its epoch any more.
        known = {
            one: epoch
            for one, epoch in self.known[name].items()
            if self.leases[one].holder == name and self.leases[one].epoch == epoch
        }
        for step in plan(
            name, self.members.values(), dict(self.leases), self.work, self.now, known=known, settle=SETTLE
        ):
            before_it = self.leases.get(step.resource)
            if step.action == "release":
                assert before_it is not None and before_it.holder == name
                self.leases[step.resource] = Held(None, before_it.epoch, self.now)
                known.pop(step.resource, None)
                continue
            holder = before_it.holder if before_it else None
            there = holder in self.members and self.members[holder].expires_at > self.now
            assert holder is None or holder == name or not there, "took from somebody who is there"
            epoch = before_it.epoch + 1 if before_it else 1
            self.leases[step.resource] = Held(name, epoch, self.now)
            known[step.resource] = epoch
        self.known[name] = known

    @rule(name=consumes(names))
    def dies(self, name: str) -> None:
        """Its row stays until it ends by itself."""

    @rule(seconds=st.integers(1, 20))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(n=st.integers(0, 9))
    def a_site_comes_or_goes(self, n: int) -> None:
        name = f"site-{n}"
        self.work = [one for one in self.work if one != name] if name in self.work else [*self.work, name]

    @invariant()
    def never_two_holders_under_one_epoch(self) -> None:
        claims = Counter(
            (one, epoch) for known in self.known.values() for one, epoch in known.items()
        )  # fmt: skip
        assert not claims or max(claims.values()) == 1

    @rule()
    def everything_is_held_and_shared_once_things_are_quiet(self) -> None:
        there = sorted(name for name, one in self.members.items() if one.expires_at > self.now)
        if not there:
            return
        self.now += SETTLE
        moved = 0
        for _ in range(4):
            for name in there:
                before = {one: lease.holder for one, lease in self.leases.items()}
                self.beats(name)
                moved += sum(self.leases[one].holder is None and before[one] is not None for one in before)
            self.now += SETTLE / 3
        held = Counter(self.leases[one].holder for one in self.work)
        assert set(held) <= set(there), "somebody who is gone holds something"
        counts = [held.get(name, 0) for name in there]
        assert sum(counts) == len(self.work)
        assert max(counts) - min(counts) <= 1
        settled = dict(self.leases)
        for name in there:
            self.beats(name)
        assert self.leases == settled, "something moves although nothing has changed"


Pool.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestPool = Pool.TestCase


def test_no_more_moves_than_a_newcomers_share() -> None:
    for members in range(1, 6):
        for pieces in range(0, 23):
            pool = Pool()
            pool.work = [f"site-{n}" for n in range(pieces)]
            for _ in range(members):
                pool.joins()
            pool.everything_is_held_and_shared_once_things_are_quiet()
            before = {one: pool.leases[one].holder for one in pool.work}
            pool.joins()
            pool.everything_is_held_and_shared_once_things_are_quiet()
            moved = sum(pool.leases[one].holder != before[one] for one in pool.work)
            assert moved == pieces // (members + 1)
