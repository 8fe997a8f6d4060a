"""The ``--registry`` option: where the registry is, for every command that takes it from the data folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from store.registry.address import (
    VARIABLE,
    BadRegistryAddress,
    RegistryAddress,
    in_folder,
    parse_registry,
)

_CHOSEN: Final = f"{__name__}.address"


def registry_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--registry``; the command, and those below it, ask :func:`chosen_registry` what it says."""
    return click.option(
        "--registry", envvar=VARIABLE, metavar="ADDRESS", callback=_address, expose_value=False,
        help="Where the registry is: postgresql://user@host/database (its password comes from "
        "QUIETWATER_REGISTRY_PASSWORD, from a file that …_FILE names, or from ~/.pgpass) or sqlite:///file.  "
        "[default: registry.sqlite in the data folder]",
    )(command)  # fmt: skip


def chosen_registry(data: Path) -> RegistryAddress:
    """Return what ``--registry`` of the running command says, else the file in the data folder."""
    context = click.get_current_context(silent=True)
    return (context.meta.get(_CHOSEN) if context else None) or in_folder(data)


def _address(context: click.Context, parameter: click.Parameter, text: str | None) -> None:
    if not text:
        return
    source = context.get_parameter_source(parameter.name or "")
    from_environment = source is click.core.ParameterSource.ENVIRONMENT
    try:
        context.meta[_CHOSEN] = parse_registry(text, os.environ, password_may_show=from_environment)
    except BadRegistryAddress as error:
        raise click.BadParameter(str(error)) from error
