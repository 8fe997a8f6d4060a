"""What is simulated: how many sites, devices and meters, from when on, by which seed. All else follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

DEVICES_A_SITE: Final = 50
METER_INTERVAL_S: Final = 900
"""As agents read meters unless told otherwise."""
LOCAL_OFFSET_S: Final = 8 * 3600
"""Asia/Shanghai, which has no daylight saving time."""
DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fleet: noise devices ``0 … devices-1`` and meters ``0 … meters-1``, spread evenly over the sites.

    ``start_s`` is the first second, since 1970. ``meters`` of a site are read by one gateway. Raises ``ValueError``
    for numbers that make no fleet.
    """

    seed: int
    devices: int
    meters: int
    sites: int
    start_s: int
    meter_interval_s: int = METER_INTERVAL_S
    right_clocks: bool = False
    """Whether no device's clock is wrong."""

    def __post_init__(self) -> None:
        if min(self.devices, self.meters) < 0 or self.devices + self.meters == 0:
            raise ValueError("a fleet has at least one device or meter")
        if not 1 <= self.sites <= 9_999:
            raise ValueError(f"a fleet has 1 to 9999 sites, not {self.sites}")
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"a seed is a number from 0 to {2**31 - 1}, not {self.seed}")

    def site_name(self, site: int) -> str:
        """Return the name of a site as topics have it."""
        return f"sim-{site + 1:04d}"

    def device_site(self, device: int) -> int:
        """Return the site that a noise device stands at."""
        return device % self.sites

    def device_name(self, device: int) -> str:
        """Return the name of a noise device."""
        return f"noise-{device // self.sites + 1:04d}"

    def gateway_name(self) -> str:
        """Return the name of the device that reads the meters of a site."""
        return "water"

    def meters_at(self, site: int) -> int:
        """Return how many meters a site has."""
        return (self.meters - site + self.sites - 1) // self.sites

    def meter_of(self, site: int, position: int) -> int:
        """Return the number of the meter at a position (0, 1, …) within its site."""
        return position * self.sites + site

    def meter_name(self, meter: int) -> str:
        """Return the name of a meter."""
        return f"meter-{meter // self.sites + 1:05d}"

    def meter_site(self, meter: int) -> int:
        """Return the site of a meter."""
        return meter % self.sites


def sites_for(devices: int, meters: int) -> int:
    """Return how many sites a fleet has unless told: one for 50 devices, one for 500 meters where that is more."""
    return max(1, -(-devices // DEVICES_A_SITE), -(-meters // (10 * DEVICES_A_SITE)))


def utc(second: float) -> datetime:
    """Return a second since 1970 as a time."""
    return datetime.fromtimestamp(second, UTC)


def text_of(second: int) -> str:
    """Return a second since 1970 as messages have it, ``2026-03-01T00:00:00Z``."""
    return f"{utc(second):%Y-%m-%dT%H:%M:%SZ}"
