"""Make labelled leak benchmarks from real, unlabelled water use.

The use is real (DAIAD household registers, BWDF district inflows); the leaks, outages and drift put into it are
simulated here, with ranges wider than any one published set, so that a detector is judged on more than it was
built with. Everything follows from the seed.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.datetime64]

HOUR: Final = np.timedelta64(3600, "s")
HOUSEHOLD_KINDS: Final = ("drip", "toilet", "toilet_intermittent", "burst", "backflow", "stuck")


@dataclass(frozen=True, slots=True)
class Label:
    """One injected event; ``rate`` in the unit of the file (L/h or L/s)."""

    unit: str
    kind: str
    start: np.datetime64
    end: np.datetime64
    rate: float


@dataclass(frozen=True, slots=True)
class Ranges:
    """From which rates (L/h) and lengths (h) household events are drawn, by kind."""

    rate_lph: dict[str, tuple[float, float]]
    length_h: dict[str, tuple[float, float]]
    on_h: tuple[float, float] = (3.0, 10.0)
    off_h: tuple[float, float] = (2.0, 6.0)
    jitter: float = 0.0
    """Standard deviation of an hour's leak about its rate, as a share of it."""


WIDER: Final = Ranges(
    rate_lph={
        "drip": (1.0, 8.0), "toilet": (6.0, 100.0), "toilet_intermittent": (15.0, 120.0), "burst": (250.0, 2500.0),
        "backflow": (2.0, 40.0), "stuck": (0.0, 0.0),
    },
    length_h={
        "drip": (150.0, 1200.0), "toilet": (48.0, 500.0), "toilet_intermittent": (72.0, 500.0), "burst": (2.0, 30.0),
        "backflow": (4.0, 80.0), "stuck": (200.0, 900.0),
    },
    on_h=(1.5, 10.0), off_h=(1.5, 8.0), jitter=0.06,
)  # fmt: skip


def read_registers(path: Path) -> dict[str, tuple[Times, Floats]]:
    """Return each meter's times and register (litres) of a file ``meter,t,reading_l``, sorted, without repeats."""
    rows: dict[str, list[tuple[str, float]]] = {}
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows.setdefault(row["meter"], []).append((row["t"].replace(" ", "T"), float(row["reading_l"])))
    out: dict[str, tuple[Times, Floats]] = {}
    for meter, readings in rows.items():
        times = np.array([t for t, _ in readings], dtype="datetime64[s]")
        values = np.array([v for _, v in readings])
        times, first = np.unique(times, return_index=True)
        out[meter] = (times, values[first])
    return out


def _hours(times: Times, origin: np.datetime64) -> Floats:
    return (times - origin) / HOUR


def _leak_hourly(kind: str, rate: float, hours: int, ranges: Ranges, rng: np.random.Generator) -> Floats:
    """Return an event's flow in each of its hours, in sixtieths: an array of 60 minutes an hour, L/h."""
    minutes = np.full(hours * 60, rate)
    if kind == "toilet_intermittent":
        at, on = 0, True
        while at < len(minutes):
            length = int(60 * rng.uniform(*(ranges.on_h if on else ranges.off_h)))
            if not on:
                minutes[at : at + length] = 0.0
            at, on = at + length, not on
    if ranges.jitter:
        minutes *= np.repeat(np.clip(rng.normal(1.0, ranges.jitter, hours), 0.3, 2.0), 60)
    return minutes


def _apply(times: Times, register: Floats, label: Label, ranges: Ranges, rng: np.random.Generator) -> Floats:
    """Return the register with one event in it; later readings are shifted by what the event added or withheld."""
    if label.kind == "stuck":
        held = register[np.searchsorted(times, label.start, side="right") - 1]
        inside = (times >= label.start) & (times <= label.end)
        lost = register[np.searchsorted(times, label.end, side="right") - 1] - held
        return np.where(inside, held, np.where(times > label.end, register - lost, register))
    hours = int(np.ceil((label.end - label.start) / HOUR))
    flow = _leak_hourly(label.kind, label.rate, hours, ranges, rng)
    run = np.concatenate([[0.0], np.cumsum(flow / 60.0)])
    minutes = np.clip(_hours(times, label.start), 0.0, (label.end - label.start) / HOUR) * 60.0
    return register + np.interp(minutes, np.arange(len(run)), run)


