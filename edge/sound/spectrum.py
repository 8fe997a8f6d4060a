"""Who gets the band energies of which seconds: a minute's valid or invalid part, and a sound event."""

from __future__ import annotations

from collections.abc import Sequence

from edge.sound.octaves import BandEnergy, ThirdOctaves
from edge.sound.second import MeteredSecond


class SpectrumLedger:
    """Filters every second's sound and books its band energies where they belong.

    Energies are taken from the filters only where the bookkeeping changes, since each time costs about as much as
    a second of sound.
    """

    def __init__(self, rate_hz: int) -> None:
        self._octaves = ThirdOctaves(rate_hz)
        self._accounts: Sequence[BandEnergy] = ()

    def add(self, second: MeteredSecond, accounts: Sequence[BandEnergy]) -> None:
        """Take a second's sound for these accounts."""
        if [id(one) for one in accounts] != [id(one) for one in self._accounts]:
            self.settle()
            self._accounts = accounts
        for number, part in enumerate(second.sound):
            if number or second.began_anew:
                self._octaves.restart()
            self._octaves.push(part)

    def settle(self) -> None:
        """Book everything so far."""
        energy = self._octaves.take()
        for account in self._accounts:
            account.add(energy)
