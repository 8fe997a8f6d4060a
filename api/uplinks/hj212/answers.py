"""What to answer to a request of the platform: from (profile, talk, request, now), messages and the talk after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

from api.uplinks.hj212.message import SYSTEM, Group, Message
from api.uplinks.hj212.profile import Profile

READY: Final = "1"
REFUSED: Final = "2"
WRONG_PW: Final = "3"
WRONG_MN: Final = "4"
UNKNOWN_COMMAND: Final = "8"
DONE: Final = "1"
FAILED: Final = "2"
"""Values of QnRtn and ExeRtn (HJ 212-2017, tables 8 and 9)."""

COMMANDS: Final = ("1011", "1061", "1062", "1063", "1064", "2011", "2012")
"""Requests that are carried out."""


@dataclass(frozen=True, slots=True)
class Talk:
    """What the platform may set: how often live and minute data go out, and whether live data go out at all."""

    live_interval_s: int = 60
    minute_interval_min: int = 10
    live: bool = True


@dataclass(frozen=True, slots=True)
class Reply:
    """Messages to be sent in this order, and the talk from now on. ``live_now`` asks for live data at once."""

    messages: Sequence[Message]
    talk: Talk
    live_now: bool = False


Execution = tuple[Sequence[Group] | None, Talk, Literal["1", "2"]]


def reply(
    profile: Profile, talk: Talk, request: Message, now: datetime, *, pw: str, stations: Sequence[str]
) -> Reply:
    """Answer a request: 9011 whether it is taken, what it asks for, 9012 how it went.

    The clock of a station is kept by NTP and not set by the platform: 1012 is refused.
    """
    refusal = _refusal(request, pw, stations)
    if refusal:
        return Reply([_told(profile, request, "9011", {"QnRtn": refusal})], talk)
    content, after, went = _execute(profile, talk, request, now)
    messages = [_told(profile, request, "9011", {"QnRtn": READY})]
    if content is not None:
        messages.append(Message(request.qn, profile.st, request.cn, pw, request.mn, profile.flag, content))
    messages.append(_told(profile, request, "9012", {"ExeRtn": went}))
    return Reply(messages, after, live_now=request.cn == "2011")


def _refusal(request: Message, pw: str, stations: Sequence[str]) -> str | None:
    if request.pw != pw:
        return WRONG_PW
    if request.mn not in stations:
        return WRONG_MN
    if request.cn == "1012":
        return REFUSED
    return None if request.cn in COMMANDS else UNKNOWN_COMMAND


def _told(profile: Profile, request: Message, cn: str, group: Group) -> Message:
    return Message(request.qn, SYSTEM, cn, request.pw, request.mn, profile.flag, [group])


def _execute(profile: Profile, talk: Talk, request: Message, now: datetime) -> Execution:
    match request.cn:
        case "1011":
            return [{"SystemTime": f"{now.astimezone(profile.zone):%Y%m%d%H%M%S}"}], talk, DONE
        case "1061":
            return [{"RtdInterval": str(talk.live_interval_s)}], talk, DONE
        case "1062":
            seconds = _whole(request.value("RtdInterval"), profile.live_interval_s)
            return _set(talk, None if seconds is None else replace(talk, live_interval_s=seconds))
        case "1063":
            return [{"MinInterval": str(talk.minute_interval_min)}], talk, DONE
        case "1064":
            minutes = _whole(request.value("MinInterval"), profile.minute_interval_min)
            # Periods begin at whole multiples of the interval: it must fit into an hour.
            good = minutes is not None and 60 % minutes == 0
            return _set(talk, replace(talk, minute_interval_min=minutes) if good else None)
        case "2011":
            return None, replace(talk, live=True), DONE
        case _:  # 2012: COMMANDS holds no other
            return None, replace(talk, live=False), DONE


def _set(talk: Talk, changed: Talk | None) -> Execution:
    return (None, talk, FAILED) if changed is None else (None, changed, DONE)


def _whole(text: str | None, bounds: tuple[int, int]) -> int | None:
    if not text or not text.isascii() or not text.isdigit() or len(text) > 6:
        return None
    return int(text) if bounds[0] <= int(text) <= bounds[1] else None