def household(
    registers: dict[str, tuple[Times, Floats]], ranges: Ranges, *, seed: int, events: tuple[int, int] = (2, 4)
) -> tuple[dict[str, tuple[Times, Floats]], list[Label]]:
    """Put two to four events of different kinds into each meter, 15 days or more apart, anywhere in its series."""
    rng = np.random.default_rng(seed)
    out: dict[str, tuple[Times, Floats]] = {}
    labels: list[Label] = []
    for meter, (times, original) in registers.items():
        register = original
        kinds = rng.permutation(HOUSEHOLD_KINDS)[: rng.integers(events[0], events[1] + 1)]
        at = times[0] + np.timedelta64(int(86400 * rng.uniform(28, 120)), "s")
        for kind in kinds:
            rate = float(rng.uniform(*ranges.rate_lph[kind]))
            if kind == "burst":
                rate = float(np.exp(rng.uniform(*np.log(ranges.rate_lph[kind]))))
            end = at + np.timedelta64(int(3600 * rng.uniform(*ranges.length_h[kind])), "s")
            if end > times[-1] - np.timedelta64(5, "D"):
                break
            label = Label(meter, str(kind), at, end, -rate if kind == "backflow" else rate)
            register = _apply(times, register, label, ranges, rng)
            labels.append(label)
            at = end + np.timedelta64(int(86400 * rng.uniform(15, 45)), "s")
        out[meter] = (times, np.floor(register + 1e-6))
    return out, labels


@dataclass(frozen=True, slots=True)
class Quarter:
    """One quarter: hour marks, the master's register and one register a sub-meter (columns), litres."""

    times: Times
    master_l: Floats
    names: list[str]
    subs_l: Floats
    labels: list[Label]


def _outages(
    registers: Floats, share: float, length_h: tuple[float, float], rng: np.random.Generator
) -> Floats:
    """Let radios fall out: the last reading is repeated until the radio is back."""
    out = registers.copy()
    hours, meters = registers.shape
    for meter in range(meters):
        for _ in range(rng.poisson(share * hours / np.mean(length_h))):
            start = int(rng.integers(1, hours - 1))
            end = min(hours, start + int(rng.uniform(*length_h)))
            out[start:end, meter] = out[start - 1, meter]
    return np.maximum.accumulate(out, axis=0)


def quarter(
    registers: dict[str, tuple[Times, Floats]], names: Sequence[str], *, unit: str, start: np.datetime64, days: int,
    seed: int, leak_lph: tuple[float, float] = (6.0, 90.0), outage_share: float = 0.035, jitter: float = 0.0,
) -> Quarter:  # fmt: skip
    """Build a quarter of the named meters, with leaks between master and sub-meters, outages and a drifting master.

    ``jitter`` is the standard deviation, in hours, of when a sub-meter is read about the full hour.
    """
    rng = np.random.default_rng(seed)
    times = start + np.arange(days * 24 + 1) * HOUR
    columns: list[Floats] = []
    read: list[Floats] = []
    for name in names:
        t, register = registers[name]
        steps = np.clip(np.diff(register), 0.0, 5000.0)
        clean = np.concatenate([[register[0]], register[0] + np.cumsum(steps)])
        hours = _hours(t, start)
        marks = np.arange(len(times), dtype=float)
        columns.append(np.interp(marks, hours, clean))
        read.append(np.interp(marks - np.abs(rng.normal(0.0, jitter, len(marks))), hours, clean))
    true = np.column_stack(columns)
    subs = np.floor(np.maximum.accumulate(np.column_stack(read), axis=0))
    labels, leak = _quarter_leaks(times, unit, leak_lph, rng)
    phase, period, swing = rng.uniform(0, 2 * np.pi), rng.uniform(250, 500) * 24, rng.uniform(0.004, 0.015)
    drift = rng.uniform(-0.02, 0.02) + swing * np.sin(phase + 2 * np.pi * np.arange(len(times)) / period)
    use = np.diff(true.sum(axis=1), prepend=true.sum(axis=1)[0])
    flow = use * (1 + drift) + 0.3 * len(names) + leak
    master = np.floor(np.cumsum(flow) / 10.0) * 10.0
    return Quarter(times, master, list(names), _outages(subs, outage_share, (4, 120), rng), labels)


