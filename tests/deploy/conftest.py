"""What the tests of installing share: one system, built once for the tests of the group ``pi``."""

from tests.deploy.machine import machine

__all__ = ["machine"]
