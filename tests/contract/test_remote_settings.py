import pytest

from contract.remote_settings import REMOTE_SETTINGS, faults


@pytest.mark.parametrize("setting", REMOTE_SETTINGS.values(), ids=lambda one: one.key)
def test_each_setting_takes_its_range_and_nothing_else(setting):
    if setting.kind == "bool":
        assert faults({setting.key: True}) == []
        bad = [1, "true", None]
    else:
        assert faults({setting.key: setting.lowest}) == faults({setting.key: setting.highest}) == []
        assert (faults({setting.key: None}) == []) == setting.optional
        bad = [setting.lowest - 1, setting.highest + 1, True, "5"]
    for value in bad:
        assert len(found := faults({setting.key: value})) == 1 and setting.key in found[0], value


@pytest.mark.parametrize(
    "key",
    ["mqtt.url", "site", "data", "noise.source", "noise.full_scale_db", "water.receivers", "server.url"],
)
def test_what_could_cut_a_device_off_is_not_set_from_afar(key):
    assert faults({key: "x"}) == [
        f"{key} cannot be set from afar, or not in this version; see `edge.toml` on the device"
    ]


def test_every_fault_is_named_and_settings_are_held_against_each_other():
    assert len(faults({"noise.spectrum": 3, "what": 1, "status_interval_s": 1})) == 3
    assert faults({"water.jitter_s": 10, "water.interval_s": 5}) == [
        "water.jitter_s (10) is longer than water.interval_s (5)"
    ]
