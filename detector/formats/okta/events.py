"""What the event types of Okta's System Log mean, as tables."""

from collections.abc import Iterable, Mapping
from typing import Final

from detector.formats.audit import Act


def _rows(act: Act, names: str) -> Iterable[tuple[str, Act]]:
    return ((name, act) for name in names.split())


def _disable(safeguard: str) -> Act:
    return Act("permission", "disable", safeguard, "org")


def _credential(what: str) -> Act:
    return Act("permission", "grant", f"credential:{what}", "user")


_ADMIN: Final = "administrator"
_GRANT_ADMIN: Final = Act("permission", "grant", _ADMIN, "user")
_REVOKE_ADMIN: Final = Act("permission", "revoke", _ADMIN, "user")
_GRANT_APP: Final = Act("permission", "grant", "app", "user")
_REVOKE_APP: Final = Act("permission", "revoke", "app", "user")
_GRANT_GROUP: Final = Act("permission", "grant", "group member", "user")
_REVOKE_GROUP: Final = Act("permission", "revoke", "group member", "user")
_NEW_ACCOUNT: Final = Act("permission", "grant", "account", "user")
_OFF_FOR_ONE: Final = Act("permission", "disable", "MFA", "user")
_LOG_IN: Final = Act("auth")
_READ_SECRET: Final = Act("access", sensitivity="restricted")

TABLE: Final[Mapping[str, Act]] = dict(
    (
        *_rows(_GRANT_ADMIN, "user.account.privilege.grant group.privilege.grant app.oauth2.client.privilege.grant"),
        *_rows(_GRANT_ADMIN, "iam.resourceset.bindings.add iam.role.permissions.add iam.resourceset.resources.add"),
        *_rows(Act("permission", "widen", _ADMIN, "group"), "iam.role.create iam.role.update iam.resourceset.update"),
        *_rows(
            _REVOKE_ADMIN, "user.account.privilege.revoke group.privilege.revoke app.oauth2.client.privilege.revoke"
        ),
        *_rows(_REVOKE_ADMIN, "iam.resourceset.bindings.delete iam.role.permissions.delete iam.role.delete"),
        *_rows(_GRANT_APP, "application.user_membership.add group.application_assignment.add"),
        *_rows(_GRANT_APP, "app.oauth2.as.consent.grant app.oauth2.consent.grant"),
        *_rows(_GRANT_APP, "application.user_membership.update group.application_assignment.update"),
        *_rows(_REVOKE_APP, "application.user_membership.remove group.application_assignment.remove"),
        *_rows(_GRANT_GROUP, "group.user_membership.add group.user_membership.rule.add"),
        *_rows(_REVOKE_GROUP, "group.user_membership.remove"),
        # Credentials
        *_rows(_credential("API token"), "system.api_token.create system.api_token.enable"),
        *_rows(Act("permission", "revoke", "credential:API token", "user"), "system.api_token.revoke"),
        *_rows(Act("permission", "revoke", "credential:API token", "user"), "system.api_token.disable"),
        *_rows(_credential("password"), "user.account.reset_password user.account.update_password"),
        *_rows(_credential("password"), "user.account.set_password user.import.password user.account.expire_password"),
        *_rows(_credential("recovery"), "user.account.update_secondary_email user.account.update_primary_email"),
        *_rows(_credential("recovery"), "user.account.update_recovery_question"),
        *_rows(_credential("MFA factor"), "user.mfa.factor.activate user.mfa.factor.update credential.register"),
        *_rows(Act("permission", "revoke", "credential:MFA factor", "user"), "credential.revoke"),
        *_rows(_credential("client secret"), "app.oauth2.client.lifecycle.create"),
        *_rows(_credential("client secret"), "app.oauth2.credentials.lifecycle.create app.keys.generate_new"),
        *_rows(_credential("signing key"), "app.oauth2.as.key.rollover app.keys.clone"),
        *_rows(_credential("identity provider"), "system.idp.lifecycle.create system.idp.lifecycle.activate"),
        *_rows(_credential("identity provider"), "system.idp.lifecycle.update"),
        *_rows(Act("permission", "revoke", "credential:identity provider"), "system.idp.lifecycle.deactivate"),
        *_rows(Act("permission", "revoke", "credential:identity provider"), "system.idp.lifecycle.delete"),
        *_rows(_credential("support access"), "user.session.impersonation.grant user.session.impersonation.extend"),
        *_rows(_credential("support access"), "user.session.impersonation.initiate support.org.update"),
        *_rows(Act("permission", "revoke", "credential:support access"), "user.session.impersonation.revoke"),
        *_rows(Act("permission", "revoke", "credential:support access"), "user.session.impersonation.end"),
        *_rows(_READ_SECRET, "application.user_membership.show_password system.idp.lifecycle.read_client_secret"),
        *_rows(_READ_SECRET, "app.oauth2.client.read_client_secret pam.secret.reveal"),
        *_rows(_READ_SECRET, "pam.service_account.password.reveal"),
        # Accounts
        *_rows(_NEW_ACCOUNT, "user.lifecycle.create user.lifecycle.activate user.lifecycle.reactivate"),
        *_rows(_NEW_ACCOUNT, "user.lifecycle.unsuspend user.account.unlock_by_admin"),
        *_rows(Act("permission", "revoke", "account", "user"), "user.lifecycle.deactivate user.lifecycle.suspend"),
        *_rows(Act("permission", "revoke", "account", "user"), "user.session.clear"),
        # Safeguards
        *_rows(_OFF_FOR_ONE, "user.mfa.factor.deactivate user.mfa.factor.reset_all user.mfa.factor.suspend"),
        *_rows(_disable("MFA"), "system.mfa.factor.deactivate security.authenticator.lifecycle.deactivate"),
        *_rows(_disable("policy"), "policy.lifecycle.deactivate policy.lifecycle.delete policy.rule.invalidate"),
        *_rows(_disable("policy rule"), "policy.rule.deactivate policy.rule.delete"),
        *_rows(_disable("sign-on policy"), "application.policy.sign_on.rule.delete"),
        *_rows(Act("permission", "widen", "sign-on policy", "org"), "application.policy.sign_on.update"),
        *_rows(Act("permission", "widen", "sign-on policy", "org"), "application.policy.sign_on.rule.update"),
        *_rows(_disable("network zone"), "zone.deactivate zone.delete zone.remove_blacklist"),
        *_rows(Act("permission", "widen", "network zone", "org"), "zone.update"),
        *_rows(_disable("log stream"), "system.log_stream.lifecycle.deactivate system.log_stream.lifecycle.delete"),
        *_rows(_disable("event hook"), "event_hook.deactivated event_hook.deleted"),
        *_rows(_disable("threat detection"), "security.events.provider.deactivate"),
        *_rows(Act("permission", "widen", "trusted origin", "org"), "security.trusted_origin.create"),
        *_rows(_credential("identity provider"), "system.agent.ad.create system.agent.ldap.create"),
        *_rows(_disable("threat detection"), "security.threat.configuration.update"),
        # What leaves and what ends
        *_rows(Act("transfer"), "workflows.user.table.export"),
        *_rows(Act("access"), "analytics.reports.export.download app.audit_report.download"),
        *_rows(Act("delete"), "user.lifecycle.delete.initiated application.lifecycle.delete"),
        *_rows(Act("call"), "user.lifecycle.delete.completed"),
        # People at the door
        *_rows(
            _LOG_IN, "user.session.start user.session.end policy.evaluate_sign_on app.generic.unauth_app_access_attempt"
        ),
        *_rows(_LOG_IN, "user.session.access_admin_app user.account.access_super_user_app app.access_request.deny"),
        *_rows(_LOG_IN, "user.account.report_suspicious_activity_by_enduser user.account.lock user.mfa.attempt_bypass"),
        *_rows(_LOG_IN, "security.threat.detected security.session.detect_client_roaming"),
    )
)

