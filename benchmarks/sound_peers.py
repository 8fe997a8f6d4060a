"""The sound level meter beside its peers: CPU per hour of audio, memory, and the error of the A weighting.

Every contender measures the same signal (48 kHz mono, seeded noise) in a process of its own and on one core. Peers
are run where they are installed; none of them is needed. To have them all, with Python 3.13 or newer:

    python3.13 -m venv /tmp/peers
    /tmp/peers/bin/pip install numpy scipy msgspec structlog click soundfile psutil phonometry pyfar soundlevelmeter
    PYTHONPATH=. /tmp/peers/bin/python benchmarks/sound_peers.py

The figures are CPU seconds (user and system) for one hour of audio, scaled up from ``--seconds`` of it. What it takes
to start, to import and to compile is measured apart and left out.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

RATE = 48_000
CHUNK_S = 10
AMPLITUDE = 0.02

Work = Callable[[Any], dict[str, float]]
"""Measures one chunk of sound; returns levels of it, dB re full scale, as far as it knows them."""


# -- ours ------------------------------------------------------------------------------------------------------


def _levels(seconds: list[Any]) -> dict[str, float]:
    energy = [10 ** (one.laeq_db / 10) for one in seconds]
    return {
        "laeq": 10 * math.log10(sum(energy) / len(energy)) - 120,
        "lafmax": max(one.lafmax_db for one in seconds) - 120,
        "lafmin": min(one.lafmin_db for one in seconds) - 120,
    }


def quietwater_a() -> Work:
    """LAeq, LAFmax, LAFmin, LAF samples, overload and stuck input, each second."""
    from edge.sound.meter import SoundLevelMeter

    meter = SoundLevelMeter(RATE, a_only=True)
    return lambda chunk: _levels(meter.push(chunk))


def quietwater_levels() -> Work:
    """All levels of each second: A, C, Z, F, S, peak."""
    from edge.sound.meter import SoundLevelMeter

    meter = SoundLevelMeter(RATE)
    return lambda chunk: _levels(meter.push(chunk))


def quietwater_bands() -> Work:
    """33 third-octave bands, 12.5 Hz to 20 kHz, energies taken each minute."""
    from edge.sound.octaves import ThirdOctaves

    octaves, pushed = ThirdOctaves(RATE), [0]

    def work(chunk: Any) -> dict[str, float]:
        octaves.push(chunk)
        pushed[0] += CHUNK_S
        if pushed[0] % 60 == 0:
            octaves.take()
        return {}

    return work


def quietwater_everything() -> Work:
    """All levels, validity, LAF histogram, bands, sound events, messages: what the agent does."""
    from edge.sound.meter import SoundLevelMeter
    from edge.sound.recorder import Recorder
    from edge.sound.settings import SoundEventSettings

    meter = SoundLevelMeter(RATE)
    recorder = Recorder(lambda _reading: None, rate_hz=RATE, full_scale_db=120.0, events=SoundEventSettings())

    def work(chunk: Any) -> dict[str, float]:
        for second in range(CHUNK_S):  # as it comes from a microphone: a second at a time
            recorder.seconds(meter.push(chunk[second * RATE : (second + 1) * RATE]))
        return {}

    return work


# -- peers -----------------------------------------------------------------------------------------------------


def _phonometry(*, stateful: bool) -> Work:
    import numpy as np
    import phonometry

    weighting = phonometry.WeightingFilter(RATE, "A", stateful=stateful, high_accuracy=not stateful)
    fast = phonometry.TimeWeighting(RATE, "fast")

    def work(chunk: Any) -> dict[str, float]:
        weighted = weighting.filter(chunk)
        envelope = fast.process(weighted)
        settled = envelope[RATE:]
        return {
            "laeq": 10 * float(np.log10(np.mean(weighted**2))),
            "lafmax": 10 * float(np.log10(settled.max())),
            "lafmin": 10 * float(np.log10(settled.min())),
        }

    return work


def phonometry_batch() -> Work:
    """phonometry: A weighting in its accurate mode, which is for whole signals only, and F."""
    return _phonometry(stateful=False)


def phonometry_stream() -> Work:
    """phonometry: its streaming A weighting, and F."""
    return _phonometry(stateful=True)


def phonometry_bands() -> Work:
    """phonometry: its streaming bank of third-octave bands."""
    import phonometry

    bank = phonometry.OctaveFilterBank(RATE, fraction=3, limits=[25, 20_000], stateful=True)

    def work(chunk: Any) -> dict[str, float]:
        bank.filter(chunk)
        return {}

    return work


def pyfar_batch() -> Work:
    """pyfar: its fitted A weighting (no time weighting there is), LAeq only."""
    import numpy as np
    import pyfar

    weighting = pyfar.dsp.filter.frequency_weighting_filter(None, "A", sampling_rate=RATE)

    def work(chunk: Any) -> dict[str, float]:
        weighted = weighting.process(pyfar.Signal(chunk, RATE)).time[0]
        return {"laeq": 10 * float(np.log10(np.mean(weighted**2)))}

    return work


def pyfar_bands() -> Work:
    """pyfar: fractional octave bands of its default order."""
    import pyfar

    bank = pyfar.dsp.filter.fractional_octave_bands(
        None, num_fractions=3, sampling_rate=RATE, frequency_range=(25, 20_000)
    )

    def work(chunk: Any) -> dict[str, float]:
        bank.process(pyfar.Signal(chunk, RATE))
        return {}

    return work


def soundlevelmeter_levels() -> Work:
    """soundlevelmeter: LAeq, LAFmax, LAFmin by its streaming engine (numba)."""
    from slm import ArrayController, assemble_engine, parse_metric

    def work(chunk: Any) -> dict[str, float]:
        controller = ArrayController(chunk, samplerate=RATE)
        controller.set_sensitivity(1.0, unit="V")
        engine, _bindings = assemble_engine(
            [parse_metric(m) for m in ("LAeq", "LAFmax", "LAFmin")], controller
        )
        engine.run()
        return {}

    return work


OURS = ("quietwater_a", "quietwater_levels", "quietwater_bands", "quietwater_everything")
PEERS = (
    "phonometry_stream", "phonometry_batch", "soundlevelmeter_levels", "pyfar_batch", "phonometry_bands", "pyfar_bands",
)  # fmt: skip
AGAINST = {
    "phonometry_stream": "quietwater_a", "phonometry_batch": "quietwater_a", "soundlevelmeter_levels": "quietwater_a",
    "pyfar_batch": "quietwater_a", "phonometry_bands": "quietwater_bands", "pyfar_bands": "quietwater_bands",
}  # fmt: skip


# -- the error of the weighting --------------------------------------------------------------------------------


def weighting_of(name: str) -> Callable[[Any], Any] | None:
    """Return what a contender makes of a signal by its A weighting."""
    if name == "quietwater_a":
        from edge.sound.block_filter import BlockFilter
        from edge.sound.weighting import sections

        return BlockFilter(sections("A", RATE)).process
    if name.startswith("phonometry_") and "bands" not in name:
        import phonometry

        stateful = name.endswith("stream")
        return phonometry.WeightingFilter(RATE, "A", stateful=stateful, high_accuracy=not stateful).filter
    if name == "pyfar_batch":
        import pyfar

        made = pyfar.dsp.filter.frequency_weighting_filter(None, "A", sampling_rate=RATE)
        return lambda x: made.process(pyfar.Signal(x, RATE)).time[0]
    if name == "soundlevelmeter_levels":
        import phonometry  # the filter that its source takes

        return phonometry.WeightingFilter(RATE, "A", high_accuracy=False).filter
    return None


def weighting_error_db(name: str) -> float | None:
    """Return the largest error of the A weighting from 10 Hz to 20 kHz, of its impulse response over a second."""
    import numpy as np

    weighting = weighting_of(name)
    if weighting is None:
        return None
    impulse = np.zeros(4 * RATE)
    impulse[RATE] = 1.0
    response = np.abs(np.fft.rfft(np.asarray(weighting(impulse)).reshape(-1)[: 4 * RATE]))
    f = np.fft.rfftfreq(4 * RATE, 1 / RATE)
    inside = (f >= 10) & (f <= 20_000)
    got = 20 * np.log10(response[inside] / response[f == 1000.0])
    return float(np.abs(got - _a_db(f[inside])).max())


def _a_db(f: Any) -> Any:
    import numpy as np

    f1, f2, f3, f4 = 20.598997, 107.65265, 737.86223, 12194.217

    def power(x: Any) -> Any:
        return (
            f4**2 * x**4 / ((x**2 + f1**2) * np.sqrt((x**2 + f2**2) * (x**2 + f3**2)) * (x**2 + f4**2))
        ) ** 2

    return 10 * np.log10(power(f) / power(np.array(1000.0)))


# -- running ---------------------------------------------------------------------------------------------------


def run_one(name: str, seconds: int) -> dict[str, Any]:
    """Run a contender in this process."""
    import resource

    import numpy as np

    sound = AMPLITUDE * np.random.default_rng(1).standard_normal(CHUNK_S * RATE)
    work = globals()[name]()
    levels = work(sound)  # compiles, fills caches
    spent = []
    for _ in range(3):
        began = time.process_time()
        for _ in range(max(1, seconds // CHUNK_S)):
            levels = work(sound)
        spent.append(time.process_time() - began)
    measured = max(1, seconds // CHUNK_S) * CHUNK_S
    return {
        "name": name,
        "cpu_s_per_h": min(spent) / measured * 3600,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "weighting_error_db": weighting_error_db(name),
        "levels": levels,
    }


def main() -> None:
    """Run every contender and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--seconds", type=int, default=120, help="audio that each contender measures, three times"
    )
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.one:
        sys.stdout.write(json.dumps(run_one(arguments.one, arguments.seconds)) + "\n")
        return
    results: dict[str, dict[str, Any]] = {}
    for name in (*OURS, *PEERS):
        results[name] = _in_a_process(name, arguments.seconds)
    if arguments.json:
        sys.stdout.write(json.dumps(results, indent=1) + "\n")
        return
    print(f"{'contender':24} {'CPU s/h':>8} {'ratio':>7} {'RSS MB':>7} {'A error dB':>11}")
    for name, result in results.items():
        print(_row(name, result, results))


def _in_a_process(name: str, seconds: int) -> dict[str, Any]:
    environment = {
        **os.environ,
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "NUMBA_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, __file__, "--one", name, "--seconds", str(seconds)],
        env=environment, capture_output=True, text=True, timeout=1800, check=False,
    )  # fmt: skip
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}"
        return {"name": name, "not_run": reason}
    return json.loads(done.stdout.splitlines()[-1])


def _row(name: str, result: dict[str, Any], results: dict[str, dict[str, Any]]) -> str:
    if "not_run" in result:
        return f"{name:24} not run: {result['not_run']}"
    ours = results.get(AGAINST.get(name, ""), {}).get("cpu_s_per_h")
    ratio = f"{result['cpu_s_per_h'] / ours:6.1f}x" if ours else ""
    error = result["weighting_error_db"]
    shown = "" if error is None else f"{error:11.5f}"
    return f"{name:24} {result['cpu_s_per_h']:8.2f} {ratio:>7} {result['rss_mb']:7.0f} {shown:>11}"


if __name__ == "__main__":
    main()
