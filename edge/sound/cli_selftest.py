"""``quietwater edge selftest``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from edge.sound.selftest import Check


@click.command()
@click.option("--rate", "rate_hz", type=click.IntRange(8000, 192_000), default=48_000, show_default=True,
              help="Sampling rate.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path),
              help="Write the report as JSON too, to be kept with the device's papers.")  # fmt: skip
@click.option("--quiet", is_flag=True, help="Print only what is outside class 1, and the result.")
def selftest(rate_hz: int, as_json: bool, report: Path | None, quiet: bool) -> None:
    """Run the tables of IEC 61672-1 and IEC 61260-1 through the chain that measures.

    Prints each check with its margin to class 1, and exits with 1 if one is outside. It takes some seconds on a PC
    and about a minute or two on a small Raspberry Pi. The microphone and its converter are not part of it.

    \b
    Examples:
      quietwater edge selftest
      quietwater edge selftest --report selftest.json --quiet
    """
    from edge.sound.selftest import run_selftest

    checks: list[Check] = []
    try:
        for check in run_selftest(rate_hz):
            checks.append(check)
            if not as_json and not (quiet and check.passed):
                click.echo(_line(check))
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    result = _report(rate_hz, checks)
    if as_json:
        click.echo(json.dumps(result, indent=1))
    if report is not None:
        try:
            report.write_text(json.dumps(result, indent=1) + "\n")
        except OSError as error:
            raise click.ClickException(f"the report cannot be written: {error}") from error
    failed = sum(not check.passed for check in checks)
    if not as_json:
        click.echo(f"{len(checks)} checks at {rate_hz} Hz, {failed} outside class 1")
    if failed:
        raise SystemExit(1)


def _line(check: Check) -> str:
    limits = " ".join(
        f"{limit:+6.1f}" if abs(limit) < 1000 else "  none" for limit in (check.upper_db, check.lower_db)
    )
    verdict = "ok" if check.passed else "OUTSIDE"
    return (
        f"{check.clause:18} {check.item:48} {check.deviation_db:+9.4f}  limits {limits}  "
        f"margin {check.margin_db:8.4f}  {verdict}"
    )


def _report(rate_hz: int, checks: list[Check]) -> dict[str, Any]:
    from contract.clock import SystemClock
    from edge.health import package_version

    def bounded(value: float) -> float | None:
        return None if abs(value) > 1e6 else round(value, 6)

    return {
        "made_at": SystemClock().now().isoformat(timespec="seconds"),
        "version": package_version(),
        "rate_hz": rate_hz,
        "class": 1,
        "passed": all(check.passed for check in checks),
        "checks": [
            {
                "clause": check.clause,
                "item": check.item,
                "goal_db": bounded(check.goal_db),
                "deviation_db": bounded(check.deviation_db),
                "upper_db": bounded(check.upper_db),
                "lower_db": bounded(check.lower_db),
                "margin_db": bounded(check.margin_db),
                "passed": check.passed,
            }
            for check in checks
        ],
    }
