"""Live push: what is let through, what a slow page loses, how a page resumes, and the whole way from a broker."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from analysis.alerts.snapshot import AlertSnapshot
from api.live_feed import LiveFeed, judge
from api.live_hub import LiveHub, LiveLevel
from api.live_mqtt import LiveMqtt
from app.broker import EmbeddedBroker
from contract.codec import encode, encode_array
from contract.messages import EdgeEvent, NoiseSecond, WaterReading
from store.registry.database import Registry
from tests.api import seeding
from tests.api.conftest import Person, Served, SetClock

NOW = seeding.NOW
_NOTHING = (
    "firing_since", "acknowledged_at", "acknowledged_by", "recovering_since", "resolved_at", "value", "limit",
    "peak_value",
)  # fmt: skip
TOPIC = f"qw/v1/{seeding.OWN_SITE}/dong-men"


def second(t: datetime, laeq: float = 47.3, seq: int = 1, **more) -> NoiseSecond:
    return NoiseSecond(
        seq=seq, t=t, laeq_db=laeq, lafmax_db=laeq + 3, lafmin_db=laeq - 2, laf_db=laeq, **more
    )


def level(
    site: str = "a", device: str = "d", t: str = "2026-03-02T14:05:19Z", laeq: float = 50.0
) -> LiveLevel:
    return LiveLevel(site, device, t, laeq, laeq, True)


def alert(number: int, site: str = "a") -> AlertSnapshot:
    nothing = dict.fromkeys(_NOTHING)
    return AlertSnapshot(
        id=number, rule_id=1, rule_kind="noise_window", site=site, source="d", state="firing", severity="warning",
        pending_since=NOW, no_data=False, detail={}, updated_at=NOW, **nothing,
    )  # fmt: skip


def parsed(frame: bytes) -> tuple[str, str, dict]:
    """Return (event, id, data) of a frame."""
    fields = dict(line.split(": ", 1) for line in frame.decode().strip().split("\n"))
    return fields["event"], fields.get("id", ""), json.loads(fields["data"])


# -- what is live ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age_s", "speed", "expected"),
    [
        (1, 1.0, None), (10.5, 1.0, None), (12, 1.0, "old"), (3600, 1.0, "old"), (-1, 1.0, None), (-3, 1.0, "future"),
        (300, 60.0, None), (700, 60.0, "old"), (-100, 60.0, None), (-200, 60.0, "future"),
    ],
)  # fmt: skip
def test_only_the_present_is_live(age_s: float, speed: float, expected: str | None) -> None:
    assert judge(NOW - timedelta(seconds=age_s), None, NOW, speed) == expected


def test_a_second_is_shown_once() -> None:
    assert judge(NOW, NOW, NOW, 1.0) == "repeated"
    assert judge(NOW, NOW - timedelta(seconds=1), NOW, 1.0) is None


@pytest.fixture
def feed(registry: Registry) -> LiveFeed:
    return LiveFeed(LiveHub(), registry, SetClock())


def levels_of(feed: LiveFeed) -> list[LiveLevel]:
    return feed._hub.latest()


def test_of_a_backlog_only_the_newest_second_is_shown(feed: LiveFeed) -> None:
    backlog = [encode(second(NOW - timedelta(seconds=n), 40.0 + n, n)) for n in range(600)]
    feed.accept(f"{TOPIC}/noise", encode_array(backlog))
    (shown,) = levels_of(feed)
    assert (shown.t, shown.laeq_db) == ("2026-03-02T14:05:20Z", 40.0)
    feed.accept(f"{TOPIC}/noise", encode_array(backlog[100:]))
    assert levels_of(feed) == [shown]
    assert feed.dropped["old"] == 1


def test_what_the_registry_does_not_know_and_what_is_no_message_is_dropped(feed: LiveFeed) -> None:
    good = encode_array([encode(second(NOW))])
    for topic in (
        f"qw/v1/{seeding.OWN_SITE}/stranger/noise",
        "qw/v1/nowhere/dong-men/noise",
        "some/thing",
        "qw/v1/x",
    ):
        feed.accept(topic, good)
    for payload in (b"", b"{", b"[]", b'[{"seq":1}]', b"\xff" * 100, b"[" * 5000):
        feed.accept(f"{TOPIC}/noise", payload)
        feed.accept(f"{TOPIC}/status", payload)
    feed.accept(f"{TOPIC}/noise", encode_array([encode(second(datetime(2100, 1, 1, tzinfo=UTC)))]))
    feed.accept(f"{TOPIC}/noise", encode_array([encode(second(datetime(1970, 1, 1, tzinfo=UTC)))]))
    assert levels_of(feed) == []
    assert feed.dropped["unknown"] == 2 and feed.dropped["topic"] == 2
    assert feed.dropped["future"] == 1 and feed.dropped["old"] == 1
    feed.accept(f"{TOPIC}/noise", good)
    assert len(levels_of(feed)) == 1


def test_a_meter_is_believed_only_from_the_device_that_reads_it(feed: LiveFeed) -> None:
    reading = WaterReading(seq=1, t=NOW, meter="zong-biao", volume_steps=500, step_ml=1000)
    feed.accept(f"{TOPIC}/water", encode_array([encode(reading)]))
    assert feed._hub._water == {}
    feed.accept(f"qw/v1/{seeding.OWN_SITE}/gateway/water", encode_array([encode(reading)]))
    assert feed._hub._water[seeding.OWN_SITE, "zong-biao"].register_ml == 500_000


def test_excluded_seconds_are_shown_as_invalid(feed: LiveFeed) -> None:
    feed.accept(f"{TOPIC}/noise", encode_array([encode(second(NOW, flags=("rain", "gap")))]))
    (shown,) = levels_of(feed)
    assert (shown.valid, shown.flags) == (False, ("rain", "gap"))


def test_states_are_told_when_they_change(feed: LiveFeed) -> None:
    for state in (
        b'{"state":"online"}',
        b'{"state":"online"}',
        b'{"state":"offline"}',
        b'{"state":"online"}',
    ):
        feed.accept(f"{TOPIC}/status", state)
    told = [parsed(one.frame)[2]["state"] for one in feed._hub._events]
    assert told == ["online", "offline", "online"]
    feed.accept(f"{TOPIC}/event", encode_array([encode(EdgeEvent(seq=1, t=NOW, kind="overload"))]))
    assert parsed(feed._hub._events[-1].frame)[2]["kind"] == "overload"


# -- the hub ---------------------------------------------------------------------------------------------------


async def taken(page, count: int) -> list[tuple[str, str, dict]]:
    frames = page.frames()
    return [parsed(await asyncio.wait_for(anext(frames), 60)) for _ in range(count)]


def run(test: Callable[[LiveHub], object], **options) -> None:
    async def main() -> None:
        hub = LiveHub(flush_s=0.0, **options)
        hub.bind(asyncio.get_running_loop())
        await test(hub)  # type: ignore[misc]

    asyncio.run(main())


def test_between_two_flushes_the_newest_level_of_a_device_wins() -> None:
    async def test(hub: LiveHub) -> None:
        page = hub.subscribe(None)
        assert [event for event, *_ in await taken(page, 2)] == ["hello", "levels"]
        for laeq in (50.0, 51.0, 52.0):
            hub.offer_levels([level(laeq=laeq), level(device="e", laeq=laeq)])
        ((event, _, data),) = await taken(page, 1)
        assert event == "levels"
        assert [(one["device"], one["laeq_db"]) for one in data["levels"]] == [("d", 52.0), ("e", 52.0)]

    run(test)


def test_a_page_gets_its_sites_and_nothing_else() -> None:
    async def test(hub: LiveHub) -> None:
        hub.offer_levels([level("a"), level("b")])
        await asyncio.sleep(0.05)
        mine, all_of_them = hub.subscribe(frozenset({"a"})), hub.subscribe(None)
        assert {one["site"] for one in (await taken(mine, 2))[1][2]["levels"]} == {"a"}
        assert {one["site"] for one in (await taken(all_of_them, 2))[1][2]["levels"]} == {"a", "b"}
        hub.offer_levels([level("b", laeq=60.0)])
        hub.publish_alert(alert(1, "b"))
        hub.publish_alert(alert(2, "a"))
        assert [data["id"] for event, _, data in await taken(mine, 1)] == [2]
        assert [event for event, *_ in await taken(all_of_them, 3)] == ["alert", "alert", "levels"]
        assert not mine.queue

    run(test)


def test_a_slow_page_loses_its_oldest_messages_is_counted_and_told() -> None:
    async def test(hub: LiveHub) -> None:
        slow, quick = hub.subscribe(None), hub.subscribe(None)
        await taken(slow, 2)
        await taken(quick, 2)
        for number in range(10):
            hub.publish_alert(alert(number))
            ((_, _, data),) = await taken(quick, 1)
            assert data["id"] == number
        events = await taken(slow, 5)
        assert [event for event, *_ in events] == ["resync", "alert", "alert", "alert", "alert"]
        assert [data["id"] for _, _, data in events[1:]] == [6, 7, 8, 9]
        assert hub.stats.dropped == 6

    run(test, queue_messages=4)


def test_a_page_that_comes_back_gets_what_it_missed() -> None:
    async def test(hub: LiveHub) -> None:
        first = hub.subscribe(None)
        hub.publish_alert(alert(1))
        hub.publish_alert(alert(2))
        last = [event_id for event, event_id, _ in await taken(first, 4) if event == "alert"][-1]
        hub.unsubscribe(first)
        hub.publish_alert(alert(3))
        hub.publish_alert(alert(4, "b"))
        await asyncio.sleep(0.05)
        back = hub.subscribe(frozenset({"a"}), last)
        assert [(event, data.get("id")) for event, _, data in await taken(back, 2)] == [
            ("alert", 3),
            ("levels", None),
        ]

    run(test)


@pytest.mark.parametrize(
    "strange", ["other-5", "nonsense", "-", "{boot}-999999", "{boot}-x", "{boot}--1", "{boot}-²"]
)
def test_an_id_of_another_start_or_time_means_load_anew(strange: str) -> None:
    async def test(hub: LiveHub) -> None:
        page = hub.subscribe(None, strange.replace("{boot}", hub._boot))
        assert (await taken(page, 1))[0][0] == "resync"

    run(test)


def test_what_is_too_long_ago_means_load_anew() -> None:
    async def test(hub: LiveHub) -> None:
        for number in range(600):
            hub.publish_alert(alert(number))
        await asyncio.sleep(0.05)
        page = hub.subscribe(None, f"{hub._boot}-3")
        assert (await taken(page, 1))[0][0] == "resync"
        assert len(hub._history) == 500

    run(test)


def test_without_a_loop_nothing_grows_without_bound() -> None:
    hub = LiveHub()
    for number in range(5000):
        hub.publish_alert(alert(number))
        hub.offer_levels([level(laeq=float(number % 100))])
    assert len(hub._events) == 2000 and hub.stats.events_dropped == 3000
    assert len(hub.latest()) == 1


def test_many_threads_hand_over_at_once() -> None:
    async def test(hub: LiveHub) -> None:
        page = hub.subscribe(None)
        await taken(page, 2)
        threads = [
            threading.Thread(target=lambda n=n: [hub.publish_alert(alert(n * 1000 + i)) for i in range(100)])
            for n in range(8)
        ]
        for one in threads:
            one.start()
        got = [data["id"] for _, _, data in await taken(page, 800)]
        for one in threads:
            one.join()
        assert sorted(got) == sorted(n * 1000 + i for n in range(8) for i in range(100))
        for n in range(8):
            mine = [one for one in got if one // 1000 == n]
            assert mine == sorted(mine)

    run(test, queue_messages=1000)


# -- over HTTP -------------------------------------------------------------------------------------------------


@contextmanager
def stream(served: Served, name: str = "bureau", **headers: str) -> Iterator[Iterator[tuple[str, str, dict]]]:
    """Open the event stream as somebody; yield its events."""
    person = Person(_app_of(served), name)
    cookies = {served.context.config.cookie_name: person.http.cookies[served.context.config.cookie_name]}
    with (
        httpx.Client(base_url=served.address, cookies=cookies, timeout=60) as client,
        client.stream("GET", "/api/v1/live", headers=headers) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert "content-encoding" not in answer.headers
        yield _events(answer)


def _app_of(served: Served):
    from api.app import create_app

    return create_app(served.context)


def _events(answer: httpx.Response) -> Iterator[tuple[str, str, dict]]:
    lines: list[str] = []
    for line in answer.iter_lines():
        if line:
            lines.append(line)
        elif lines:
            yield parsed("\n".join(lines).encode())
            lines = []


def test_the_stream_begins_with_the_clock_and_the_latest_levels(served: Served) -> None:
    served.context.live.offer_levels([level(seeding.OWN_SITE, "dong-men")])
    with stream(served) as events:
        first = [next(events) for _ in range(3)]
    assert [event for event, *_ in first] == ["clock", "hello", "levels"]
    assert first[0][2]["speed"] == 1.0
    assert first[2][2]["levels"][0]["device"] == "dong-men"


def test_a_viewer_is_not_sent_other_sites(served: Served) -> None:
    with stream(served, "viewer") as events:
        for _ in range(3):
            next(events)
        served.context.live.publish_alert(alert(7, seeding.OTHER_SITE))
        served.context.live.publish_alert(alert(8, seeding.OWN_SITE))
        event, event_id, data = next(events)
    assert (event, data["id"]) == ("alert", 8) and event_id


def test_closing_the_hub_ends_the_streams(served: Served) -> None:
    with stream(served) as events:
        for _ in range(3):
            next(events)
        served.context.live.close()
        assert list(events) == []
    deadline = time.monotonic() + 90
    while served.context.live.stats.clients and time.monotonic() < deadline:
        time.sleep(0.01)
    assert served.context.live.stats.clients == 0


def test_a_stream_ends_when_the_session_does(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy import delete

    from store.registry.models import LoginSession

    monkeypatch.setattr("api.routes.live._RECHECK_S", 0.0)
    with stream(served) as events:
        next(events)
        with served.context.registry.session() as session:
            session.execute(delete(LoginSession))
        served.context.live.publish_alert(alert(1, seeding.OWN_SITE))
        told = [event for event, *_ in events]
    assert told[-1] == "bye" and "alert" not in told


# -- from the broker -------------------------------------------------------------------------------------------


@pytest.mark.system
def test_from_the_broker_to_the_page_second_by_second(
    served: Served, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    registry = served.context.registry
    broker = EmbeddedBroker(tmp_path / "broker", registry, port=free_port())
    broker.start()
    user, password = broker.login
    feed = LiveFeed(served.context.live, registry, served.context.clock)
    source = LiveMqtt(broker.url, feed, username=user, password=password)
    device = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="device")
    try:
        source.start()
        _wait(lambda: source.connected, "the live feed to connect")
        device.username_pw_set(f"{seeding.OWN_SITE}.dong-men", "a-device-password")
        device.connect("127.0.0.1", int(broker.url.rpartition(":")[2]))
        device.loop_start()
        _push_and_watch(served, device, 12)
    finally:
        device.disconnect()
        device.loop_stop()
        source.stop()
        broker.stop()
    assert not source.connected


def _push_and_watch(served: Served, device: mqtt.Client, count: int) -> None:
    """Publish seconds, each when the one before was seen on the page."""
    t = served.context.clock.now() - timedelta(days=1)
    with stream(served) as events:
        for _ in range(3):
            next(events)
        for n in range(count):
            # Seconds that are over and still live, however long the one before took.
            earliest = served.context.clock.now().replace(microsecond=0) - timedelta(seconds=6)
            t = max(t + timedelta(seconds=1), earliest)
            _wait(lambda t=t: served.context.clock.now() > t, "the second to come")
            device.publish(f"{TOPIC}/noise", encode_array([encode(second(t, 40.0 + n, n))]), qos=1)
            while True:
                event, _, data = next(events)
                if event == "levels" and data["levels"][0]["laeq_db"] == 40.0 + n:
                    break


def _wait(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)
