"""Who does what: (members, leases, pieces of work, now) → what one member is to claim and to give up. Pure.

Every member plans for itself from the same tables. A member that is there keeps what it holds up to its share; what
nobody holds any more goes to those below theirs. Shares differ by one at most, and those that hold more keep the odd
piece, so that nothing moves that need not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from zlib import crc32

Reason = Literal["free", "holder_gone", "own_name", "fair_share", "not_wanted"]


@dataclass(frozen=True, slots=True)
class Member:
    """A process of the pool; it is there until ``expires_at``."""

    name: str
    joined_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Held:
    """A lease as it stands: its holder (``None``: given back), how many holders it had, since when."""

    holder: str | None
    epoch: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Step:
    """What a member is to do about one piece of work, and why."""

    action: Literal["claim", "release"]
    resource: str
    reason: Reason


def plan(
    me: str, members: Iterable[Member], leases: Mapping[str, Held], wanted: Iterable[str], now: datetime, *,
    known: Mapping[str, int], settle: timedelta, fair: bool = True,
) -> list[Step]:  # fmt: skip
    """Return the steps of ``me``, which must be one of the members that are there.

    ``wanted`` is all the work there is. ``known`` are the epochs under which ``me`` holds what it holds: a lease in
    its name that is not among them belonged to a process before it, and is claimed anew. Nothing is given up for a
    member that has not been there for ``settle``: it may be gone as quickly as it came. Without ``fair`` nothing is
    shared out: whoever wants a piece that nobody holds takes it, and keeps it. So it is where members do not all want
    the same.
    """
    there = {one.name: one for one in members if one.expires_at > now}
    work = sorted(set(wanted))
    held = dict.fromkeys(there, 0)
    for resource in work:
        holder = leases[resource].holder if resource in leases else None
        if holder in held:
            held[holder] += 1
    steps = [
        Step("claim", resource, "own_name")
        for resource in work
        if resource in leases
        and leases[resource].holder == me
        and known.get(resource) != leases[resource].epoch
    ]
    mine = [resource for resource, one in leases.items() if one.holder == me and resource in known]
    steps += [Step("release", resource, "not_wanted") for resource in sorted(set(mine) - set(work))]
    if not fair:
        return [*steps, *_free(me, leases, work, there)]
    settled = {name: held[name] for name, one in there.items() if name == me or now - one.joined_at >= settle}
    over = held[me] - shares(settled, len(work))[me]
    if over > 0:
        # The newest go: what has been held for long is warm.
        keep = sorted(set(mine) & set(work))
        keep.sort(key=lambda resource: (leases[resource].since, resource), reverse=True)
        return [*steps, *(Step("release", resource, "fair_share") for resource in keep[:over])]
    room = shares(held, len(work))[me] - held[me]
    return [*steps, *_free(me, leases, work, there)[: max(0, room)]]


def shares(held: Mapping[str, int], pieces: int) -> dict[str, int]:
    """Return how many pieces each member is to have, by how many each holds now."""
    if not held:
        return {}
    base, odd = divmod(pieces, len(held))
    order = sorted(held, key=lambda name: (-held[name], name))
    return {name: base + (place < odd) for place, name in enumerate(order)}


def _free(
    me: str, leases: Mapping[str, Held], work: Sequence[str], there: Mapping[str, Member]
) -> list[Step]:
    """Return claims of what nobody who is there holds, in an order of each member's own, so that few want the same."""
    steps: list[Step] = []
    for resource in work:
        holder = leases[resource].holder if resource in leases else None
        if holder is None:
            steps.append(Step("claim", resource, "free"))
        elif holder not in there:
            steps.append(Step("claim", resource, "holder_gone"))
    return sorted(steps, key=lambda step: crc32(f"{me}/{step.resource}".encode()))
