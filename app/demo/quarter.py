"""What the demo consists of: sites, devices, scenes and meters, and how they enter the registry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from store.registry.models import Device, Meter, Site
from store.registry.provisioning import add_device, add_meter, add_site

GATEWAY: Final = "water-gateway"
"""The device of each site that reads its water meters."""


@dataclass(frozen=True, slots=True)
class DemoDevice:
    """A noise device and the scene (``app/demo/scenes/<scene>.toml``) that it hears."""

    name: str
    zh: str
    en: str
    scene: str


@dataclass(frozen=True, slots=True)
class DemoSite:
    """A quarter; ``meters`` are the names in the data of the meters that its flats' meters replay."""

    name: str
    zh: str
    en: str
    district: str
    zone_class: str
    latitude: float
    longitude: float
    devices: tuple[DemoDevice, ...]
    meters: tuple[str, ...]

    @property
    def meter_names(self) -> dict[str, str]:
        """Names in the data, with the names of the meters that play them."""
        return {source: f"flat-{index:02d}" for index, source in enumerate(self.meters, start=101)}


SITES: Final = (
    DemoSite(
        "jing-yuan", "静园小区", "Jingyuan Quarter", "西陵区", "1", 30.7105, 111.2838,
        (
            DemoDevice("garden", "中心花园", "Central garden", "garden"),
            DemoDevice("playground", "儿童乐园", "Playground", "playground"),
            DemoDevice("block-3", "3号楼外", "Outside block 3", "yard"),
            DemoDevice("south-gate", "南门", "South gate", "gate"),
        ),
        ("M002", "M003", "M006", "M010", "M011", "M012", "M014", "M017", "M019", "M020", "M026", "M027"),
    ),
    DemoSite(
        "heping-li", "和平里小区", "Hepingli Quarter", "伍家岗区", "2", 30.6549, 111.3412,
        (
            DemoDevice("market-side", "菜场一侧", "Market side", "market"),
            DemoDevice("yard", "内院", "Inner yard", "yard"),
            DemoDevice("block-7", "7号楼外", "Outside block 7", "renovation"),
            DemoDevice("snack-street", "小吃街口", "Snack street", "snack-street"),
        ),
        ("M029", "M030", "M033", "M036", "M037", "M040", "M041", "M048", "M049", "M050", "M052", "M054"),
    ),
    DemoSite(
        "lin-jiang", "临江花园", "Linjiang Garden", "西陵区", "4a", 30.6962, 111.2749,
        (
            DemoDevice("riverside", "江边步道", "Riverside walk", "riverside"),
            DemoDevice("east-gate", "东门", "East gate", "gate"),
            DemoDevice("block-12", "12号楼顶", "Roof of block 12", "roof"),
            DemoDevice("kindergarten", "幼儿园旁", "Beside the kindergarten", "playground"),
        ),
        ("M060", "M064", "M065", "M066", "M070", "M071", "M076", "M078", "M082", "M083", "M084", "M086"),
    ),
)  # fmt: skip


def device_names() -> Iterator[tuple[DemoSite, str]]:
    """Yield every device of the demo, noise devices and gateways, with its site."""
    for site in SITES:
        for device in site.devices:
            yield site, device.name
        yield site, GATEWAY


def ensure_quarter(session: Session, now: datetime) -> None:
    """Put the demo into the registry; what is there already stays as it is."""
    for site in SITES:
        if session.get(Site, site.name) is None:
            add_site(
                session, site.name, label_zh=site.zh, label_en=site.en, district=site.district,
                zone_class=site.zone_class, latitude=site.latitude, longitude=site.longitude, now=now,
            )  # fmt: skip
        for device in site.devices:
            if session.get(Device, (site.name, device.name)) is None:
                add_device(
                    session,
                    site.name,
                    device.name,
                    kind="noise",
                    label_zh=device.zh,
                    label_en=device.en,
                    now=now,
                )
        if session.get(Device, (site.name, GATEWAY)) is None:
            add_device(
                session,
                site.name,
                GATEWAY,
                kind="gateway",
                label_zh="水表集中器",
                label_en="Water gateway",
                now=now,
            )
        for name in site.meter_names.values():
            if session.get(Meter, (site.name, name)) is None:
                flat = name.removeprefix("flat-")
                add_meter(
                    session,
                    site.name,
                    name,
                    device=GATEWAY,
                    label_zh=f"{flat}室",
                    label_en=f"Flat {flat}",
                    now=now,
                )
