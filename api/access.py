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
from store.registry.tokens import Scope
from store.registry.users import ROLES, Role

Refusal = Literal[
    "login_required", "not_allowed", "people_only", "scope_missing", "factor_missing", "no_such_site"
]


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call an operation: ``roles`` of those logged in, or anybody at all where it is ``public``.

    A program's token needs ``scope`` too; where that is ``None`` the operation is for people alone. ``before_factor``
    is true of what somebody may do who has yet to enrol the second factor that is demanded of them.
    """

    roles: frozenset[Role] = frozenset()
    scope: Scope | None = None
    public: bool = False
    before_factor: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks. ``sites`` are what they may see, ``None`` for every site.

    ``scopes`` are those of a program's token, ``None`` for a person with a session.
    """

    user_id: int
    name: str
    role: Role
    language: str
    sites: frozenset[str] | None
    csrf_token: str
    token: str
    scopes: frozenset[str] | None = None
    lacks_factor: bool = False
    """A second factor is demanded of this user, and there is none."""

    def may_see(self, site: str) -> bool:
        """Whether the user may see a site."""
        return self.sites is None or site in self.sites


_EVERYBODY: Final = frozenset(ROLES)
_RESPONDERS: Final = frozenset[Role]({"admin", "bureau", "water_office", "manager"})
_OFFICIALS: Final = frozenset[Role]({"admin", "bureau"})
_EDITORS: Final = frozenset[Role]({"admin", "bureau", "water_office", "manager", "committee"})
_OFFICES: Final = frozenset[Role]({"admin", "bureau", "water_office"})

PUBLIC: Final = Access(public=True)
READERS: Final = Access(_EVERYBODY, "read")
PEOPLE: Final = Access(_EVERYBODY)
"""What people do about themselves; no token may."""
NEWCOMERS: Final = Access(_EVERYBODY, before_factor=True)
"""What people need until their second factor is enrolled."""
RESPONDERS: Final = Access(_RESPONDERS, "acknowledge")
RESPONDING_PEOPLE: Final = Access(_RESPONDERS)
OFFICIALS: Final = Access(_OFFICIALS, "read")
RULERS: Final = Access(_OFFICIALS, "administer")
ADMINS: Final = Access(frozenset({"admin"}), "administer")
EDITORS: Final = Access(_EDITORS, "administer")
"""Who fills in a dossier."""
OVERSEERS: Final = Access(_OFFICES, "read")
"""Who sees every quarter by their office."""
OFFICES: Final = Access(_OFFICES, "administer")
"""Who decides by which local rule a dossier is judged."""
SCRAPERS: Final = Access(_OFFICIALS, "metrics")

