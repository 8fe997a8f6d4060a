"""Correction of a microphone's frequency response: a filter for the levels, offsets for the bands.

The response file is CSV with a header: ``frequency_hz,response_db`` in rising frequency, the free-field response of
the microphone relative to that at 1 kHz. Lines that begin with # are comments.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from edge.sound.curves import FloatArray, nominal_exact_hz
from edge.sound.design import response_db
from edge.sound.octaves import HIGHEST_BAND, LOWEST_BAND

_MOST_SECTIONS: Final = 10
_GOOD_DB: Final = 0.05
_MOST_DB: Final = 30.0
_GRID: Final = 160
_STEPS: Final = 25


class ResponseError(ValueError):
    """A response file cannot be used; the text names file, line and cause."""


@dataclass(frozen=True, slots=True)
class Correction:
    """What makes up for a microphone's response at one rate."""

    sections: FloatArray
    """Second-order sections (n, 6), 0 dB at 1 kHz."""
    worst_db: float
    """Largest deviation of the filter from what is wanted, over the file's frequencies."""
    offsets_db: FloatArray
    """What is added to each band from :data:`LOWEST_BAND` on."""


def read_response(path: Path) -> tuple[FloatArray, FloatArray]:
    """Return frequencies (Hz) and response (dB re 1 kHz) of a file. Raises :class:`ResponseError`."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [line for line in file if line.strip() and not line.startswith("#")]
    except (OSError, UnicodeDecodeError) as error:
        raise ResponseError(f"response file {path} cannot be read: {error}") from error
    rows = list(csv.reader(lines))
    if not rows or [name.strip() for name in rows[0][:2]] != ["frequency_hz", "response_db"]:
        raise ResponseError(f"{path}: the first line must be frequency_hz,response_db")
    points = [_point(path, number, row) for number, row in enumerate(rows[1:], start=2)]
    frequencies, response = np.array([p[0] for p in points]), np.array([p[1] for p in points])
    if len(points) < 3 or np.any(np.diff(frequencies) <= 0):
        raise ResponseError(f"{path}: at least three lines in rising frequency are wanted")
    if not frequencies[0] <= 1000.0 <= frequencies[-1]:
        raise ResponseError(f"{path}: the frequencies must enclose 1000 Hz, to which the response refers")
    return frequencies, response - float(np.interp(3.0, np.log10(frequencies), response))


def _point(path: Path, number: int, row: list[str]) -> tuple[float, float]:
    try:
        frequency, response = float(row[0]), float(row[1])
    except (IndexError, ValueError) as error:
        raise ResponseError(
            f"{path}, line {number}: two numbers are wanted, got {','.join(row)!r}"
        ) from error
    if not (0 < frequency < 1e6 and abs(response) <= _MOST_DB):
        raise ResponseError(f"{path}, line {number}: {frequency} Hz, {response} dB is not plausible")
    return frequency, response


def design_correction(frequencies: FloatArray, response: FloatArray, rate_hz: int) -> Correction:
    """Fit the inverse of a response by peaking filters, one more at a time where the misfit is largest."""
    low, high = max(frequencies[0], 10.0), min(frequencies[-1], 0.45 * rate_hz)
    grid = np.geomspace(low, high, _GRID)
    wanted = -np.interp(np.log10(grid), np.log10(frequencies), response)
    parameters = np.empty((0, 3))
    best = (float(np.abs(wanted).max()), parameters)
    while best[0] > _GOOD_DB and len(parameters) < _MOST_SECTIONS:
        misfit = wanted - _sum_db(parameters, grid, rate_hz)
        worst = int(np.argmax(np.abs(misfit)))
        another = np.array([[np.log(grid[worst]), 0.0, misfit[worst]]])
        parameters = np.concatenate([parameters, another])
        parameters = _refined(parameters, grid, wanted, rate_hz)
        reached = float(np.abs(wanted - _sum_db(parameters, grid, rate_hz)).max())
        if reached < best[0]:
            best = (reached, parameters)
    sections = _sections(best[1], rate_hz)
    if len(sections):
        at_1k = response_db(sections, np.array([1000.0]), rate_hz)[0]
        sections[0, :3] *= 10 ** (-at_1k / 20)
    mids = np.array([nominal_exact_hz(n) for n in range(LOWEST_BAND, HIGHEST_BAND + 1)])
    offsets = -np.interp(np.log10(mids), np.log10(frequencies), response)
    return Correction(sections, best[0], offsets)


def _sections(parameters: FloatArray, rate_hz: int) -> FloatArray:
    """Return peaking filters for (log of mid frequency, log of quality, gain in dB) each."""
    rows = []
    for log_f, log_q, gain_db in parameters:
        angle = 2 * np.pi * np.exp(log_f) / rate_hz
        alpha, a = np.sin(angle) / (2 * np.exp(log_q)), 10 ** (gain_db / 40)
        b = np.array([1 + alpha * a, -2 * np.cos(angle), 1 - alpha * a])
        d = np.array([1 + alpha / a, -2 * np.cos(angle), 1 - alpha / a])
        rows.append(np.concatenate([b, d]) / d[0])
    return np.array(rows).reshape(-1, 6)


def _sum_db(parameters: FloatArray, grid: FloatArray, rate_hz: int) -> FloatArray:
    return response_db(_sections(parameters, rate_hz), grid, rate_hz)


def _refined(parameters: FloatArray, grid: FloatArray, wanted: FloatArray, rate_hz: int) -> FloatArray:
    """Improve all parameters together (Levenberg and Marquardt) within bounds that keep the filters tame."""
    low = np.array([np.log(5.0), np.log(0.2), -_MOST_DB])
    high = np.array([np.log(0.48 * rate_hz), np.log(10.0), _MOST_DB])
    damping, misfit = 1e-2, wanted - _sum_db(parameters, grid, rate_hz)
    for _ in range(_STEPS):
        flat = parameters.reshape(-1)
        jacobian = np.empty((len(grid), len(flat)))
        for i in range(len(flat)):
            moved = flat.copy()
            moved[i] += 1e-4
            jacobian[:, i] = (_sum_db(moved.reshape(-1, 3), grid, rate_hz) - (wanted - misfit)) / 1e-4
        normal = jacobian.T @ jacobian
        step = np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-9), jacobian.T @ misfit)
        moved = np.clip(flat.reshape(-1, 3) + step.reshape(-1, 3), low, high)
        new = wanted - _sum_db(moved, grid, rate_hz)
        if new @ new < misfit @ misfit:
            parameters, misfit, damping = moved, new, damping / 3
        else:
            damping *= 4
    return parameters
