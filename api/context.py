"""What the API is given when it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from api.live_hub import LiveHub
from api.map_tiles import TileLayer
from api.metric_table import Numbers
from api.ratelimit import ADDRESS_RATE, USER_RATE, Rate
from contract.clock import Clock, SystemClock
from contract.spans import NO_SPANS, Spans
from store.registry.database import Registry
from store.series.interface import SeriesStore


@dataclass(frozen=True, slots=True)
class ApiConfig:
    """How the page is reached.

    ``base_url`` is the address that people use, such as ``https://quietwater.example``; where it is ``https``, the
    session's cookie is marked Secure. ``broker_url`` is the broker's address as devices reach it, ``broker_ca`` the
    certificate (PEM) of the authority that signed the broker's, where it is our own, and ``authority`` the
    folder of ours, where there may be one. ``demo`` tells the
    page to say that its data are a demonstration. ``tiles`` are the layers of the map, from below; without one it is
    drawn on ``ground``, GeoJSON, or else on a plain plan of the districts. ``user_rate`` bounds the requests of one
    user, ``address_rate`` those of one address without a login. With ``officials_need_factor`` administrators and the
    bureau get no further than their account until they have a second factor.
    """

    base_url: str = ""
    broker_url: str = "mqtt://127.0.0.1:1883"
    broker_ca: str | None = None
    authority: Path | None = None
    demo: bool = False
    officials_need_factor: bool = False
    tiles: tuple[TileLayer, ...] = ()
    ground: Mapping[str, Any] | None = None
    user_rate: Rate = USER_RATE
    address_rate: Rate = ADDRESS_RATE

    @property
    def cookie_secure(self) -> bool:
        """Whether browsers may send the cookie over TLS only."""
        return self.base_url.startswith("https://")

    @property
    def cookie_name(self) -> str:
        """Name of the session's cookie; ``__Host-`` binds it to this very host where TLS allows it."""
        return "__Host-qw_session" if self.cookie_secure else "qw_session"

    @property
    def host(self) -> str:
        """Host and port of ``base_url``, or an empty text."""
        return urlsplit(self.base_url).netloc.lower()


@dataclass(frozen=True, slots=True)
class ApiContext:
    """Everything that the API works with.

    ``clock`` is the time of the data, ``wall`` that of logins and of the audit log (a demo's clock runs faster).
    ``files`` is the folder that attachments are kept in; without one there can be none.
    ``ready`` holds a probe for each further part that must work for ``/readyz`` to say yes; probes must not block.
    ``alive`` holds one for each part that has a loop, for ``/healthz``: a restart would mend what it finds.
    ``metrics`` gives the counts of each further part for ``/metrics``, as ``quietwater_<part>_<name>``.
    ``spans`` opens a span for each request.
    """

    series: SeriesStore
    registry: Registry
    clock: Clock
    live: LiveHub
    config: ApiConfig = field(default_factory=ApiConfig)
    wall: Clock = field(default_factory=SystemClock)
    files: Path | None = None
    ready: Mapping[str, Callable[[], bool]] = field(default_factory=dict)
    alive: Mapping[str, Callable[[], bool]] = field(default_factory=dict)
    metrics: Mapping[str, Callable[[], Numbers]] = field(default_factory=dict)
    spans: Spans = NO_SPANS