def _quarter_leaks(
    times: Times, unit: str, leak_lph: tuple[float, float], rng: np.random.Generator
) -> tuple[list[Label], Floats]:
    leak = np.zeros(len(times))
    labels: list[Label] = []
    at = int(24 * rng.uniform(25, 40))
    while True:
        rate = float(np.exp(rng.uniform(*np.log(leak_lph))))
        end = at + int(24 * rng.uniform(8, 36))
        if end > len(times) - 72:
            return labels, leak
        kind = "abrupt" if rng.random() < 0.5 else "incipient"
        leak[at:end] += rate * _ramp(kind, end - at, rng)
        labels.append(Label(unit, kind, times[at], times[end], rate))
        at = end + int(24 * rng.uniform(15, 32))


def _ramp(kind: str, hours: int, rng: np.random.Generator) -> Floats:
    """Return an event's course, 0 to 1: all at once, or growing over a third to two thirds of its time."""
    if kind == "abrupt":
        return np.ones(hours)
    grow = int(hours * rng.uniform(0.33, 0.67))
    return np.minimum(1.0, np.arange(1, hours + 1) / max(1, grow))


@dataclass(frozen=True, slots=True)
class Inflow:
    """District inflow in L/s, one column an area; ``times`` is UTC, ``stamps`` the text of the file."""

    stamps: list[str]
    times: Times
    areas: dict[str, Floats]


def read_inflow(path: Path) -> Inflow:
    """Read a file ``t,dma1,dma2,…`` (ISO times with offset, L/s, gaps empty)."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    stamps = [row["t"] for row in rows]
    utc = [datetime.fromisoformat(stamp) for stamp in stamps]
    times = np.array([np.datetime64(int(t.timestamp()), "s") for t in utc])
    names = [name for name in rows[0] if name != "t"]
    return Inflow(stamps, times, {n: np.array([float(r[n] or "nan") for r in rows]) for n in names})


def district(
    inflow: Inflow, *, seed: int, share: tuple[float, float] = (0.03, 0.20)
) -> tuple[Inflow, list[Label]]:
    """Put a leak of 3 to 20 % of its mean inflow into each area about every three months."""
    rng = np.random.default_rng(seed)
    labels: list[Label] = []
    areas: dict[str, Floats] = {}
    for name, original in inflow.areas.items():
        flow = original.copy()
        mean = float(np.nanmean(flow))
        at = int(24 * rng.uniform(22, 60))
        while True:
            end = at + int(24 * rng.uniform(5, 60))
            if end > len(flow) - 72:
                break
            rate = mean * float(rng.uniform(*share))
            kind = "abrupt" if rng.random() < 0.5 else "incipient"
            flow[at:end] += rate * _ramp(kind, end - at, rng)
            labels.append(Label(name, kind, inflow.times[at], inflow.times[end], rate))
            at = end + int(24 * rng.uniform(25, 60))
        areas[name] = flow
    return Inflow(inflow.stamps, inflow.times, areas), labels


def to_datetime(t: np.datetime64) -> datetime:
    """Return a naive datetime of whole seconds."""
    return datetime(1970, 1, 1) + timedelta(seconds=int(t.astype("datetime64[s]").astype(int)))  # noqa: DTZ001


def write_inflow(path: Path, inflow: Inflow) -> None:
    """Write a file as ``read_inflow`` reads it, plain text."""
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(["t", *inflow.areas])
        for index, stamp in enumerate(inflow.stamps):
            values = [flow[index] for flow in inflow.areas.values()]
            out.writerow([stamp, *("" if np.isnan(value) else f"{value:.4f}" for value in values)])


def write_quarter(path: Path, quarter: Quarter) -> None:
    """Write ``t,master_l`` and one column a sub-meter, whole litres."""
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(["t", "master_l", *quarter.names])
        for t, master, subs in zip(quarter.times, quarter.master_l, quarter.subs_l, strict=True):
            out.writerow(
                [to_datetime(t).isoformat(sep=" "), f"{master:.0f}", *(f"{value:.0f}" for value in subs)]
            )
