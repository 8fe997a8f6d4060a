"""``quietwater edge measure`` and ``devices``."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from edge.sound.settings import SampleFormat

if TYPE_CHECKING:
    from edge.sound.measure import Summary
    from edge.sound.second import MeteredSecond
    from edge.sound.sources.base import Source

_TIME_FORMS = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S"]


@click.command()
@click.argument("file", required=False)
@click.option("--full-scale-db", type=click.FloatRange(-50, 250), default=None,
              help="Level of an RMS of 1 (full scale), dB re 20 µPa. [default: 120]")  # fmt: skip
@click.option("--calibration", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Calibration file to take the sensitivity from.")  # fmt: skip
@click.option("--response", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Free-field response of the microphone (CSV: frequency_hz,response_db) to correct.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object a second, the summary last.")
@click.option("--spectrum", is_flag=True, help="Put the 1/3-octave Leq into the summary.")
@click.option("--channel", type=click.IntRange(1, 64), default=1, show_default=True, help="Channel, from 1.")
@click.option(
    "--deinterleave", is_flag=True, help="The file is a stereo stream stored as mono: take the first."
)
@click.option("--start-at", type=click.DateTime(_TIME_FORMS),
              help="UTC time of the first sample; without it, t counts from 1970: the time elapsed.")  # fmt: skip
@click.option("--seconds", type=click.IntRange(1), help="Stop after so many seconds.")
@click.option("--device", help="Listen to a sound device in place of a file: its name, serial or number.")
@click.option("--rate", "rate_hz", type=click.IntRange(8000, 192_000), default=48_000, show_default=True,
              help="Sampling rate of a device or of raw PCM.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(get_args(SampleFormat)), default=None,
              help="Samples of a device [default: s32] or of raw PCM [default: s16], little-endian.")  # fmt: skip
@click.option(
    "--channels", type=click.IntRange(1, 64), default=None, help="Channels of a device or of raw PCM."
)
def measure(
    file: str | None, full_scale_db: float | None, calibration: Path | None, response: Path | None, as_json: bool,
    spectrum: bool, start_at: Any, seconds: int | None, **source_options: Any,
) -> None:  # fmt: skip
    """Measure a recording or a microphone with the meter of the agent: each second of it, and a summary.

    FILE is a WAV, FLAC or OGG file, or - for raw PCM on standard input.

    \b
    Examples:
      quietwater edge measure street.wav --full-scale-db 117.4
      quietwater edge measure street.flac --calibration calibration.json --json > street.jsonl
      arecord -t raw -f S16_LE -r 48000 -c 1 -d 60 | quietwater edge measure - --format s16
      quietwater edge measure --device "USB" --seconds 10
    """
    from datetime import UTC
    from itertools import islice

    from edge.sound.calibration import load_calibration
    from edge.sound.measure import Summary
    from edge.sound.measure import measure as measured
    from edge.sound.response import design_correction, read_response
    from edge.sound.sources.base import SourceError

    if calibration is not None and full_scale_db is not None:
        raise click.UsageError("give --full-scale-db or --calibration, not both")
    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        full_scale = full_scale_db if full_scale_db is not None else 120.0
        if calibration is not None:
            full_scale = load_calibration(calibration).full_scale_db
        source = open_source(file, **source_options)
        correction = None if response is None else design_correction(*read_response(response), source.rate_hz)
        summary = Summary(full_scale, source.rate_hz if spectrum else None)
        heard = measured(
            source, full_scale_db=full_scale, stop=stop, on_warning=warn,
            start=0 if start_at is None else int(start_at.replace(tzinfo=UTC).timestamp()),
            correction=None if correction is None or not len(correction.sections) else correction.sections,
        )  # fmt: skip
        (_print_json if as_json else _print_table)(islice(heard, seconds), summary)
    except (SourceError, ValueError) as error:
        raise click.ClickException(str(error)) from error


def open_source(
    file: str | None, *, device: str | None = None, channel: int = 1, channels: int | None = None,
    deinterleave: bool = False, rate_hz: int = 48_000, form: SampleFormat | None = None, first_s: int | None = None,
) -> Source:  # fmt: skip
    """Open a file, raw PCM on standard input (``-``) or a device. Raises :class:`SourceError` or a usage error."""
    from edge.sound.settings import PortAudioSource, StdinSource
    from edge.sound.sources.sound_file import SoundFileSource
    from edge.sound.sources.stdin import PcmSource

    if (file is None) == (device is None):
        raise click.UsageError("give a FILE or a --device")
    if deinterleave and (file is None or file == "-"):
        raise click.UsageError("--deinterleave is for files; of a live stream, take --channels 2")
    if file == "-":
        return PcmSource(
            StdinSource(rate_hz=rate_hz, format=form or "s16", channels=channels or channel, channel=channel)
        )
    if file is not None:
        return SoundFileSource(Path(file), channel=channel, deinterleave=deinterleave, first_s=first_s)
    from edge.sound.sources.portaudio import PortAudioInput

    if form == "s24_32":
        raise click.UsageError("a device has s16, s24, s32 or float32")
    number = int(device) if device is not None and device.isdigit() else device
    return PortAudioInput(
        PortAudioSource(
            device=number, rate_hz=rate_hz, format=form or "s32", channel=channel, channels=channels
        )
    )


def warn(text: str) -> None:
    """Print a warning to standard error."""
    click.secho(f"warning: {text}", fg="yellow", err=True)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As one JSON array.")
def devices(as_json: bool) -> None:
    """List the sound devices that can listen, for ``device`` in the configuration.

    \b
    Examples:
      quietwater edge devices
    """
    import dataclasses

    from edge.sound.sources.base import SourceError
    from edge.sound.sources.portaudio import input_devices, load_portaudio

    try:
        found = input_devices(load_portaudio())
    except SourceError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(one) for one in found], ensure_ascii=False, indent=2))
        return
    if not found:
        raise click.ClickException(
            "no sound device can listen; is the microphone plugged in, and is this user in the group audio?"
        )
    for one in found:
        serial = f", serial {one.serial}" if one.serial else ""
        mark = "*" if one.is_default else " "
        click.echo(
            f"{mark}{one.number:3d}  {one.name}  ({one.channels} channel(s), {one.default_rate_hz} Hz{serial})"
        )


def _print_json(seconds: Iterable[MeteredSecond], summary: Summary) -> None:
    def out(fields: object) -> None:
        sys.stdout.write(json.dumps(fields, allow_nan=False) + "\n")
        sys.stdout.flush()

    _each(seconds, summary, lambda second: out(_fields(second)))
    out({"summary": summary.result()})


def _fields(second: MeteredSecond) -> dict[str, object]:
    import msgspec

    fields: dict[str, object] = msgspec.to_builtins(second.reading())
    fields.pop("seq")
    fields.setdefault("measured_ms", 1000)
    fields.setdefault("flags", [])
    return fields


def _print_table(seconds: Iterable[MeteredSecond], summary: Summary) -> None:
    from contract.flags import names

    def row(second: MeteredSecond) -> None:
        if summary.seconds == 1:
            click.echo("    time   LAeq   LCeq  LAFmax  LAFmin  LCpeak  flags")
        clock = f"{second.t // 3600 % 24:02d}:{second.t // 60 % 60:02d}:{second.t % 60:02d}"
        lceq, peak = second.lceq_db or 0.0, second.lcpeak_db or 0.0
        click.echo(
            f"{clock} {second.laeq_db:6.1f} {lceq:6.1f} {second.lafmax_db:7.1f} {second.lafmin_db:7.1f} "
            f"{peak:7.1f}  {' '.join(names(second.flags))}".rstrip()
        )

    _each(seconds, summary, row)
    click.echo()
    for key, value in summary.result().items():
        click.echo(f"{key:12} {_shown(value)}")


def _shown(value: object) -> object:
    if isinstance(value, list):
        return " ".join("-" if level is None else f"{level:.1f}" for level in value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items()) or "none"
    return round(value, 1) if isinstance(value, float) else value


def _each(seconds: Iterable[MeteredSecond], summary: Summary, out: Callable[[MeteredSecond], None]) -> None:
    for second in seconds:
        summary.add(second)
        out(second)
