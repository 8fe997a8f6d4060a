"""A small city in real stores: three quarters with a day of noise, two of water, users of every role, alerts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np

from contract.messages import DeviceStatus, EdgeEvent, NoiseMinute, NoiseSecond, WaterReading
from store.registry import quarantine
from store.registry.database import Registry
from store.registry.device_state import StatusReport, record_statuses
from store.registry.models import Alert, AlertTransition, Rule, User, UserSite
from store.registry.provisioning import add_device, add_meter, add_site
from store.registry.users import hash_password
from store.series.interface import Entry, NoiseHour, SeriesStore

NOW = datetime(2026, 3, 2, 14, 5, 20, tzinfo=UTC)
"""22:05:20 in Beijing: five minutes into the night."""
HISTORY_H = 26
PASSWORD = "correct-horse-battery"
ROLES = ("admin", "bureau", "water_office", "manager", "committee", "viewer")
OWN_SITE = "jing-yuan"
"""The quarter of the manager, the committee and the viewer."""
OTHER_SITE = "hu-pan"
SITES = {
    "jing-yuan": ("静园小区", "Quiet Garden", "海淀区", "1", 39.96, 116.31),
    "hu-pan": ("湖畔家园", "Lakeside Homes", "朝阳区", "1", 39.93, 116.45),
    "shu-yuan": ("书院里", "Academy Lane", "西城区", "2", 39.91, 116.36),
}
DEVICES = {
    "jing-yuan": [("dong-men", "东门", "East gate"), ("zhong-ting", "中庭", "Courtyard")],
    "hu-pan": [("bei-men", "北门", "North gate"), ("er-tong", "儿童乐园", "Playground")],
    "shu-yuan": [("lin-jie", "临街", "Street side")],
}
LEVEL_BASE_DB = {"dong-men": 46.0, "zhong-ting": 40.0, "bei-men": 39.0, "er-tong": 38.0, "lin-jie": 52.0}
METERS = 12


def seed_series(series: SeriesStore) -> None:
    """Write a day of seconds of every noise device and two and a half days of every meter."""
    for site, devices in DEVICES.items():
        for number, (device, _, _) in enumerate(devices):
            entries = list(noise_entries(site, device, seed=number))
            for start in range(0, len(entries), 20_000):
                assert not series.write(entries[start : start + 20_000]).rejected
        for meter in range(METERS):
            assert not series.write(list(water_entries(site, meter))).rejected
        series.write(list(_events(site, devices[0][0])))
    seed_months(series)


def seed_months(series: SeriesStore, days: int = 120) -> None:
    """Write stored hours of the months before, and minutes of spectra and sound events of the last hours."""
    random = np.random.default_rng(7)
    first = datetime(2026, 3, 1, 12, tzinfo=UTC) - timedelta(days=days)
    for device, base in (("dong-men", 48.0), ("zhong-ting", 42.0)):
        rows = [
            _stored_hour(device, first + timedelta(hours=n), base, random)
            for n in range(days * 24)
            if not 600 <= n < 650
        ]
        series.write_rollups(rows, [])
        minutes = []
        for n in range(90):
            t = NOW.replace(second=0) - timedelta(minutes=n + 1)
            bands = tuple(round(62.0 - 1.4 * abs(i - 6) + float(random.normal(0, 0.5)), 1) for i in range(30))
            minutes.append(
                NoiseMinute(
                    seq=600_000 + n,
                    t=t,
                    laf_bins=(450, 460),
                    laf_counts=(20, 40),
                    first_band=14,
                    bands_db=bands,
                )
            )
        assert not series.write([Entry(OWN_SITE, device, one, one.t) for one in minutes]).rejected
    events = [
        EdgeEvent(
            seq=700_000 + n, t=NOW - timedelta(hours=1 + n), kind="sound_event",
            detail={"duration_s": 8.4 + n, "lafmax_db": 71.2 - n, "lae_db": 78.0, "background_db": 44.1},
        )
        for n in range(5)
    ]  # fmt: skip
    series.write([Entry(OWN_SITE, "dong-men", one, one.t) for one in events])


def _stored_hour(device: str, t: datetime, base: float, random: np.random.Generator) -> NoiseHour:
    local = (t.hour + 8) % 24
    level = base - (8.0 if local < 6 or local >= 22 else 0.0) + (3.0 if local in (8, 18) else 0.0)
    level += float(random.normal(0.0, 1.3)) + (3.5 if t.weekday() == 4 and local in (22, 23) else 0.0)
    bins = [round(level * 10) + offset for offset in range(-40, 60, 5)]
    return NoiseHour(
        OWN_SITE, device, t, level, level + 5, level + 3.5, level - 0.5, level - 3, level - 4, level + 16, level - 7,
        2.5, 3600.0, 1.0, 3600.0, 3600, "histogram", bins, [180] * len(bins),
    )  # fmt: skip


def noise_entries(site: str, device: str, *, seed: int) -> Iterator[Entry]:
    """Yield the seconds of a device: quieter at night, with passing cars, and some invalid time."""
    random = np.random.default_rng(seed)
    start = NOW - timedelta(hours=HISTORY_H)
    count = HISTORY_H * 3600
    hours = (np.arange(count) / 3600.0 + start.hour + 8 + start.minute / 60.0) % 24.0
    to_three = np.minimum(abs(hours - 3.0), 24.0 - abs(hours - 3.0))
    daily = -7.0 * np.exp(-(to_three**2) / 9.0) + 5.0 * np.exp(-((hours - 18.0) ** 2) / 8.0)
    slow = np.convolve(random.normal(0.0, 1.0, count), np.ones(120) / 11.0, "same")
    passing = np.zeros(count)
    for at in random.integers(0, count - 40, count // 700):
        passing[at : at + 40] += random.uniform(6.0, 17.0) * np.hanning(40)
    levels = LEVEL_BASE_DB[device] + daily + slow + passing + random.normal(0.0, 0.6, count)
    for i, laeq in enumerate(levels.tolist()):
        if 5 * 3600 < i < 5 * 3600 + 900:
            continue  # a quarter of an hour without power
        flags = ("rain",) if 9 * 3600 <= i < 9 * 3600 + 2400 else ()
        second = NoiseSecond(
            seq=i, t=start + timedelta(seconds=i), laeq_db=round(laeq, 2), lafmax_db=round(laeq + 3.1, 2),
            lafmin_db=round(laeq - 2.4, 2), laf_db=round(laeq + 0.3, 2), flags=flags,
        )  # fmt: skip
        yield Entry(site, device, second, second.t + timedelta(seconds=1))


def water_entries(site: str, number: int) -> Iterator[Entry]:
    """Yield a meter's readings every quarter of an hour: morning and evening peaks; one household leaks."""
    random = np.random.default_rng(100 + number)
    start = datetime(2026, 2, 28, 0, 0, tzinfo=UTC)
    register = 100_000 + 1_000 * number
    step = 0
    t = start
    while t <= NOW:
        hour = (t.hour + 8 + t.minute / 60.0) % 24.0
        use = 2.0 + 26.0 * np.exp(-((hour - 7.5) ** 2) / 2.0) + 34.0 * np.exp(-((hour - 19.5) ** 2) / 4.0)
        used = float(random.gamma(1.2, use / 4.0)) if random.random() < 0.55 else 0.0
        if number == 0:
            used = 11.0 * (use / 3.0) * random.uniform(0.7, 1.2) + 6.0
        if number == 4:
            used += 3.0
        register += round(used)
        reading = WaterReading(
            seq=step,
            t=t,
            meter=meter_name(number),
            volume_steps=register,
            step_ml=1000,
            serial=f"SN{number:04d}",
        )
        yield Entry(site, "gateway", reading, t + timedelta(seconds=1))
        t += timedelta(minutes=15)
        step += 1


