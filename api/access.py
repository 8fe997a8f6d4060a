"""Who may do what: one table of every operation, and the one decision over it. Pure.

An operation that has no row is refused for everybody. A ``site`` in the path or the query is checked against the sites
that the user may see, here and for every route alike; operations on an alert look at its own site by
:meth:`Identity.may_see`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from api.problems import ApiProblem, not_found
from store.registry.users import ROLES, Role

Refusal = Literal["login_required", "not_allowed", "no_such_site"]


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call an operation: ``roles`` of those logged in, or anybody at all where it is ``public``."""

    roles: frozenset[Role] = frozenset()
    public: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks. ``sites`` are what they may see, ``None`` for every site."""

    user_id: int
    name: str
    role: Role
    language: str
    sites: frozenset[str] | None
    csrf_token: str
    token: str

    def may_see(self, site: str) -> bool:
        """Whether the user may see a site."""
        return self.sites is None or site in self.sites


ADMINS: Final = Access(frozenset({"admin"}))
PUBLIC: Final = Access(public=True)
READERS: Final = Access(frozenset(ROLES))
RESPONDERS: Final = Access(frozenset({"admin", "bureau", "water_office", "manager"}))
OFFICIALS: Final = Access(frozenset({"admin", "bureau"}))

OPERATIONS: Final[Mapping[str, Access]] = {
    "healthz": PUBLIC,
    "readyz": PUBLIC,
    "login": PUBLIC,
    "get_session": PUBLIC,
    "logout": READERS,
    "get_me": READERS,
    "change_password": READERS,
    "change_language": READERS,
    "list_sites": READERS,
    "get_site": READERS,
    "list_devices": READERS,
    "list_meters": READERS,
    "get_latest": READERS,
    "get_noise_series": READERS,
    "get_noise_seconds": READERS,
    "get_noise_hours": READERS,
    "get_noise_days": READERS,
    "get_noise_trend": READERS,
    "get_noise_profile": READERS,
    "get_noise_spectrum": READERS,
    "get_water_today": READERS,
    "get_water_hours": READERS,
    "get_water_days": READERS,
    "list_events": READERS,
    "list_alerts": READERS,
    "get_alert": READERS,
    "acknowledge_alert": RESPONDERS,
    "get_linked_alert": PUBLIC,
    "acknowledge_linked_alert": PUBLIC,
    "get_notify_prefs": RESPONDERS,
    "change_notify_prefs": RESPONDERS,
    "stream_live": READERS,
    "list_contacts": READERS,
    "add_contact": RESPONDERS,
    "remove_contact": RESPONDERS,
    "try_contact": RESPONDERS,
    "list_rules": READERS,
    "get_rule_history": READERS,
    "change_rule_of_site": OFFICIALS,
    "list_silences": READERS,
    "add_silence": RESPONDERS,
    "lift_silence": RESPONDERS,
    "list_users": ADMINS,
    "add_user": ADMINS,
    "change_user": ADMINS,
    "renew_password": ADMINS,
    "add_site": ADMINS,
    "get_site_settings": OFFICIALS,
    "change_site": ADMINS,
    "add_device": ADMINS,
    "change_device": ADMINS,
    "renew_device_password": ADMINS,
    "add_meter": ADMINS,
    "change_meter": ADMINS,
    "list_limits": READERS,
    "list_quarantine": OFFICIALS,
    "count_quarantine": OFFICIALS,
    "list_audit": OFFICIALS,
    "get_openapi": READERS,
}


def decide(access: Access | None, who: Identity | None, site: str | None) -> Refusal | None:
    """Return why an operation is refused, or ``None`` where it is allowed. ``access`` ``None`` is an unknown one."""
    if access is not None and access.public:
        return None
    if who is None:
        return "login_required"
    if access is None or who.role not in access.roles:
        return "not_allowed"
    if site is not None and not who.may_see(site):
        return "no_such_site"
    return None


def refuse(refusal: Refusal, *, site: str | None = None, role: str = "") -> ApiProblem:
    """Return the answer to a refused operation."""
    match refusal:
        case "login_required":
            return ApiProblem(401, "login_required", "log in first")
        case "not_allowed":
            return ApiProblem(403, "not_allowed", f"the role {role!r} may not do this")
        case "no_such_site":
            return not_found(f"site {site!r}")
