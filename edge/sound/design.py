"""Design of the digital A and C weightings: ``python -m edge.sound.design`` writes ``weighting.json`` anew.

The analogue weightings have real poles at f1 (twice), f2, f3 and f4 (twice). The low poles are taken over exactly
as exp(-2*pi*f/fs) with zeros at 1. The double pole at f4 = 12.2 kHz lies too near to half the sampling rate for
any such mapping, and the bilinear one is 15 dB wrong at 20 kHz; two free biquads stand in for it and for what the
low part lacks. Their power response is a rational function of x = cos(2*pi*f/fs), of degree 4 over degree 4, and is
fitted to the analytic curve so that the largest relative error over the band is as small as can be (minimax, by the
differential correction of Cheney and Loeb: one linear programme a round). The biquads are its minimum-phase factors.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import numpy as np
from numpy.polynomial import chebyshev

from edge.sound.curves import POLES_HZ, FloatArray, a_db, c_db

SHIPPED_RATES: Final = (16_000, 22_050, 32_000, 44_100, 48_000, 96_000)
"""Sampling rates whose coefficients are shipped as data."""
DATA: Final = Path(__file__).with_name("weighting.json")

AT_HALF_RATE_DB: Final = {("A", 48_000): -10.8}
"""Level at exactly half the sampling rate, where no weighting is defined and the fit up to 20 kHz leaves a choice: that
with which the reference recordings were described (docs/decisions/0005)."""

_LOWEST_HZ: Final = 5.0
_GRID: Final = 600
_DEGREE: Final = 4
_ROUNDS: Final = 20
_LEAST_DENOMINATOR: Final = 0.001
"""Keeps the poles well inside the unit circle."""
_PIN_TOLERANCE: Final = 100.0
"""How many times larger than in the band the error at half the rate may be."""


def highest_hz(rate_hz: int) -> float:
    """Return the upper end of the band in which the fit holds, Hz: 0.45 fs, and 20 kHz at 48 kHz."""
    return 20_000.0 if rate_hz == 48_000 else 0.45 * rate_hz


def design_weighting(letter: str, rate_hz: int) -> FloatArray:
    """Return second-order sections (n, 6) of weighting ``A`` or ``C`` at a sampling rate.

    0 dB at 1 kHz. Raises ``ValueError`` for another letter or a rate below 8 kHz.
    """
    if rate_hz < 8000:
        raise ValueError(f"sampling rate {rate_hz} Hz is too low for a weighting; at least 8000 Hz")
    low = _low_sections(letter, rate_hz)
    f = _grid_hz(rate_hz)
    curve = a_db(f) if letter == "A" else c_db(f)
    target = 10 ** (curve / 10) / _power(low, f, rate_hz)
    tolerance = np.ones(len(f))
    if (letter, rate_hz) in AT_HALF_RATE_DB:
        top = np.array([rate_hz / 2])
        pinned = 10 ** (AT_HALF_RATE_DB[letter, rate_hz] / 10) / _power(low, top, rate_hz)
        f, target = np.append(f, top), np.append(target, pinned)
        tolerance = np.append(tolerance, _PIN_TOLERANCE)
    numerator, denominator = _fit_ratio(np.cos(2 * np.pi * f / rate_hz), target, tolerance)
    zeros, poles = _roots(numerator), _roots(denominator)
    if max(np.abs(zeros).max(), np.abs(poles).max()) > 0.999:
        raise RuntimeError(f"the fit of weighting {letter} at {rate_hz} Hz has no minimum-phase factor")
    sections = np.vstack([low, _biquads(zeros, poles)])
    gain = 1.0 / np.sqrt(_power(sections, np.array([1000.0]), rate_hz)[0])
    sections[0, :3] *= gain
    return sections


def design_decimator() -> FloatArray:
    """Return sections (4, 6) of the low-pass before a halving of the rate.

    0.002 dB of ripple up to 0.2 of the rate, where the upper edge of the highest band behind it lies; 80 dB from 0.3
    on, which is what folds back to below that edge.
    """
    from scipy import signal

    return np.asarray(signal.ellip(8, 0.002, 80, 2 * 0.2, output="sos"), dtype=np.float64)


def response_db(sections: FloatArray, f_hz: FloatArray, rate_hz: float) -> FloatArray:
    """Return the response of second-order sections, dB."""
    return 10 * np.log10(_power(sections, f_hz, rate_hz))


def _low_sections(letter: str, rate_hz: int) -> FloatArray:
    if letter not in ("A", "C"):
        raise ValueError(f"no weighting {letter!r}; known: A, C")
    f1, f2, f3, _ = POLES_HZ
    pairs = [(f1, f1), (f2, f3)] if letter == "A" else [(f1, f1)]
    rows = []
    for one, other in pairs:
        p, q = np.exp(-2 * np.pi * np.array([one, other]) / rate_hz)
        rows.append([1.0, -2.0, 1.0, 1.0, -(p + q), p * q])
    return np.array(rows)


def _grid_hz(rate_hz: int) -> FloatArray:
    top = highest_hz(rate_hz)
    theta = (
        1 - np.cos(np.linspace(0, np.pi, _GRID))
    ) / 2  # dense at both ends, where the error has its extremes
    linear = _LOWEST_HZ + theta * (top - _LOWEST_HZ)
    return np.unique(np.concatenate([linear, np.geomspace(_LOWEST_HZ, top, _GRID // 2)]))


def _power(sections: FloatArray, f_hz: FloatArray, rate_hz: float) -> FloatArray:
    z = np.exp(-2j * np.pi * f_hz / rate_hz)
    power = np.ones(len(f_hz))
    for b0, b1, b2, a0, a1, a2 in sections:
        power *= np.abs((b0 + b1 * z + b2 * z**2) / (a0 + a1 * z + a2 * z**2)) ** 2
    return power


def _fit_ratio(x: FloatArray, target: FloatArray, tolerance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return Chebyshev coefficients of N and D with N(x)/D(x) ~ target, minimax in (relative error / tolerance)."""
    basis: FloatArray = np.asarray(chebyshev.chebvander(x, _DEGREE), dtype=np.float64)
    scaled = basis / target[:, None]
    numerator, denominator = np.zeros(_DEGREE + 1), np.eye(_DEGREE + 1)[0]
    numerator[0] = np.exp(np.log(target).mean())
    error = np.max(np.abs(scaled @ numerator - 1) / tolerance)
    for _ in range(_ROUNDS):
        n, d = _corrected(basis, scaled, tolerance, error, basis @ denominator)
        smaller = np.max(np.abs(scaled @ n / (basis @ d) - 1) / tolerance)
        if smaller >= error:
            break
        numerator, denominator, error = n, d, smaller
    return numerator, denominator


