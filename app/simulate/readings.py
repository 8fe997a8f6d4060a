"""Readings of the fleet as they go over the wire. Pure: a reading is a function of (scenario, device, ``seq``).

A noise device counts by its own clock: ``seq`` is the second since 1970 that it writes down. A gateway reads one meter
after the other, each once in an interval: ``seq`` counts readings since 1970. So both grow across restarts of the
simulator, and what was sent need not be kept to be sent again.
"""

from __future__ import annotations

import numpy as np

from app.simulate.draws import Ints
from app.simulate.interruptions import ClockFault, clock_faults
from app.simulate.levels import levels
from app.simulate.meters import STEP_ML, Registers
from app.simulate.scenario import Scenario, text_of


class NoiseReadings:
    """Seconds of all noise devices."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.faults: dict[int, ClockFault] = clock_faults(scenario)
        self._texts: dict[int, str] = {}

    def label(self, device: int, true_s: int) -> int | None:
        """Return the ``seq`` of what a device measures in a true second; ``None`` where it makes no reading."""
        fault = self.faults.get(device)
        return true_s if fault is None else fault.label(true_s)

    def encode(self, device: int, seqs: list[int]) -> list[bytes]:
        """Return readings of one device; ``seqs`` must be ones that it made."""
        fault = self.faults.get(device)
        true = seqs if fault is None else [fault.true(seq) or seq for seq in seqs]
        return self.encode_many(np.full(len(seqs), device, np.int64), np.array(true, np.int64), seqs)

    def encode_many(self, devices: Ints, true: Ints, seqs: list[int]) -> list[bytes]:
        """Return readings of many devices, element by element; ``devices`` ascends."""
        found = levels(self.scenario, devices, true)
        columns = (
            found.laeq_db,
            found.lafmax_db,
            found.lafmin_db,
            found.laf_db,
            found.lceq_db,
            found.lcpeak_db,
        )
        rows = zip(seqs, *(one.tolist() for one in columns), strict=True)
        out = [
            b'{"seq":%d,"t":"%s","laeq_db":%.1f,"lafmax_db":%.1f,"lafmin_db":%.1f,"laf_db":%.1f,'
            b'"lceq_db":%.1f,"lcpeak_db":%.1f}' % (seq, self._text(seq), *measured)
            for seq, *measured in rows
        ]
        for at, device in enumerate(devices.tolist()):
            fault = self.faults.get(device)
            if fault is not None and fault.flagged(int(true[at])):
                out[at] = out[at][:-1] + b',"flags":["clock_unsynced"]}'
        return out

    def _text(self, second: int) -> bytes:
        text = self._texts.get(second)
        if text is None:
            if len(self._texts) > 5_000:
                self._texts.clear()
            text = self._texts[second] = text_of(second)
        return text.encode()


class WaterReadings:
    """Readings of all meters, by the gateway of their site."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.registers = Registers(scenario)

    def due(self, site: int, begin_s: int, end_s: int) -> range:
        """Return the ``seq`` of the readings that a gateway makes in [``begin_s``, ``end_s``)."""
        count = self.scenario.meters_at(site)
        return range(self._first(begin_s, count), self._first(end_s, count)) if count else range(0)

    def time(self, site: int, seq: int) -> int:
        """Return the second at which a reading is made."""
        count = self.scenario.meters_at(site)
        return seq * self.scenario.meter_interval_s // count

    def encode(self, site: int, seqs: list[int]) -> list[bytes]:
        """Return readings of one gateway."""
        scenario, count = self.scenario, self.scenario.meters_at(site)
        t = np.array([self.time(site, seq) for seq in seqs], np.int64)
        meters = np.array([scenario.meter_of(site, seq % count) for seq in seqs], np.int64)
        litres = self.registers.litres(meters, t)
        before = self.registers.litres(meters, t - scenario.meter_interval_s)
        return [
            b'{"seq":%d,"t":"%s","meter":"%s","volume_steps":%d,"step_ml":%d%s}'
            % (
                seq, text_of(at).encode(), scenario.meter_name(meter).encode(), now, STEP_ML,
                b',"flags":["went_backwards"]' if now < last else b"",
            )
            for seq, at, meter, now, last in zip(
                seqs, t.tolist(), meters.tolist(), litres.tolist(), before.tolist(), strict=True
            )
        ]  # fmt: skip

    def _first(self, second: int, count: int) -> int:
        """Return the first ``seq`` of a gateway that is not read before ``second``."""
        return -(-second * count // self.scenario.meter_interval_s) if second > 0 else 0
