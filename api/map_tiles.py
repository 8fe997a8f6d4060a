"""Layers of map tiles as the bureau configures them, and what the browser must be allowed for them. Pure.

Without a layer the page draws its own ground plan and asks nobody outside (:mod:`api.ground_plan`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_PLACES: Final = ("{z}", "{x}", "{y}")
_SUBDOMAINS: Final = "{s}"
_HOST: Final = re.compile(r"(?:\*\.)?[A-Za-z0-9.-]+(?::\d{1,5})?|\[[0-9A-Fa-f:]+\](?::\d{1,5})?")
_TIANDITU: Final = re.compile(r"(^|\.)tianditu\.(gov\.)?cn$")
_OSM: Final = re.compile(r"(^|\.)openstreetmap\.org$")


class BadTiles(ValueError):
    """An address of tiles that cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class TileLayer:
    """One layer: an address with ``{z}``, ``{x}`` and ``{y}`` in it, who made it, and what ``{s}`` may be."""

    url: str
    attribution: str
    subdomains: str

    @property
    def origin(self) -> str:
        """The origin as a Content-Security-Policy names it; a subdomain that changes is a star."""
        scheme, rest = self.url.split("://", 1)
        host = rest.split("/", 1)[0]
        if _SUBDOMAINS in host:
            host = "*." + host.split(".", 1)[1]
        return f"{scheme}://{host}"


def tile_layer(url: str) -> TileLayer:
    """Return the layer of an address, such as ``https://t{s}.tianditu.gov.cn/vec_w/wmts?...&tk=KEY``.

    天地图 and OpenStreetMap are known with what they want to be named. Raises :class:`BadTiles`.
    """
    if missing := [place for place in _PLACES if place not in url]:
        raise BadTiles(f"the address of map tiles lacks {', '.join(missing)}: {url}")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not _host_is_plain(parts.netloc):
        raise BadTiles(f"the address of map tiles must be http:// or https:// with a host: {url}")
    host = parts.netloc.replace(_SUBDOMAINS, "").rsplit("@", 1)[-1].split(":", 1)[0]
    if _TIANDITU.search(host):
        return TileLayer(url, "© 天地图", "01234567")
    if _OSM.search(host):
        return TileLayer(url, "© OpenStreetMap contributors", "abc")
    return TileLayer(url, "", "abc")


def _host_is_plain(netloc: str) -> bool:
    name = netloc
    if _SUBDOMAINS in netloc:
        first, _, rest = netloc.partition(".")
        if _SUBDOMAINS not in first or not rest:
            return False
        name = f"*.{rest}"
    return bool(_HOST.fullmatch(name))
