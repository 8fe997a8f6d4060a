from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from analysis.notify.facts import Facts
from analysis.notify.wording import INDICATIVE, MOST_IN_FULL, compose

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOISE = Facts(
    alert_id=7, event="firing", kind="noise_window", severity="warning", site_zh="静园", site_en="Quiet Garden",
    source_zh="大门", source_en="Gate", since=datetime(2026, 3, 1, 22, 41, tzinfo=SHANGHAI), until=None, value=58.34,
    limit=45.0, worst=60.0, detail={"window_s": 600, "period": "night", "standard": "GB 3096-2008"},
    acknowledged_by=None, indicative=True,
)  # fmt: skip
WATER = replace(
    NOISE, kind="water_continuous", source_zh="1 号户", source_en="Flat 1", value=12.0, limit=0.0, worst=12.0,
    detail={"window_s": 86_400}, indicative=False,
)  # fmt: skip


def test_noise_in_chinese() -> None:
    message = compose([NOISE], "zh", {7: "http://q/7"})
    assert message.title == "静园:噪声超限"
    for told in (
        "静园 · 大门", "10 分钟等效声级 58.3 dB(A)", "夜间限值 45 dB(A) 13.3 dB", "2026-03-01 22:41", "怎么办",
        "http://q/7", "GB 3096-2008", "不作执法依据",
    ):  # fmt: skip
        assert told in message.body


def test_noise_in_english() -> None:
    message = compose([NOISE], "en", {7: "http://q/7"})
    assert message.title == "Quiet Garden: noise above the limit"
    for told in (
        "Quiet Garden · Gate", "over 10 minutes: 58.3 dB(A)", "13.3 dB above the night limit of 45 dB(A)",
        "Since: 2026-03-01 22:41", "What to do", "http://q/7", "Indicative, not for enforcement",
    ):  # fmt: skip
        assert told in message.body


def test_a_quiet_period_is_named_and_its_number_is_no_standards() -> None:
    quiet = {"quiet_zh": "午休", "quiet_en": "midday rest", "standard": "project default", "window_s": 30}
    noise = replace(NOISE, limit=50.0, detail={"period": "day", **quiet})
    assert "30 秒等效声级 58.3 dB(A),超过午休限值 50 dB(A) 8.3 dB(项目默认值)" in compose([noise], "zh").body
    told = compose([noise], "en").body
    assert (
        "over 30 seconds: 58.3 dB(A), 8.3 dB above the midday rest limit of 50 dB(A) (project default)"
        in told
    )


def test_a_type_approved_instrument_is_not_called_indicative() -> None:
    for language, told in zip(("zh", "en"), INDICATIVE, strict=True):
        assert told not in compose([replace(NOISE, indicative=False)], language).body  # type: ignore[arg-type]


def test_water_tells_the_loss_of_a_month() -> None:
    assert "12.0 L/h,照此每月约 8.6 m³" in compose([WATER], "zh").body
    assert "lowest flow was 12.0 L/h, about 8.6 m³ a month" in compose([WATER], "en").body


def test_the_end_tells_how_long_and_how_bad() -> None:
    over = replace(NOISE, event="resolved", until=NOISE.since + timedelta(minutes=95))
    zh, en = compose([over], "zh"), compose([over], "en")
    assert zh.title == "静园:已恢复:噪声超限" and "最高的10 分钟等效声级 60.0 dB(A)" in zh.body
    assert "历时 1 小时 35 分钟" in zh.body and "怎么办" not in zh.body
    assert en.title == "Quiet Garden: over: noise above the limit" and "1 h 35 min in all" in en.body


def test_a_storm_is_one_message_that_counts_what_it_does_not_tell() -> None:
    many = [replace(NOISE, alert_id=n, source_en=f"Gate {n}") for n in range(MOST_IN_FULL + 3)]
    message = compose(many, "en")
    assert message.title == f"Quiet Garden: {len(many)} alerts"
    assert f"Gate {MOST_IN_FULL - 1}" in message.body and f"Gate {MOST_IN_FULL}" not in message.body
    assert "3 more alerts" in message.body


def test_a_kind_without_words_is_still_told() -> None:
    assert compose([replace(NOISE, kind="new_kind")], "en").title == "Quiet Garden: alert"


def test_a_message_needs_something_to_say() -> None:
    with pytest.raises(ValueError, match="at least one"):
        compose([], "zh")