SELF_SERVICE: Final = frozenset(
    (
        *("user.account.update_password", "user.account.reset_password", "user.account.update_recovery_question"),
        *("user.account.update_secondary_email", "user.mfa.factor.activate", "user.mfa.factor.update"),
        *("credential.register", "user.lifecycle.activate"),
    )
)
"""What people do to their own account from day to day: a login's upkeep, no grant."""

ALARMS: Final = frozenset(
    (
        *("user.account.report_suspicious_activity_by_enduser", "security.threat.detected", "user.risk.detect"),
        *("app.oauth2.token.detect_reuse", "app.oauth2.as.token.detect_reuse", "user.mfa.attempt_bypass"),
        *("security.breached_credential.detected", "security.attack.start", "user.mfa.okta_verify.deny_push"),
        *("app.generic.unauth_app_access_attempt", "security.session.detect_client_roaming"),
    )
)
"""What Okta itself calls suspicious; kept as the attribute `alarm`."""

_DOORS: Final = (
    "user.session.",
    "user.authentication.",
    "user.mfa.okta_verify",
    "policy.evaluate",
    "app.oauth2.token.",
    "app.oauth2.as.token.",
)
_ENDS: Final = frozenset({"delete", "deleted", "destroy", "purge", "purged"})


def act_of(event_type: str) -> Act:
    """What an event type means; for one that is in no table, by its first and last words.

    >>> act_of("group.privilege.grant").privilege, act_of("user.authentication.sso").kind
    ('administrator', 'auth')
    >>> act_of("group.lifecycle.delete").kind, act_of("system.email.delivery").kind
    ('delete', 'call')
    """
    found = TABLE.get(event_type)
    if found is not None:
        return found
    if event_type.startswith(_DOORS):
        return _LOG_IN
    return Act("delete" if event_type.rpartition(".")[2] in _ENDS else "call")
