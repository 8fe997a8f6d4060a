"""Commands of the sound part for ``quietwater edge``. What they need is imported when they run."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from edge.sound.settings import SampleFormat

if TYPE_CHECKING:
    from edge.sound.second import MeteredSecond
    from edge.sound.sources.base import Source


@click.command()
@click.argument("file")
@click.option(
    "--full-scale-db", type=click.FloatRange(-50, 250), default=120.0, show_default=True,
    help="Level of an RMS of 1 (full scale), dB re 20 µPa.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object a second, the summary last.")
@click.option("--channel", type=click.IntRange(1, 64), default=1, show_default=True, help="Channel, from 1.")
@click.option("--deinterleave", is_flag=True, help="Take every second sample only (stereo stored as mono).")
@click.option(
    "--start-at", type=click.DateTime(["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S"]),
    help="UTC time of the first sample; unless given, t counts from 1970-01-01T00:00:00Z: it is the time elapsed.",
)  # fmt: skip
@click.option("--rate", "rate_hz", type=click.IntRange(8000, 192_000), default=48_000, show_default=True,
              help="Sampling rate of raw PCM on standard input.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(get_args(SampleFormat)), default="s16", show_default=True,
              help="Samples of raw PCM on standard input, little-endian.")  # fmt: skip
@click.option("--channels", type=click.IntRange(1, 64), default=1, show_default=True,
              help="Channels of raw PCM on standard input.")  # fmt: skip
def measure(
    file: str, full_scale_db: float, as_json: bool, channel: int, deinterleave: bool, start_at: object,
    rate_hz: int, form: SampleFormat, channels: int,
) -> None:  # fmt: skip
    """Measure a recording with the meter of the agent: each second of it, and a summary.

    FILE is a WAV, FLAC or OGG file, or - for raw PCM on standard input.

    \b
    Examples:
      quietwater edge measure street.wav --full-scale-db 117.4
      quietwater edge measure street.flac --full-scale-db 117.4 --json > street.jsonl
      arecord -t raw -f S16_LE -r 48000 -c 1 -d 60 | quietwater edge measure - --format s16
    """
    from datetime import UTC, datetime

    from edge.sound.measure import measure as measured
    from edge.sound.settings import StdinSource
    from edge.sound.sources.base import SourceError
    from edge.sound.sources.sound_file import SoundFileSource
    from edge.sound.sources.stdin import PcmSource

    start = int(start_at.replace(tzinfo=UTC).timestamp()) if isinstance(start_at, datetime) else 0
    try:
        source: Source
        if file == "-":
            source = PcmSource(StdinSource(rate_hz=rate_hz, format=form, channels=channels, channel=channel))
        else:
            source = SoundFileSource(Path(file), channel=channel, deinterleave=deinterleave)
        seconds = measured(source, full_scale_db=full_scale_db, start=start)
        (_print_json if as_json else _print_table)(seconds)
    except (SourceError, ValueError) as error:
        raise click.ClickException(str(error)) from error


def _print_json(seconds: Iterable[MeteredSecond]) -> None:
    import json

    import msgspec

    from edge.sound.measure import Summary

    summary = Summary()
    for second in seconds:
        summary.add(second)
        fields = msgspec.to_builtins(second.reading())
        fields.pop("seq")
        fields.setdefault("measured_ms", 1000)
        fields.setdefault("flags", [])
        sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.write(json.dumps({"summary": summary.result()}) + "\n")


def _print_table(seconds: Iterable[MeteredSecond]) -> None:
    from contract.flags import names
    from edge.sound.measure import Summary

    summary = Summary()
    click.echo("    time   LAeq  LCeq  LAFmax LAFmin LCpeak  flags")
    for second in seconds:
        summary.add(second)
        clock = f"{second.t // 3600 % 24:02d}:{second.t // 60 % 60:02d}:{second.t % 60:02d}"
        click.echo(
            f"{clock} {second.laeq_db:6.1f} {second.lceq_db:5.1f}  {second.lafmax_db:6.1f} {second.lafmin_db:6.1f} "
            f"{second.lcpeak_db:6.1f}  {' '.join(names(second.flags))}".rstrip()
        )
    click.echo()
    for key, value in summary.result().items():
        click.echo(f"{key:12} {value if not isinstance(value, float) else round(value, 1)}")


COMMANDS: tuple[click.Command, ...] = (measure,)