def _events(site: str, device: str) -> Iterator[Entry]:
    for hours, kind in ((20, "restart"), (9, "calibration"), (2, "overload")):
        event = EdgeEvent(
            seq=500_000 + hours, t=NOW - timedelta(hours=hours), kind=kind, detail={"note": "seeded"}
        )
        yield Entry(site, device, event, event.t)


def meter_name(number: int) -> str:
    """Return the name of a meter by its number."""
    return {0: "zong-biao", 1: "lv-hua"}.get(number, f"b{1 + number // 6}-{100 + number}")


def seed_registry(registry: Registry) -> None:
    """Make sites, devices, meters, users of every role, rules, alerts and a quarantined message."""
    with registry.session() as session:
        for name, (zh, en, district, zone, latitude, longitude) in SITES.items():
            add_site(
                session, name, label_zh=zh, label_en=en, district=district, zone_class=zone, now=NOW,
                latitude=latitude, longitude=longitude,
            )  # fmt: skip
            for device, label_zh, label_en in DEVICES[name]:
                add_device(
                    session, name, device, kind="noise", label_zh=label_zh, label_en=label_en, now=NOW,
                    type_approved=device == "lin-jie", password="a-device-password",
                )  # fmt: skip
            add_device(
                session, name, "gateway", kind="gateway", label_zh="水表网关", label_en="Meter gateway", now=NOW,
                password="a-device-password",
            )  # fmt: skip
            for number in range(METERS):
                role = "master" if number == 0 else "public" if number == 1 else "household"
                zh_label = {0: "小区总表", 1: "绿化"}.get(number, f"{1 + number // 6}号楼 {100 + number}")
                en_label = {0: "Master meter", 1: "Garden"}.get(
                    number, f"Building {1 + number // 6}, {100 + number}"
                )
                add_meter(
                    session, name, meter_name(number), device="gateway", label_zh=zh_label, label_en=en_label,
                    now=NOW, role=role,
                )  # fmt: skip
        _seed_states(session)
        _seed_users(session)
        _seed_alerts(session)
        rejected = quarantine.Rejected(
            "qw/v1/jing-yuan/dong-men/noise",
            "bad_payload",
            "not a JSON array of readings",
            b"<script>alert(1)</script>",
            25,
        )
        quarantine.hold(session, [rejected], NOW - timedelta(minutes=5))


