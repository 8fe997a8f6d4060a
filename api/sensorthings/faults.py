"""What is wrong with a request: what it asks for does not exist, or exists and is not offered."""

from __future__ import annotations


class Fault(ValueError):
    """A request that cannot be answered; ``where`` names the part of it. The message says cause and cure."""

    def __init__(self, where: str, message: str) -> None:
        super().__init__(message)
        self.where = where


class BadQuery(Fault):
    """The request is not understood, or asks for more than is given at once."""


class NotOffered(Fault):
    """The standard knows it, this service does not offer it."""
