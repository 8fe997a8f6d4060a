"""Decodes a wired M-Bus telegram into a register."""

from __future__ import annotations

from typing import Final

from edge.water.mbus_link import LongFrame, demand_response, parse_long
from edge.water.mbus_records import Record, records
from edge.water.mbus_records import register_in as register_among
from edge.water.mbus_transport import Identity, Message, Secrets, demand_water, open_message
from edge.water.profiles import MbusProfile, load, mbus_models
from edge.water.register import Register

GENERIC: Final = "mbus"
"""The profile that gives way to the one for a meter's own model."""


def decode(raw: bytes, profile: MbusProfile, secrets: Secrets) -> Register:
    """Return the register in a long frame. Raises :class:`FrameRefused` with the reason."""
    return register_in(message_of(parse_long(raw), secrets), profile)


def message_of(frame: LongFrame, secrets: Secrets) -> Message:
    """Open a response. Raises :class:`FrameRefused` where it is none."""
    demand_response(frame)
    return open_message(frame.ci, frame.user_data, None, secrets)


def register_in(message: Message, profile: MbusProfile) -> Register:
    """Return the register in an opened message. Raises :class:`FrameRefused` with the reason."""
    return register_from(message, records(message.payload), profile)


def register_from(first: Message, found: list[Record], profile: MbusProfile) -> Register:
    """Return the register among the records of a readout that began with a message. Raises :class:`FrameRefused`."""
    identity = first.identity
    profile = profile_for(identity, profile)
    demand_water(identity, profile.any_medium)
    return register_among(found, None if identity is None else identity.serial, first.status, profile)


def profile_for(identity: Identity | None, profile: MbusProfile) -> MbusProfile:
    """Return the profile to use: the one for the meter's model where only the general one was named."""
    if identity is None or profile != load(GENERIC, MbusProfile):
        return profile
    return mbus_models().get(identity.model, profile)
