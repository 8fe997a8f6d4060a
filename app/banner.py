"""What a server tells when it runs: where the page is, the first password, where the data are."""

from __future__ import annotations

from dataclasses import dataclass

from app.system import Part, System
from contract.clock import Clock
from store.registry.address import in_folder


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that is told: its key in JSON, its words for people, its value, and a note for people."""

    key: str
    words: str
    value: str
    note: str = ""


def rows(system: System, parts: tuple[Part, ...], clock: Clock, demo_speed: float | None) -> list[Row]:
    """Return what is told of a system that has been started. ``demo_speed`` is ``None`` without a demo."""
    told: list[Row] = []
    if "serve" in parts:
        told.append(Row("page", "page 页面        ", system.address))
        if system.admin_password:
            told.append(Row("user", "user 用户        ", "admin"))
            told.append(
                Row("password", "password 密码    ", system.admin_password, "   (shown once, 仅显示一次)")
            )
        else:
            note = "   (new password: quietwater admin user password admin)"
            told.append(Row("user", "user 用户        ", "admin", note))
    if "broker" in parts:
        told.append(Row("broker", "MQTT             ", system.broker_url))
    if system.metrics_address:
        told.append(Row("metrics", "metrics 指标     ", f"{system.metrics_address}/metrics"))
    told.append(Row("data", "data 数据        ", str(system.settings.data.absolute())))
    if parts != ("broker",):
        told.append(Row("series", "series 数据库    ", str(system.settings.series)))
    if system.settings.registry != in_folder(system.settings.data):
        told.append(Row("registry", "registry 登记库  ", str(system.settings.registry)))
    if demo_speed is not None and clock.speed > 1:
        note = f" UTC, {demo_speed:g} times as fast until it is now"
        told.append(Row("demo_clock", "demo clock       ", f"{clock.now():%Y-%m-%d %H:%M}", note))
    return told


def for_people(told: list[Row]) -> str:
    """Return it as text in Chinese and English."""
    lines = [f"  {row.words}{row.value}{row.note}" for row in told]
    end = "Ctrl-C stops everything; the next start goes on with the same data."
    return "\n".join(["", "Quietwater runs.  静水运行中。", "", *lines, "", end, ""])
