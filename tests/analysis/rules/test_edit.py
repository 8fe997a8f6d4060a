from datetime import timedelta

import pytest

from analysis.rules.catalog import DEFAULT_RULES, ensure_default_rules, new_kinds
from analysis.rules.edit import (
    BadRule,
    ChangedMeanwhile,
    NoSuchRule,
    add_rule,
    change_rule,
    effective,
    history,
    schema,
)
from analysis.rules.kinds import view
from store.registry.database import Registry
from store.registry.models import Rule
from tests.analysis.quarter import NOON


def test_every_change_is_a_version_with_who_and_why(registry: Registry) -> None:
    with registry.session() as session:
        rule = add_rule(
            session, "garden", "noise_window", {"margin_db": 3.0, "window_s": 600}, who="li", now=NOON
        )
        assert rule.params == {"margin_db": 3.0}  # what equals the default is left to it
        later = NOON + timedelta(hours=1)
        change_rule(
            session, rule.id, params={"margin_db": 5.0}, who="wang", now=later, note="too many at night"
        )
        change_rule(session, rule.id, enabled=False, who="wang", now=later)
        change_rule(session, rule.id, enabled=False, who="wang", now=later)
        versions = history(session, rule.id)
        assert [(one.version, one.params, one.enabled, one.who, one.note) for one in versions] == [
            (1, {"margin_db": 3.0}, True, "li", ""),
            (2, {"margin_db": 5.0}, True, "wang", "too many at night"),
            (3, {"margin_db": 5.0}, False, "wang", ""),
        ]
        assert rule.version == 3 and rule.updated_at == later


def test_two_people_do_not_overwrite_each_other(registry: Registry) -> None:
    with registry.session() as session:
        rule = add_rule(session, "garden", "noise_window", {}, who="li", now=NOON)
        change_rule(session, rule.id, params={"margin_db": 1.0}, who="li", now=NOON, expected_version=1)
        with pytest.raises(ChangedMeanwhile, match="version 2"):
            change_rule(session, rule.id, params={"margin_db": 2.0}, who="wang", now=NOON, expected_version=1)


@pytest.mark.parametrize(
    ("site", "kind", "params", "told"),
    [
        ("garden", "noise_window", {"window_s": 5}, "window_s"),
        ("garden", "noise_window", {"margin": 5}, "margin"),
        ("garden", "noise_window", {"severity": "awful"}, "severity"),
        ("garden", "moon", {}, "no kind 'moon'; known: .*noise_window"),
        ("nowhere", "noise_window", {}, "no site"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(
    registry: Registry, site: str, kind: str, params: dict[str, object], told: str
) -> None:
    with registry.session() as session, pytest.raises(BadRule, match=told):
        add_rule(session, site, kind, params, who="li", now=NOON)


def test_there_is_no_rule_99(registry: Registry) -> None:
    with registry.session() as session, pytest.raises(NoSuchRule, match="99"):
        change_rule(session, 99, enabled=False, who="li", now=NOON)


def test_a_site_gets_its_default_rules_once(registry: Registry) -> None:
    with registry.session() as session:
        assert ensure_default_rules(session, "garden", NOON) == len(DEFAULT_RULES)
        assert ensure_default_rules(session, "garden", NOON) == 0
        assert [one.who for one in history(session, 1)] == ["default"]
        for number in range(1, len(DEFAULT_RULES) + 1):
            view(session.get_one(Rule, number), new_kinds())


@pytest.mark.parametrize("kind", sorted(new_kinds()))
def test_every_kind_has_defaults_that_validate_and_a_schema(kind: str) -> None:
    params = new_kinds()[kind].params()
    told = effective(params)
    assert {"hold_s", "recover_s", "severity", "escalate"} <= told.keys()
    assert kind and schema(kind)["$defs"]
