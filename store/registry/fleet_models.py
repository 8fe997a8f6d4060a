"""Tables of the fleet: the versions of its configuration, what each device is to run, and rollouts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, ForeignKeyConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from store.registry.models import Base


class Configuration(Base):
    """One version of settings for devices (see ``contract.remote_settings``). It never changes once it is made."""

    __tablename__ = "configurations"

    version: Mapped[int] = mapped_column(primary_key=True)
    settings: Mapped[dict[str, Any]]
    note: Mapped[str] = mapped_column(String(200), default="")
    made_by: Mapped[str] = mapped_column(String(64))
    made_at: Mapped[datetime]


class WantedConfiguration(Base):
    """Which version a device is to run; 0 is the device's own configuration alone."""

    __tablename__ = "configurations_wanted"
    __table_args__ = (ForeignKeyConstraint(["site", "device"], ["devices.site", "devices.name"]),)

    site: Mapped[str] = mapped_column(String(32), primary_key=True)
    device: Mapped[str] = mapped_column(String(32), primary_key=True)
    version: Mapped[int]
    set_by: Mapped[str] = mapped_column(String(64))
    set_at: Mapped[datetime] = mapped_column(index=True)


class Rollout(Base):
    """A version on its way to many devices, wave by wave (see ``analysis.fleet.staging``)."""

    __tablename__ = "rollouts"

    id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(ForeignKey("configurations.version"))
    state: Mapped[str] = mapped_column(String(16), index=True)
    """``running``, ``paused``, ``halted``, ``done`` or ``rolled_back``."""
    reason: Mapped[str] = mapped_column(String(300), default="")
    """Why it is in this state, or what it waits for."""
    sizes: Mapped[list[Any]]
    """How many devices have the version after each wave, in ascending order."""
    wave: Mapped[int] = mapped_column(default=0)
    wave_began_at: Mapped[datetime]
    healthy_s: Mapped[int]
    patience_s: Mapped[int]
    most_failed: Mapped[float]
    """Share of the devices so far that may fail, 0 to 1."""
    made_by: Mapped[str] = mapped_column(String(64))
    made_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class RolloutDevice(Base):
    """A device of a rollout, in the order in which its turn comes."""

    __tablename__ = "rollout_devices"
    __table_args__ = (ForeignKeyConstraint(["site", "device"], ["devices.site", "devices.name"]),)

    rollout: Mapped[int] = mapped_column(ForeignKey("rollouts.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    site: Mapped[str] = mapped_column(String(32))
    device: Mapped[str] = mapped_column(String(32))
    before: Mapped[int] = mapped_column(default=0)
    """The version it was to run before."""
    healthy_since: Mapped[datetime | None]
    looks: Mapped[int] = mapped_column(default=0)
    overloaded: Mapped[int] = mapped_column(default=0)
    """How many of the ``looks`` at its newest second found it overloaded."""
    failure: Mapped[str | None] = mapped_column(String(300))
