"""Driver ``cjt188``: reads a meter over RS-485, an M-Bus converter or a TCP gateway."""

from __future__ import annotations

from datetime import datetime

from contract.messages import WaterReading
from edge.water import cjt188
from edge.water.cjt188 import Frame
from edge.water.line import Line
from edge.water.profiles import Cjt188Profile, load
from edge.water.register import MeterError
from edge.water.settings_meters import Cjt188Meter


class Cjt188Reader:
    """Asks one meter for its data."""

    def __init__(self, settings: Cjt188Meter, line: Line) -> None:
        """Raises ``ProfileError``."""
        self.profile = load(settings.profile, Cjt188Profile)
        self._settings = settings
        self._line = line
        self._address = cjt188.wire_address(settings.address)
        self._serial = 0
        self._reversed_di = False

    def read(self, at: datetime) -> WaterReading:
        """Read the meter. Raises :class:`MeterError` with the reason."""
        self._serial = (self._serial + 1) % 256
        request = cjt188.read_request(
            int(self._settings.meter_type, 16), self._address, self._serial, reversed_di=self._reversed_di
        )
        try:
            frame = self._line.exchange(request, self._answer, answer_bytes=cjt188.answer_bytes(self.profile))
        except MeterError:
            # Some meters answer to one order of the identifier's bytes only; the next attempt uses the other.
            self._reversed_di = not self._reversed_di
            raise
        return cjt188.register_of(frame, self.profile).reading(self._settings.name, at)

    def _answer(self, received: bytes) -> Frame | None:
        for frame in cjt188.frames_in(received):
            is_mine = self._address == cjt188.BROADCAST or frame.address == self._settings.address.upper()
            if frame.control & cjt188.REPLY and is_mine:
                return frame
        return None
