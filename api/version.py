"""The product's version."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def _version() -> str:
    try:
        return version("quietwater")
    except PackageNotFoundError:
        return "0"


VERSION = _version()
