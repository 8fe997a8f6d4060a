"""Make and change rules; every version is kept with who made it and why. The caller owns the session."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from analysis.rules.catalog import new_kinds
from analysis.rules.kinds import RuleParams, kind_of, parse_params
from store.registry.models import Rule, RuleVersion, Site


class BadRule(ValueError):
    """A rule that cannot be stored; the message names the parameter and the cure."""


class NoSuchRule(LookupError):
    """There is no rule of that number."""


class ChangedMeanwhile(ValueError):
    """Somebody else changed the rule since it was read: read it again."""


def add_rule(
    session: Session, site: str, kind: str, params: Mapping[str, Any], *, who: str, now: datetime, enabled: bool = True,
    note: str = "",
) -> Rule:  # fmt: skip
    """Make a rule. Raises :class:`BadRule`."""
    if session.get(Site, site) is None:
        raise BadRule(f"there is no site {site!r}")
    rule = Rule(site=site, kind=kind, enabled=enabled, params=checked(kind, params), updated_at=now)
    session.add(rule)
    session.flush()
    _keep_version(session, rule, who, now, note)
    return rule


def change_rule(
    session: Session, rule_id: int, *, who: str, now: datetime, params: Mapping[str, Any] | None = None,
    enabled: bool | None = None, note: str = "", expected_version: int | None = None,
) -> Rule:  # fmt: skip
    """Change parameters or switch a rule; ``None`` leaves as it is. What changes nothing makes no version.

    Raises :class:`NoSuchRule`, :class:`BadRule`, and :class:`ChangedMeanwhile` unless ``expected_version`` is right.
    """
    rule = session.get(Rule, rule_id, with_for_update=True)
    if rule is None:
        raise NoSuchRule(f"there is no rule {rule_id}")
    if expected_version is not None and expected_version != rule.version:
        raise ChangedMeanwhile(
            f"rule {rule_id} is at version {rule.version} by now; read it again and change that"
        )
    new_params = rule.params if params is None else checked(rule.kind, params)
    new_enabled = rule.enabled if enabled is None else enabled
    if (new_params, new_enabled) == (rule.params, rule.enabled):
        return rule
    rule.params, rule.enabled = new_params, new_enabled
    rule.version += 1
    rule.updated_at = now
    session.flush()
    _keep_version(session, rule, who, now, note)
    return rule


def history(session: Session, rule_id: int) -> list[RuleVersion]:
    """Return every version of a rule, oldest first."""
    query = select(RuleVersion).where(RuleVersion.rule_id == rule_id).order_by(RuleVersion.version)
    return list(session.scalars(query))


def checked(kind: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as they are stored: validated, and without what equals the default.

    Raises :class:`BadRule`.
    """
    try:
        known = kind_of(new_kinds(), kind, "rule")
        parsed = parse_params(known, params, "rule")
    except ValueError as error:
        raise BadRule(str(error)) from None
    defaults: dict[str, Any] = msgspec.to_builtins(known.params())
    return {key: value for key, value in effective(parsed).items() if value != defaults[key]}


def effective(params: RuleParams) -> dict[str, Any]:
    """Return all parameters of a rule, the defaults included."""
    return msgspec.to_builtins(params)


def schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of a kind's parameters, for the form on the page. Raises :class:`BadRule`."""
    try:
        return msgspec.json.schema(kind_of(new_kinds(), kind, "rule").params)
    except ValueError as error:
        raise BadRule(str(error)) from None


def _keep_version(session: Session, rule: Rule, who: str, now: datetime, note: str) -> None:
    session.add(
        RuleVersion(
            rule_id=rule.id, version=rule.version, enabled=rule.enabled, params=dict(rule.params), at=now, who=who,
            note=note[:200],
        )
    )  # fmt: skip
    session.flush()