OPERATIONS: Final[Mapping[str, Access]] = {
    "healthz": PUBLIC,
    "readyz": PUBLIC,
    "login": PUBLIC,
    "get_session": PUBLIC,
    "logout": NEWCOMERS,
    "get_me": Access(_EVERYBODY, "read", before_factor=True),
    "change_password": NEWCOMERS,
    "change_language": NEWCOMERS,
    "list_sites": READERS,
    "get_site": READERS,
    "get_city_map": READERS,
    "list_standings": READERS,
    "list_devices": READERS,
    "list_calibrations": READERS,
    "list_meters": READERS,
    "get_latest": READERS,
    "get_noise_series": READERS,
    "get_noise_seconds": READERS,
    "get_noise_hours": READERS,
    "get_noise_days": READERS,
    "get_noise_day": READERS,
    "list_exclusions": READERS,
    "add_exclusion": RULERS,
    "revoke_exclusion": RULERS,
    "list_checks": READERS,
    "get_check": READERS,
    "add_check": RESPONDERS,
    "get_noise_trend": READERS,
    "get_noise_profile": READERS,
    "get_noise_spectrum": READERS,
    "get_water_today": READERS,
    "get_water_hours": READERS,
    "get_water_days": READERS,
    "get_water_account": READERS,
    "get_household_account": READERS,
    "get_water_balance": READERS,
    "compute_leakage_rate": READERS,
    "get_judging": READERS,
    "change_judging": OFFICES,
    "list_events": READERS,
    "export_range": READERS,
    "get_sensorthings_root": READERS,
    "get_sensorthings": READERS,
    "list_alerts": READERS,
    "get_alert": READERS,
    "acknowledge_alert": RESPONDERS,
    "list_handling": READERS,
    "add_alert_note": RESPONDERS,
    "add_alert_photo": RESPONDERS,
    "get_alert_photo": READERS,
    "get_linked_alert": PUBLIC,
    "acknowledge_linked_alert": PUBLIC,
    "get_notify_prefs": RESPONDING_PEOPLE,
    "change_notify_prefs": RESPONDING_PEOPLE,
    "stream_live": READERS,
    "list_contacts": PEOPLE,
    "get_second_factor": NEWCOMERS,
    "begin_second_factor": NEWCOMERS,
    "confirm_second_factor": NEWCOMERS,
    "end_second_factor": PEOPLE,
    "reset_second_factor": ADMINS,
    "list_tokens": PEOPLE,
    "add_token": PEOPLE,
    "remove_token": PEOPLE,
    "get_metrics": SCRAPERS,
    "add_contact": RESPONDING_PEOPLE,
    "remove_contact": RESPONDING_PEOPLE,
    "try_contact": RESPONDING_PEOPLE,
    "list_rules": READERS,
    "get_rule_history": READERS,
    "change_rule_of_site": RULERS,
    "add_rule_of_site": RULERS,
    "try_rule_of_site": RULERS,
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
    "make_enrolment": ADMINS,
    "redeem_enrolment": PUBLIC,
    "renew_certificate": PUBLIC,
    "list_fleet": OFFICIALS,
    "list_remote_settings": OFFICIALS,
    "list_configurations": OFFICIALS,
    "add_configuration": ADMINS,
    "set_device_configuration": ADMINS,
    "list_rollouts": OFFICIALS,
    "get_rollout": OFFICIALS,
    "begin_rollout": ADMINS,
    "pause_rollout": ADMINS,
    "resume_rollout": ADMINS,
    "take_rollout_back": ADMINS,
    "add_meter": ADMINS,
    "change_meter": ADMINS,
    "list_limits": READERS,
    "list_presets": READERS,
    "list_quarantine": OFFICIALS,
    "count_quarantine": OFFICIALS,
    "list_audit": OFFICIALS,
    "order_report": READERS,
    "order_city_report": OVERSEERS,
    "order_dossier_report": READERS,
    "list_reports": READERS,
    "get_report": READERS,
    "download_report": READERS,
    "list_dossier_programmes": READERS,
    "get_dossier": READERS,
    "list_dossier_versions": READERS,
    "freeze_dossier": EDITORS,
    "get_dossier_version": READERS,
    "compare_dossier_versions": READERS,
    "get_dossier_profile": READERS,
    "change_dossier_profile": EDITORS,
    "change_local_rule": OFFICES,
    "list_dossier_entries": READERS,
    "add_dossier_entry": EDITORS,
    "change_dossier_entry": EDITORS,
    "remove_dossier_entry": EDITORS,
    "list_dossier_attachments": READERS,
    "add_dossier_attachment": EDITORS,
    "get_dossier_attachment": READERS,
    "remove_dossier_attachment": EDITORS,
    "list_surveys": READERS,
    "open_survey": EDITORS,
    "close_survey": EDITORS,
    "get_survey_qr": READERS,
    "get_linked_survey": PUBLIC,
    "answer_linked_survey": PUBLIC,
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
    if who.scopes is not None and access.scope is None:
        return "people_only"
    if who.scopes is not None and access.scope not in who.scopes:
        return "scope_missing"
    if who.lacks_factor and not access.before_factor:
        return "factor_missing"
    if site is not None and not who.may_see(site):
        return "no_such_site"
    return None


def refuse(refusal: Refusal, *, site: str | None = None, role: str = "") -> ApiProblem:
    """Return the answer to a refused operation."""
    match refusal:
        case "login_required":
            return ApiProblem(
                401, "login_required", "log in first, or send a token that is in force",
                headers={"WWW-Authenticate": "Bearer"},
            )  # fmt: skip
        case "not_allowed":
            return ApiProblem(403, "not_allowed", f"the role {role!r} may not do this")
        case "people_only":
            return ApiProblem(403, "people_only", "this is for people who log in, not for a program's token")
        case "scope_missing":
            return ApiProblem(403, "scope_missing", "this token's scopes do not go so far")
        case "factor_missing":
            return ApiProblem(
                403,
                "factor_missing",
                "officials log in with one-time passwords here: enrol a phone under My account",
            )
        case "no_such_site":
            return not_found(f"site {site!r}")
