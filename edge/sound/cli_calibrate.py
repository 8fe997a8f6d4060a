"""``quietwater edge calibrate``."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
import msgspec

from edge.sound.settings import NoiseSettings, SampleFormat

if TYPE_CHECKING:
    from edge.sound.calibrating import Heard, Progress
    from edge.sound.calibration import Calibration
    from edge.sound.sources.base import Source

_NOMINAL_DB = 120.0


@click.command()
@click.argument("file", required=False)
@click.option("--config", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="The agent's configuration: its microphone, and its data folder for the result.")  # fmt: skip
@click.option("--device", help="A sound device: its name, serial or number.")
@click.option("--level", "level_db", type=click.FloatRange(60, 140),
              help="Level of the calibrator, dB. Unless given, 94 or 114 dB is recognised.")  # fmt: skip
@click.option("--calibrator", help="Make and serial number of the calibrator, for the record.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path),
              help="Calibration file to write. [default: calibration.json in the data folder, or here]")  # fmt: skip
@click.option("--full-scale-db", type=click.FloatRange(-50, 250),
              help="Nominal sensitivity, if there has been no calibration: the level of an RMS of 1.")  # fmt: skip
@click.option("--response", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Free-field response of the microphone that is corrected when it measures.")  # fmt: skip
@click.option(
    "--first", "first_s", type=click.IntRange(1), help="Use only so many seconds from the file's start."
)
@click.option("--timeout", "timeout_s", type=click.IntRange(5, 3600), default=120, show_default=True,
              help="How long to wait for a stable calibrator, seconds.")  # fmt: skip
@click.option("--force", is_flag=True, help="Take a drift above 1.5 dB all the same.")
@click.option("--channel", type=click.IntRange(1, 64), default=1, show_default=True, help="Channel, from 1.")
@click.option(
    "--channels", type=click.IntRange(1, 64), default=None, help="Channels of a device or of raw PCM."
)
@click.option(
    "--deinterleave", is_flag=True, help="The file is a stereo stream stored as mono: take the first."
)
@click.option("--rate", "rate_hz", type=click.IntRange(8000, 192_000), default=48_000, show_default=True,
              help="Sampling rate of a device or of raw PCM.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(get_args(SampleFormat)), default=None,
              help="Samples of a device or of raw PCM.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the calibration as JSON.")
def calibrate(
    file: str | None, config: Path | None, level_db: float | None, calibrator: str | None, output: Path | None,
    full_scale_db: float | None, response: Path | None, first_s: int | None, timeout_s: int, force: bool,
    as_json: bool, **source_options: Any,
) -> None:  # fmt: skip
    """Find the sensitivity with a sound calibrator of 94 or 114 dB at 1 kHz.

    Fit the calibrator to the microphone, switch it on, and run this. It waits until the level has been stable within
    0.1 dB for 5 s (IEC 60942). Noise, another frequency, another level and a drift above 1.5 dB since the last
    calibration are refused. Stop the agent first: a sound device has one listener. FILE is a recording of the
    calibrator, or - for raw PCM.

    \b
    Examples:
      quietwater edge calibrate --config /etc/quietwater/edge.toml --calibrator "Cirrus CR:515 98765"
      quietwater edge calibrate --device USB --level 94
      quietwater edge calibrate calibrator-94dB.flac --level 94 --output calibration.json
    """
    from edge.sound.calibrating import Refused
    from edge.sound.calibration import CalibrationError
    from edge.sound.sources.base import SourceError

    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        settings, output = _configured(config, output, full_scale_db, response)
        source = _source(settings if config else None, file, first_s, source_options)
        done = _calibration(settings, source, output, file, level_db, timeout_s, force, stop)
        done = msgspec.structs.replace(
            done, calibrator=calibrator, deinterleave=source_options["deinterleave"]
        )
        _save(output, done)
    except (Refused, SourceError, CalibrationError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    _tell(done, output, as_json)


def _configured(
    config: Path | None, output: Path | None, full_scale_db: float | None, response: Path | None
) -> tuple[NoiseSettings, Path]:
    """Return what to measure with, and where the result goes."""
    settings, folder = NoiseSettings(), Path()
    if config is not None:
        from edge.config import load

        loaded = load(config)
        if loaded.noise is None:
            raise click.ClickException(f"{config} has no [noise] table")
        settings, folder = loaded.noise, Path(loaded.data)
    from edge.sound.calibration import FILE_NAME

    target = output or Path(settings.calibration or folder / FILE_NAME)
    changes: dict[str, Any] = {"calibration": None}
    if full_scale_db is not None:
        changes["full_scale_db"] = full_scale_db
    if response is not None:
        changes["response"] = str(response)
    return msgspec.structs.replace(settings, **changes), target


def _source(
    settings: NoiseSettings | None, file: str | None, first_s: int | None, options: dict[str, Any]
) -> Source:
    from edge.sound.cli_measure import open_source
    from edge.sound.settings import PortAudioSource, StdinSource

    if settings is None or file is not None or options["device"] is not None:
        return open_source(file, first_s=first_s, **options)
    if isinstance(settings.source, StdinSource):
        from edge.sound.sources.stdin import PcmSource

        return PcmSource(settings.source)
    if not isinstance(settings.source, PortAudioSource):
        raise click.UsageError("the configuration's source is not a microphone; give a FILE or a --device")
    from edge.sound.sources.portaudio import PortAudioInput

    return PortAudioInput(settings.source)


def _calibration(
    settings: NoiseSettings, source: Source, output: Path, file: str | None, level_db: float | None,
    timeout_s: int, force: bool, stop: threading.Event,
) -> Calibration:  # fmt: skip
    from contract.clock import SystemClock
    from edge.sound.calibrating import STABLE_S, decide, follow, not_found
    from edge.sound.calibration import load_calibration

    previous = load_calibration(output) if output.exists() else None
    full_scale_db = settings.full_scale_db if previous is None else previous.full_scale_db
    needed_s = _needed_s(source, STABLE_S)
    last: Progress | None = None
    ran_out = threading.Event()
    timer = threading.Timer(timeout_s, lambda: (ran_out.set(), stop.set()))
    timer.daemon = True
    timer.start()
    for last in follow(_heard(settings, source, full_scale_db, stop), needed_s=needed_s):
        _show(last, needed_s)
        if last.steady is not None:
            break
    timer.cancel()
    if stop.is_set() and not ran_out.is_set():
        raise click.Abort
    if last is None or last.steady is None:
        raise not_found(last, needed_s)
    decided = decide(
        last.steady, full_scale_db=full_scale_db, level_db=level_db, previous=previous, force=force,
        nominal_known=settings.full_scale_db != _NOMINAL_DB, now=SystemClock().now(),
    )  # fmt: skip
    return msgspec.structs.replace(decided, rate_hz=source.rate_hz, source=file or "microphone")


def _needed_s(source: Source, wanted_s: int) -> int:
    """Return the seconds that must be stable: of a recording that is shorter than that, what there is."""
    from edge.sound.cli_measure import warn
    from edge.sound.sources.sound_file import SoundFileSource

    if not isinstance(source, SoundFileSource):
        return wanted_s
    there_are = source.frames // source.rate_hz
    if there_are < 1:
        raise click.ClickException("the recording is shorter than a second")
    if there_are < wanted_s:
        warn(
            f"the recording has {there_are} s only; IEC 60942 asks for a level that is stable over {wanted_s} s"
        )
    return min(wanted_s, there_are)


def _heard(
    settings: NoiseSettings, source: Source, full_scale_db: float, stop: threading.Event
) -> Iterator[Heard]:
    from edge.sound.calibrating import hear
    from edge.sound.cli_measure import warn
    from edge.sound.instrument import Instrument
    from edge.sound.measure import measure

    settings = msgspec.structs.replace(settings, full_scale_db=full_scale_db)
    correction = Instrument(settings, Path()).correction(source.rate_hz)
    seconds = measure(
        source, full_scale_db=full_scale_db, stop=stop, on_warning=warn,
        correction=None if correction is None else correction.sections,
    )  # fmt: skip
    for second in seconds:
        yield hear(second, source.rate_hz)


def _show(progress: Progress, needed_s: int) -> None:
    heard = progress.heard
    state = (
        f"stable for {progress.stable_s} of {needed_s} s"
        if progress.stable_s
        else "waiting for the calibrator"
    )
    click.echo(f"{heard.level_db:6.2f} dB(A)  {heard.tone.frequency_hz:7.1f} Hz  {state}", err=True)


def _save(output: Path, calibration: Calibration) -> None:
    from edge.sound.calibration import save_calibration

    try:
        save_calibration(output, calibration)
    except OSError as error:
        raise click.ClickException(f"the calibration cannot be written: {error}") from error


def _tell(done: Calibration, output: Path, as_json: bool) -> None:
    from edge.sound.cli_measure import warn

    if done.level_assumed:
        warn(
            "nothing told the calibrator's level: 94 dB was assumed. If it is 114 dB, run again with --level 114"
        )
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(done), ensure_ascii=False))
        return
    drift = (
        "first calibration"
        if done.drift_db is None
        else f"{done.drift_db:+.2f} dB since {done.previous_at:%Y-%m-%d}"
    )
    click.echo(f"full scale is {done.full_scale_db:.2f} dB ({drift}); written to {output}")