def _corrected(
    basis: FloatArray, scaled: FloatArray, tolerance: FloatArray, error: float, denominator: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the N and D whose error is as far below the last one as a linear programme can bring it.

    Unknowns are the coefficients of N and D and a margin m, made as small as can be, such that at every point
    |N/target - D| <= tolerance * (error * D + m * last D), and D is not smaller than its floor.
    """
    from scipy.optimize import linprog

    margin = (tolerance * denominator)[:, None]
    above = np.hstack([scaled, -basis * (1 + tolerance * error)[:, None], -margin])
    below = np.hstack([-scaled, basis * (1 - tolerance * error)[:, None], -margin])
    floor = np.hstack([np.zeros_like(basis), -basis, np.zeros_like(margin)])
    limits = np.concatenate([np.zeros(2 * len(basis)), np.full(len(basis), -_LEAST_DENOMINATOR)])
    size = basis.shape[1]
    found = linprog(
        np.append(np.zeros(2 * size), 1.0), np.vstack([above, below, floor]), limits,
        bounds=[(None, None)] * size + [(-1, 1)] * size + [(None, None)],
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )  # fmt: skip
    if not found.success:
        raise RuntimeError(f"the fit of a weighting failed: {found.message}")
    return found.x[:size], found.x[size : 2 * size]


def _roots(coefficients: FloatArray) -> FloatArray:
    """Return the minimum-phase z roots of a power polynomial in cos(theta)."""
    w = chebyshev.chebroots(coefficients).astype(complex)
    z = w + np.sqrt(w * w - 1)
    return np.where(np.abs(z) > 1, 1 / z, z)


def _biquads(zeros: FloatArray, poles: FloatArray) -> FloatArray:
    def quadratics(roots: FloatArray) -> list[FloatArray]:
        ordered = sorted(roots, key=lambda r: (round(r.real, 9), r.imag))
        if any(abs(r.imag) > 1e-9 for r in ordered):
            upper = sorted((r for r in ordered if r.imag > 1e-9), key=abs)
            real = sorted((r for r in ordered if abs(r.imag) <= 1e-9), key=lambda r: r.real)
            pairs = [(r, r.conjugate()) for r in upper] + list(zip(real[::2], real[1::2], strict=True))
        else:
            pairs = [(ordered[0], ordered[3]), (ordered[1], ordered[2])]
        return [np.asarray(np.real(np.poly(pair)), dtype=np.float64) for pair in pairs]

    return np.array([np.concatenate(pair) for pair in zip(quadratics(zeros), quadratics(poles), strict=True)])


def main() -> None:
    """Design every shipped rate and write the data file."""
    table = {
        str(rate): {letter: design_weighting(letter, rate).tolist() for letter in ("A", "C")}
        for rate in SHIPPED_RATES
    }
    data = {
        "made_by": "python -m edge.sound.design",
        "decimator": design_decimator().tolist(),
        "sections": table,
    }
    DATA.write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main()
