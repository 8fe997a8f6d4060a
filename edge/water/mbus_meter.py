"""Driver ``mbus``: reads a meter on a wired M-Bus by its primary or secondary address."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from contract.messages import WaterReading
from edge.water import mbus_link as link
from edge.water.line import Line
from edge.water.mbus_decode import message_of, register_from
from edge.water.mbus_link import LongFrame
from edge.water.mbus_records import Record, more_follow, records
from edge.water.mbus_transport import Message, Secrets
from edge.water.profiles import MbusProfile, load
from edge.water.register import FrameRefused, NoAnswer
from edge.water.settings_meters import MbusMeter


class MbusReader:
    """Asks one meter for its user data, telegram after telegram."""

    def __init__(self, settings: MbusMeter, line: Line) -> None:
        """Raises ``ProfileError``."""
        self.profile = load(settings.profile, MbusProfile)
        self._settings = settings
        self._line = line
        self._address = link.BY_SECONDARY if settings.primary is None else settings.primary
        self._secrets = Secrets()

    def read(self, at: datetime) -> WaterReading:
        """Read the meter. Raises ``MeterError`` with the reason."""
        self._begin()
        try:
            first, found = self._telegrams()
        finally:
            self._end()
        return register_from(first, found, self.profile).reading(self._settings.name, at)

    def _begin(self) -> None:
        """Bring the meter to where its next frame count bit is 1, or select it by its secondary address."""
        if self._settings.secondary is None:
            self._reset()
        else:
            self._line.exchange(link.select_frame(self._settings.secondary), link.ack_in, answer_bytes=1)

    def _end(self) -> None:
        """Let go of a selected meter: with its count bit left as it is, it would send old data the next time."""
        if self._settings.secondary is not None:
            self._reset()

    def _reset(self) -> None:
        with suppress(NoAnswer, FrameRefused):  # the acknowledgement is optional
            self._line.exchange(link.short_frame(link.SND_NKE, self._address), link.ack_in, answer_bytes=1)

    def _telegrams(self) -> tuple[Message, list[Record]]:
        first: Message | None = None
        found: list[Record] = []
        for index in range(self._settings.telegrams):
            message = message_of(self._request(count_bit=index % 2 == 0), self._secrets)
            first = first or message
            found += records(message.payload)
            if not more_follow(message.payload):
                break
        assert first is not None
        return first, found

    def _request(self, *, count_bit: bool) -> LongFrame:
        control = link.REQ_UD2 | (link.FCB if count_bit else 0)
        return self._line.exchange(link.short_frame(control, self._address), self._answer)

    def _answer(self, received: bytes) -> LongFrame | None:
        return next((one for one in link.frames_in(received) if self._is_mine(one)), None)

    def _is_mine(self, frame: LongFrame) -> bool:
        if self._settings.secondary is not None:
            return link.matches(self._settings.secondary, frame)
        return self._address == link.ANY or frame.address == self._address
