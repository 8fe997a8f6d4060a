"""The kinds of :class:`contract.messages.EdgeEvent`, with what they mean in both languages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class EventKind:
    """Labels of one kind of event."""

    zh: str
    en: str


EVENT_KINDS: Final[dict[str, EventKind]] = {
    "restart": EventKind("设备启动", "Device started"),
    "gap": EventKind("采集中断", "Measuring was interrupted"),
    "source_lost": EventKind("传声器断开", "Microphone lost"),
    "source_back": EventKind("传声器恢复", "Microphone back"),
    "overload": EventKind("过载", "Overload"),
    "calibration": EventKind("校准", "Calibration"),
    "clock_step": EventKind("时钟跳变", "Clock stepped"),
    "sound_event": EventKind("声事件", "Sound event"),
    "readings_dropped": EventKind("缓存已满,丢弃最旧数据", "Outbox full: oldest readings dropped"),
    "outbox_replaced": EventKind("缓存文件损坏,已更换", "Outbox file was corrupt and replaced"),
    "readings_refused": EventKind("服务器拒收", "Readings refused by the server"),
    "meter_silent": EventKind("水表无应答", "Meter does not answer"),
    "meter_back": EventKind("水表恢复应答", "Meter answers again"),
    "meter_replaced": EventKind("水表已更换", "Meter was replaced"),
    "tamper": EventKind("拆动", "Tampering"),
    "weather": EventKind("气象", "Weather"),
}
