"""The truth about a simulated fleet as labelled lines: what was put into it, where, from when to when, how large. Pure.

Files: ``scenario.json`` says what was simulated, so that every reading can be computed again; ``truth.jsonl`` has one
line for each thing that touches the time of the run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.simulate.disturbances import SORTS, local_day, plan
from app.simulate.interruptions import outages
from app.simulate.meters import MeterFault
from app.simulate.readings import NoiseReadings, WaterReadings
from app.simulate.scenario import Scenario, text_of
from app.whole_file import whole_file


def labels(noise: NoiseReadings, water: WaterReadings, span: tuple[int, int]) -> Iterator[dict[str, Any]]:
    """Yield each label that touches the run, ``span`` in seconds since 1970. ``from`` and ``to`` may lie outside it.

    A leak that has ended is told too: its water is in the register.
    """
    scenario, (begin_s, end_s) = noise.scenario, span
    yield from _disturbances(scenario, begin_s, end_s)
    for outage in outages(scenario, begin_s, end_s):
        yield _noise_label(scenario, "outage", outage.device, outage.begin_s, outage.end_s)
    for fault in noise.faults.values():
        if fault.begin_s < end_s and fault.end_s > begin_s:
            size = {"size": fault.offset_s, "unit": "s"}
            yield _noise_label(scenario, fault.kind, fault.device, fault.begin_s, fault.end_s) | size
    for one in water.registers.faults.values():
        if one.begin_s < end_s:
            yield _meter_label(scenario, one)


def write(folder: Path, noise: NoiseReadings, water: WaterReadings, span: tuple[int, int]) -> int:
    """Write both files into ``folder``, each whole or not at all; return how many labels there are.

    Raises ``OSError``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    with whole_file(folder / "truth.jsonl") as file:
        for label in labels(noise, water, span):
            file.write(json.dumps(label).encode() + b"\n")
            count += 1
    with whole_file(folder / "scenario.json") as file:
        file.write(
            json.dumps({**asdict(noise.scenario), "begin_s": span[0], "end_s": span[1]}, indent=1).encode()
            + b"\n"
        )
    return count


def _disturbances(scenario: Scenario, begin_s: int, end_s: int) -> Iterator[dict[str, Any]]:
    for day in range(local_day(begin_s) - 1, local_day(end_s) + 1):
        one = plan(scenario, day)
        columns = (one.sort, one.device, one.begin_s, one.end_s, one.level_db)
        for sort, device, begin, end, level in zip(*(column.tolist() for column in columns), strict=True):
            if begin < end_s and end > begin_s:
                label = _noise_label(scenario, SORTS[sort].kind, device, begin, end)
                yield label | {"size": round(level, 1), "unit": "dB"}


def _noise_label(scenario: Scenario, kind: str, device: int, begin_s: int, end_s: int) -> dict[str, Any]:
    return {
        "kind": kind, "site": scenario.site_name(scenario.device_site(device)), "device": scenario.device_name(device),
        "from": text_of(begin_s), "to": text_of(end_s),
    }  # fmt: skip


def _meter_label(scenario: Scenario, fault: MeterFault) -> dict[str, Any]:
    label = {
        "kind": fault.kind, "site": scenario.site_name(scenario.meter_site(fault.meter)),
        "device": scenario.gateway_name(), "meter": scenario.meter_name(fault.meter),
        "from": text_of(fault.begin_s), "to": text_of(fault.end_s),
    }  # fmt: skip
    return label | ({"size": fault.flow_lph, "unit": "L/h"} if fault.flow_lph else {})