def _seed_states(session) -> None:
    for site, devices in DEVICES.items():
        for device, *_ in [*devices, ("gateway",)]:
            if (site, device) == ("hu-pan", "gateway"):
                continue  # never seen
            status = DeviceStatus(
                state="online", t=NOW - timedelta(seconds=20), version="0.1.0", clock_offset_ms=3.2,
                clock_synced=True, outbox_depth=4, temperature_c=48.5, disk_free_mb=21_000, uptime_s=86_000,
            )  # fmt: skip
            record_statuses(session, [StatusReport(site, device, status, NOW - timedelta(seconds=20))])
    gone = StatusReport("shu-yuan", "gateway", DeviceStatus(state="offline"), NOW - timedelta(minutes=40))
    record_statuses(session, [gone])


@cache
def _hash() -> str:
    return hash_password(PASSWORD)


def _seed_users(session) -> None:
    for role in ROLES:
        user = User(name=role, password_hash=_hash(), role=role, language="zh", created_at=NOW)
        if role in ("manager", "committee", "viewer"):
            user.sites = [UserSite(site=OWN_SITE)]
        session.add(user)
    session.flush()


def _seed_alerts(session) -> None:
    rules = {}
    for site in SITES:
        for kind in ("noise_window", "water_continuous"):
            rule = Rule(site=site, kind=kind, params={}, updated_at=NOW)
            session.add(rule)
            session.flush()
            rules[site, kind] = rule.id

    def add(site, kind, source, state, began, **more):
        rule = rules[site, kind]
        alert = Alert(
            rule_id=rule, rule_kind=kind, site=site, source=source, state=state, pending_since=began,
            firing_since=began + timedelta(minutes=2), updated_at=NOW,
            open_key=f"{rule}/{site}/{source}" if state not in ("resolved", "cancelled") else None, **more,
        )  # fmt: skip
        session.add(alert)
        session.flush()
        for at, before, after, reason in (
            (began, "pending", "pending", "condition_met"),
            (began + timedelta(minutes=2), "pending", "firing", "condition_held"),
        ):
            session.add(
                AlertTransition(
                    alert_id=alert.id, at=at, from_state=before, to_state=after, reason=reason, who="analysis"
                )
            )
        if state == "resolved":
            session.add(
                AlertTransition(
                    alert_id=alert.id,
                    at=alert.resolved_at,
                    from_state="firing",
                    to_state="resolved",
                    reason="condition_gone",
                    who="analysis",
                )
            )
        return alert

    noise = {
        "value": 48.6,
        "limit": 45.0,
        "peak_value": 52.3,
        "detail": {"standard": "GB 3096-2008", "clause": "5.1, table 1", "period": "night", "window_s": 600},
    }
    add(
        "jing-yuan",
        "noise_window",
        "zhong-ting",
        "resolved",
        NOW - timedelta(hours=8),
        resolved_at=NOW - timedelta(hours=7),
        **noise,
    )
    add("jing-yuan", "noise_window", "dong-men", "firing", NOW - timedelta(minutes=4), **noise)
    add(
        "jing-yuan",
        "water_continuous",
        meter_name(4),
        "firing",
        NOW - timedelta(hours=3),
        value=12.0,
        limit=0.0,
        peak_value=14.5,
        detail={"window_s": 86_400, "used_l": 402.0, "step_ml": 1000},
    )
    add(
        "hu-pan",
        "noise_window",
        "bei-men",
        "acknowledged",
        NOW - timedelta(minutes=30),
        acknowledged_at=NOW - timedelta(minutes=20),
        acknowledged_by="bureau",
        **noise,
    )
    add(
        "shu-yuan",
        "water_continuous",
        meter_name(7),
        "escalated",
        NOW - timedelta(hours=5),
        value=9.0,
        limit=0.0,
        peak_value=9.0,
        detail={"window_s": 86_400},
    )
