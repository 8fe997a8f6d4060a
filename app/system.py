"""The server's parts put together: broker, ingest, analysis and API; all in one process, or some of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Final, Literal

import structlog
from sqlalchemy import select

from analysis.rules.catalog import ensure_default_rules
from analysis.service import Analysis
from analysis.shard import Shard
from api.app import create_app
from api.config_keeper import ConfigKeeper
from api.context import ApiConfig, ApiContext
from api.live_alerts import AlertFollower
from api.live_feed import LiveFeed
from api.live_hub import LiveHub
from api.live_mqtt import LiveMqtt
from api.metric_table import Numbers
from api.metrics import PartMetrics
from app import tracing
from app.broker import SERVER_USER, EmbeddedBroker
from app.lock import PartLocks
from app.numbers import (
    Counting,
    analysis_numbers,
    backup_numbers,
    broker_numbers,
    ingest_numbers,
    uplink_numbers,
)
from app.observe import ObservePort, Probe, given_token
from app.once import OnceParts
from app.once import Part as OncePart
from app.probes import (
    analysis_alive,
    analysis_ready,
    ingest_alive,
    ingest_ready,
    registry_answers,
    series_answers,
)
from app.settings import ServerSettings, broker_password, broker_tls, own_authority
from app.shard_option import lease_timing, shard_name
from app.store_socket import StoreSocket
from app.uplinks import uplinks
from app.web import WebServer
from contract.clock import Clock
from contract.spans import NO_SPANS, Spans
from ingest.service import Ingest
from store.registry.models import Site
from store.registry.users import ensure_admin
from store.series.address import open_store
from store.series.duckdb_store import DuckDbStore
from store.series.housekeeping import Housekeeping
from store.series.interface import SeriesStore

log = structlog.get_logger(__name__)

Part = Literal["broker", "ingest", "analysis", "serve"]
ALL_PARTS: Final[tuple[Part, ...]] = ("broker", "ingest", "analysis", "serve")
_REFRESH_S: Final = 2.0


class System:
    """Parts that run in this process: :meth:`open` the stores, :meth:`start` the parts, :meth:`stop` everything.

    Parts start in the order in which a reading passes them and stop the other way round, so that nothing is
    handed to a part that is gone.
    """

    def __init__(self, settings: ServerSettings, parts: tuple[Part, ...] = ALL_PARTS) -> None:
        self.settings = settings
        self._parts = parts
        self._undo: list[tuple[str, Callable[[], object]]] = []
        self._stop = threading.Event()
        self._broker: EmbeddedBroker | None = None
        self._series: SeriesStore | None = None
        self._ready: dict[str, Callable[[], bool]] = {}
        self._metrics: dict[str, Callable[[], Numbers]] = {}
        self._alive: dict[str, Callable[[], bool]] = {}
        self._alive_probes: dict[str, Probe] = {}
        self._ready_probes: dict[str, Probe] = {}
        self._observe: ObservePort | None = None
        self._shard: Shard | None = None
        self._web: WebServer | None = None
        self._spans: Spans = NO_SPANS
        self.admin_password: str | None = None
        """Set when this start made the admin; it is kept nowhere."""

    def open(self) -> None:
        """Open the stores. Raises what a person can mend: ``FolderInUse``, ``OSError``, store or registry away."""
        try:
            locks = PartLocks(self.settings.data, self._lock_names())
            self._undo.append(("locks", locks.release))
            self._spans, end_tracing = tracing.start("quietwater-" + "-".join(self._parts))
            self._undo.append(("traces", end_tracing))
            self.registry = self.settings.registry.open()
            self._undo.append(("registry", self.registry.close))
            if self._parts != ("broker",):
                self._series = open_store(self.settings.series)
                self._undo.append(("series store", self._series.close))
                self._offer_store()
        except BaseException:
            self.stop()
            raise

    def start(self, clock: Clock, *, demo: bool = False) -> None:
        """Start the parts; if one fails, those before it are stopped and the error is raised."""
        try:
            if "broker" in self._parts and self.settings.broker_url is None:
                self._start_broker()
            if "ingest" in self._parts:
                self._start_ingest(clock)
            if "serve" in self._parts:
                self._start_serving(clock, demo)
            elif "analysis" in self._parts:
                self._start_analysis(clock)
            self._start_housekeeping(clock)
            self._start_observing()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop what runs, last started first; a part that fails to stop does not keep the others."""
        self._stop.set()
        while self._undo:
            name, undo = self._undo.pop()
            try:
                undo()
            except Exception:
                log.exception("part did not stop cleanly", part=name)

    def on_stop(self, name: str, undo: Callable[[], object]) -> None:
        """Have something that was started after the parts stopped before them."""
        self._undo.append((name, undo))

    @property
    def series(self) -> SeriesStore:
        """The series store, once open."""
        if self._series is None:
            raise RuntimeError("this process has no series store")
        return self._series

    @property
    def broker_url(self) -> str:
        """Address of the broker in use."""
        if self._broker is not None:
            return self._broker.url
        return self.settings.broker_url or f"mqtt://127.0.0.1:{self.settings.mqtt_port}"

    @property
    def address(self) -> str:
        """Address of the page as this machine reaches it."""
        port = self._web.port if self._web else self.settings.port
        return f"http://{self.settings.host}:{port}"

    @property
    def metrics_address(self) -> str | None:
        """Address of the port for metrics and health, where this process has one."""
        return f"http://{self.settings.metrics_host}:{self._observe.port}" if self._observe else None

    def _lock_names(self) -> list[str]:
        """Return what only one process a folder may do: each part, but ingest, analysis and serve once a name."""
        names: list[str] = []
        for part in self._parts:
            if part == "ingest" and self.settings.ingest_name != "ingest":
                names.append(f"ingest-{self.settings.ingest_name}")
            elif part == "analysis" and self.settings.shard is not None:
                names.append(f"analysis-{self.settings.shard}")
            elif part == "serve" and self.settings.serve_name is not None:
                names.append(f"serve-{self.settings.serve_name}")
            elif part != "broker" or self.settings.broker_url is None:
                names.append(part)
        return names

    def _offer_store(self) -> None:
        """Let commands of this machine reach a store that belongs to this process."""
        if isinstance(self._series, DuckDbStore):
            offer = StoreSocket(self._series, self.settings.data)
            offer.start()
            self._undo.append(("store socket", offer.stop))

    # -- parts -------------------------------------------------------------------------------------------------

    def _start_broker(self) -> None:
        broker = EmbeddedBroker(self.settings.broker_folder, self.registry, port=self.settings.mqtt_port)
        broker.start()
        self._broker = broker
        self._undo.append(("broker", broker.stop))
        self._metrics["broker"] = lambda: broker_numbers(broker)
        threading.Thread(
            target=self._follow_devices, args=(broker,), name="broker-users", daemon=True
        ).start()

    def _follow_devices(self, broker: EmbeddedBroker) -> None:
        while not self._stop.wait(_REFRESH_S):
            try:
                if broker.refresh():
                    log.info("the broker knows the devices that were added or changed")
            except Exception:  # a registry that is busy now answers in the next round
                log.exception("devices could not be handed to the broker")

    def _start_housekeeping(self, clock: Clock) -> None:
        # A file is its owner's business; a server is looked after by the one that rolls up.
        if self._series is not None and ("analysis" in self._parts or isinstance(self._series, DuckDbStore)):
            shard = None if isinstance(self._series, DuckDbStore) else self._shard
            due = (lambda: shard.has("housekeeping")) if shard else (lambda: True)
            housekeeping = Housekeeping(self._series, self.settings.retention, clock, due=due)
            housekeeping.start()
            self._undo.append(("housekeeping", housekeeping.stop))

    def _start_ingest(self, clock: Clock) -> None:
        ingest = Ingest(
            self.broker_url, username=SERVER_USER, password=broker_password(self.settings),
            series=self.series, registry=self.registry, clock=clock,
            name=self.settings.ingest_name, group=self.settings.ingest_group, tls_files=broker_tls(),
            spans=self._spans,
        )  # fmt: skip
        ingest.start()
        self._undo.append(("ingest", ingest.stop))
        self._ready["ingest"] = lambda: ingest.healthy
        self._metrics["ingest"] = lambda: ingest_numbers(ingest, clock)
        self._alive["ingest"] = lambda: ingest_alive(ingest) is None
        self._alive_probes["ingest"] = lambda: ingest_alive(ingest)
        self._ready_probes["ingest"] = lambda: ingest_ready(ingest)

    def _start_serving(self, clock: Clock, demo: bool) -> None:
        ways_out = uplinks(self.settings.data, self.series, self.registry, clock)
        self._prepare_registry(clock)
        hub = LiveHub()
        parts: list[tuple[str, Analysis | AlertFollower | LiveMqtt]] = [*self._alerts(clock, hub)]
        feed = LiveMqtt(
            self.broker_url, LiveFeed(hub, self.registry, clock),
            username=SERVER_USER, password=broker_password(self.settings), tls_files=broker_tls(),
        )  # fmt: skip
        parts.append(("live feed", feed))
        once = self._once(clock, ways_out)
        self._ready["live feed"] = lambda: feed.connected
        context = ApiContext(
            series=self.series, registry=self.registry, clock=clock, live=hub,
            config=ApiConfig(
                base_url=self.settings.base_url or "", demo=demo,
                broker_url=self.settings.device_broker_url or self.broker_url,
                broker_ca=own_authority(self.settings, self.settings.device_broker_url or self.broker_url),
                authority=self.settings.data / "ca",
                officials_need_factor=self.settings.officials_need_factor,
                tiles=self.settings.tiles, ground=self.settings.ground,
            ),
            ready=self._ready, alive=self._alive, metrics=self._metrics,
            files=self.settings.data / "files", spans=self._spans,
        )  # fmt: skip
        self._metrics["uplink"] = lambda: uplink_numbers(_counting(once))
        self._metrics["backup"] = lambda: backup_numbers(self.settings.data)
        web = WebServer(
            create_app(context), self.settings.host, self.settings.port, proxy=self.settings.proxy
        )
        self._web = web
        self._undo.append(("web", web.stop))
        web.start()
        for name, part in parts:
            part.start()
            self._undo.append((name, part.stop))
        once.start()
        self._undo.append(("uplinks", once.stop))

    def _once(self, clock: Clock, ways_out: Mapping[str, Callable[[], OncePart]]) -> OnceParts:
        """Return the parts of which one runs for all processes that serve."""

        def configurations() -> ConfigKeeper:
            return ConfigKeeper(
                self.broker_url, self.series, self.registry, clock,
                username=SERVER_USER, password=broker_password(self.settings), tls_files=broker_tls(),
            )  # fmt: skip

        makers = {"configurations": configurations, **ways_out}
        return OnceParts(self.registry, shard_name(self.settings.serve_name), makers, lease_timing())

    def _alerts(self, clock: Clock, hub: LiveHub) -> list[tuple[str, Analysis | AlertFollower]]:
        """Return where the pages learn of alerts: from analysis here, or from the registry where it runs elsewhere.

        At a store that is a server others may judge some of the sites: then from the registry in any case.
        """
        alone = isinstance(self._series, DuckDbStore)
        parts: list[tuple[str, Analysis | AlertFollower]] = []
        if "analysis" in self._parts:
            analysis = self._analysis(clock, hub if alone else None)
            self._metrics["analysis"] = lambda: analysis_numbers(analysis)
            self._alive["analysis"] = lambda: analysis.alive
            self._ready["analysis"] = lambda: analysis.healthy
            parts.append(("analysis", analysis))
        if "analysis" not in self._parts or not alone:
            follower = AlertFollower(hub, self.registry)
            self._ready["live alerts"] = lambda: follower.healthy
            parts.append(("live alerts", follower))
        return parts

    def _analysis(self, clock: Clock, hub: LiveHub | None) -> Analysis:
        on_alert = hub.publish_alert if hub else None
        self._shard = Shard(self.registry, shard_name(self.settings.shard), lease_timing())
        return Analysis(
            self.series, self.registry, clock, on_alert=on_alert, base_url=self.settings.base_url,
            shard=self._shard, spans=self._spans,
        )  # fmt: skip

    def _start_analysis(self, clock: Clock) -> None:
        analysis = self._analysis(clock, None)
        analysis.start()
        self._undo.append(("analysis", analysis.stop))
        self._metrics["analysis"] = lambda: analysis_numbers(analysis)
        self._alive_probes["analysis"] = lambda: analysis_alive(analysis)
        self._ready_probes["analysis"] = lambda: analysis_ready(analysis)

    def _start_observing(self) -> None:
        """Answer for the parts of a process that has no API."""
        if self.settings.metrics_port is None:
            return
        ready = {
            "registry": lambda: registry_answers(self.registry),
            "series": lambda: series_answers(self.series),
            **self._ready_probes,
        }
        port = ObservePort(
            self.settings.metrics_host, self.settings.metrics_port, page=PartMetrics(self._metrics).page,
            alive=self._alive_probes, ready=ready, token=given_token(),
        )  # fmt: skip
        port.start()
        self._observe = port
        self._undo.append(("metrics", port.stop))

    def _prepare_registry(self, clock: Clock) -> None:
        now = clock.now()
        with self.registry.session() as session:
            self.admin_password = ensure_admin(session, now)
            for site in session.scalars(select(Site.name)).all():
                ensure_default_rules(session, site, now)


def _counting(once: OnceParts) -> list[tuple[str, Counting]]:
    return [(name, part) for name, part in once.running() if isinstance(part, Counting)]
