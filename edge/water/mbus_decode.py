"""Decodes a wired M-Bus telegram into a register."""

from __future__ import annotations

from typing import Final

from edge.water.mbus_link import LongFrame, demand_response, parse_long
from edge.water.mbus_records import register_of
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
    identity = message.identity
    profile = profile_for(identity, profile)
    demand_water(identity, profile.any_medium)
    serial = None if identity is None else identity.serial
    return register_of(message.payload, serial, message.status, profile)


def profile_for(identity: Identity | None, profile: MbusProfile) -> MbusProfile:
    """Return the profile to use: the one for the meter's model where only the general one was named."""
    if identity is None or profile != load(GENERIC, MbusProfile):
        return profile
    return mbus_models().get(identity.model, profile)
