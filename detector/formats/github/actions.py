"""What the actions of GitHub's audit log mean, as tables; webhook payloads are read by the same names."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from detector.events import Audience
from detector.formats.audit import Act


def _rows(act: Act, names: str) -> Iterable[tuple[str, Act]]:
    return ((name, act) for name in names.split())


def _grant(privilege: str, audience: Audience = "user") -> Act:
    return Act("permission", "grant", privilege, audience)


def _widen(privilege: str, audience: Audience = "org") -> Act:
    return Act("permission", "widen", privilege, audience)


def _revoke(privilege: str, audience: Audience = "user") -> Act:
    return Act("permission", "revoke", privilege, audience)


def _disable(safeguard: str) -> Act:
    return Act("permission", "disable", safeguard, "org")


TABLE: Final[Mapping[str, Act]] = dict(
    (
        # Who belongs to what. The privilege is a row's own word unless the entry tells the role.
        *_rows(_grant("member"), "org.add_member org.invite_member org.accept_invite business.add_organization"),
        *_rows(_grant("member"), "organization.member_added organization.member_invited org.unblock_user"),
        *_rows(_widen("member", "user"), "org.update_member org.reinstate_member"),
        *_rows(_grant("collaborator"), "repo.add_member org.add_outside_collaborator member.added member.edited"),
        *_rows(_widen("collaborator", "user"), "repo.update_member"),
        *_rows(_grant("admin"), "business.add_admin business.invite_admin org.add_billing_manager"),
        *_rows(_grant("moderator"), "organization_moderators.add_user organization_moderators.add_team"),
        *_rows(_grant("security manager", "group"), "org.add_security_manager"),
        *_rows(_grant("role"), "organization_role.assign organization_role.assigned enterprise_role.assign"),
        *_rows(_widen("custom role", "group"), "role.create role.update organization_role.update"),
        *_rows(_grant("team member"), "team.add_member membership.added team.promote_maintainer"),
        *_rows(_grant("team repository", "group"), "team.add_repository team.added_to_repository"),
        *_rows(_widen("team repository", "group"), "team.update_repository_permission team.change_parent_team"),
        *_rows(_grant("admin"), "user.promote repo.staff_unlock repo.temporary_access_granted"),
        *_rows(_grant("collaborator"), "project_collaborator.add project_collaborator.update"),
        *_rows(_revoke("member"), "org.remove_member org.remove_outside_collaborator business.remove_admin"),
        *_rows(_revoke("member"), "organization.member_removed org.remove_billing_manager business.remove_member"),
        *_rows(_revoke("collaborator"), "repo.remove_member member.removed"),
        *_rows(_revoke("team member"), "team.remove_member membership.removed team.demote_maintainer"),
        *_rows(_revoke("team repository", "group"), "team.remove_repository team.removed_from_repository team.destroy"),
        *_rows(_revoke("team", "group"), "team.deleted"),
        *_rows(_revoke("role"), "organization_role.revoke organization_role.revoked org.remove_security_manager"),
        *_rows(_revoke("role"), "role.destroy organization_moderators.remove_user organization_moderators.remove_team"),
        # What everybody may do
        *_rows(_widen("repository"), "org.update_default_repository_permission"),
        *_rows(_widen("create repositories"), "org.update_member_repository_creation_permission"),
        *_rows(_widen("invite collaborators"), "org.update_member_repository_invitation_permission"),
        *_rows(_widen("fork private repositories"), "private_repository_forking.enable"),
        *_rows(Act("permission", "narrow", "fork private repositories", "org"), "private_repository_forking.disable"),
        *_rows(
            _widen("workflow permissions"), "org.set_default_workflow_permissions repo.set_default_workflow_permissions"
        ),
        *_rows(_widen("workflow approvals"), "org.set_fork_pr_workflows_policy repo.set_fork_pr_workflows_policy"),
        *_rows(_widen("anonymous git access", "public"), "repo.config.enable_anonymous_git_access"),
        *_rows(_widen("anonymous git access", "public"), "enterprise.config.enable_anonymous_git_access"),
        *_rows(_widen("pages", "public"), "repo.pages_public"),
        *_rows(_widen("project", "public"), "project.visibility_public"),
        *_rows(Act("permission", "narrow", "project", "public"), "project.visibility_private"),
        *_rows(_widen("approve pull requests"), "org.set_workflow_permission_can_approve_pr"),
        *_rows(_widen("approve pull requests"), "repo.set_workflow_permission_can_approve_pr"),
        *_rows(_widen("actions"), "repo.update_actions_access_settings"),
        *_rows(Act("permission", "narrow", "pages", "public"), "repo.pages_private repo.pages_destroy"),
        *_rows(
            Act("permission", "narrow", "anonymous git access", "public"), "repo.config.disable_anonymous_git_access"
        ),
        *_rows(Act("permission", "narrow", "anonymous git access"), "enterprise.config.disable_anonymous_git_access"),
        *_rows(_widen("IP allow list"), "ip_allow_list_entry.create ip_allow_list_entry.update"),
        *_rows(Act("permission", "narrow", "IP allow list"), "ip_allow_list_entry.destroy ip_allow_list.enable"),
        *_rows(_widen("visibility", "public"), "repository.publicized public"),
        *_rows(Act("permission", "narrow", "visibility", "public"), "repository.privatized"),
        # Credentials, apps, hooks
        *_rows(
            _grant("credential:personal access token"),
            "personal_access_token.access_granted personal_access_token.create",
        ),
        *_rows(_grant("credential:personal access token"), "personal_access_token.request_created"),
        *_rows(_grant("credential:personal access token"), "personal_access_token_request.approved"),
        *_rows(_grant("credential:personal access token"), "personal_access_token.credential_regenerated"),
        *_rows(_grant("credential:MFA factor"), "passkey.register security_key.register"),
        *_rows(_grant("credential:password"), "user.change_password user.reset_password"),
        *_rows(_revoke("credential:personal access token"), "personal_access_token.destroy"),
        *_rows(_revoke("credential:personal access token"), "personal_access_token.access_revoked"),
        *_rows(_grant("credential:SSO authorisation"), "org_credential_authorization.grant"),
        *_rows(_revoke("credential:SSO authorisation"), "org_credential_authorization.revoke"),
        *_rows(_grant("credential:ssh key"), "public_key.create public_key.update deploy_key.created"),
        *_rows(_revoke("credential:ssh key"), "public_key.delete deploy_key.deleted"),
        *_rows(_grant("credential:SSH certificate authority"), "ssh_certificate_authority.create"),
        *_rows(_revoke("credential:SSH certificate authority"), "ssh_certificate_authority.destroy"),
        *_rows(
            _grant("credential:OAuth token"), "oauth_access.create oauth_authorization.create oauth_access.regenerate"
        ),
        *_rows(
            _revoke("credential:OAuth token"), "oauth_access.destroy oauth_authorization.destroy oauth_access.revoke"
        ),
        *_rows(_grant("credential:OAuth app"), "oauth_application.create oauth_application.generate_client_secret"),
        *_rows(
            _grant("credential:OAuth app"),
            "org.oauth_app_access_approved oauth_application.transfer oauth_application.reset_secret",
        ),
        *_rows(_revoke("credential:OAuth app"), "oauth_application.destroy org.oauth_app_access_denied"),
        *_rows(
            _grant("credential:GitHub App"), "integration_installation.create installation.created integration.create"
        ),
        *_rows(_grant("credential:GitHub App"), "integration_installation.repositories_added installation.unsuspend"),
        *_rows(_grant("credential:GitHub App"), "integration_installation.version_updated integration.manager_added"),
        *_rows(
            _grant("credential:GitHub App"), "installation.new_permissions_accepted installation_repositories.added"
        ),
        *_rows(_grant("credential:GitHub App"), "integration.generate_client_secret integration.transfer"),
        *_rows(_revoke("credential:GitHub App"), "integration_installation.destroy integration_installation.suspend"),
        *_rows(_revoke("credential:GitHub App"), "integration_installation.repositories_removed installation.deleted"),
        *_rows(
            _grant("credential:self-hosted runner"), "repo.register_self_hosted_runner org.register_self_hosted_runner"
        ),
        *_rows(_grant("credential:self-hosted runner"), "enterprise.register_self_hosted_runner"),
        *_rows(
            _grant("credential:identity provider"), "org.enable_saml business.enable_saml external_identity.provision"
        ),
        *_rows(_grant("credential:identity provider"), "business.update_saml_provider_settings"),
        *_rows(_grant("credential:identity provider"), "org.update_saml_provider_settings"),
        *_rows(_grant("webhook", "unknown"), "hook.create"),
        *_rows(_widen("webhook", "unknown"), "hook.config_changed hook.events_changed hook.active_changed"),
        *_rows(_revoke("webhook", "unknown"), "hook.destroy"),
        # Safeguards; those that are called "….disable" are found by `safeguard`
        *_rows(_disable("MFA"), "org.disable_two_factor_requirement business.disable_two_factor_requirement"),
        *_rows(_disable("MFA"), "two_factor_authentication.disabled two_factor_authentication.remove_factor"),
        *_rows(_disable("MFA"), "passkey.remove security_key.remove"),
        *_rows(_disable("SAML"), "org.disable_saml business.disable_saml"),
        *_rows(_disable("OAuth app restrictions"), "org.disable_oauth_app_restrictions"),
        *_rows(_disable("branch protection"), "protected_branch.destroy branch_protection_rule.deleted"),
        *_rows(_disable("branch protection"), "branch_protection_configuration.disabled"),
        *_rows(
            _disable("branch protection"), "protected_branch.policy_override protected_branch.dismiss_stale_reviews"
        ),
        *_rows(_disable("ruleset"), "repository_ruleset.destroy repository_ruleset.deleted"),
        *_rows(_disable("audit log streaming"), "audit_log_streaming.destroy"),
        *_rows(_disable("environment protection"), "environment.remove_protection_rule"),
        *_rows(_disable("vulnerability alert"), "repository_vulnerability_alert.dismiss dependabot_alert.dismissed"),
        *_rows(_disable("code scanning alert"), "code_scanning.alert_closed_by_user"),
        *_rows(_disable("push protection"), "secret_scanning_push_protection.bypass"),
        # Destruction, departure, reading
        *_rows(Act("delete"), "repo.destroy repo.archived repository.deleted repository.archived org.delete"),
        *_rows(Act("delete"), "business.delete packages.package_deleted packages.package_version_deleted"),
        *_rows(Act("transfer"), "repo.transfer repo.transfer_start repo.transfer_outgoing repository.transferred"),
        *_rows(Act("transfer"), "org.transfer org.transfer_outgoing migration.create"),
        *_rows(Act("access"), "git.clone git.fetch repo.download_zip org.audit_log_export audit_log_export.create"),
        *_rows(Act("access"), "org.audit_log_git_event_export business.audit_log_export codespaces.connect"),
        *_rows(Act("access"), "workflow_job.artifact"),
        *_rows(Act("auth"), "user.login user.failed_login org.sso_response business.sso_response user.logout"),
    )
)

ALARMS: Final = frozenset(
    (
        *("secret_scanning_alert.create", "secret_scanning_alert.created", "secret_scanning_alert.public_leak"),
        "secret_scanning_alert.publicly_leaked",
        *("secret_scanning_push_protection.bypass", "protected_branch.rejected_ref_update"),
        *("user.sign_in_from_unrecognized_device", "user.sign_in_from_unrecognized_device_and_location"),
    )
)
"""What GitHub itself calls suspicious; kept as the attribute `alarm`."""

_SAFEGUARDS: Final = (
    *("secret_scanning", "push_protection", "dependabot", "vulnerability_alerts", "advanced_security"),
    *("code_scanning", "security_configuration", "ip_allow_list", "two_factor", "saml", "audit_log"),
    *("protected_branch", "branch_protection", "ruleset", "ssh_certificate_requirement", "dependency_graph"),
    *("oauth_app_restrictions", "code_security", "security_center", "vulnerability_reporting"),
)
_OFF: Final = re.compile(r"^(?:disable|removed|detach)|_disabled(?:_|$)")
_ENDS: Final = frozenset({"destroy", "delete", "deleted"})
# Things whose end takes nothing with it that somebody would miss.
_TOOLS: Final = (
    "hook.",
    "webhook",
    "label",
    "workflows.",
    "star",
    "watch.",
    "comment",
    "issue_comment",
    "invitation",
    "ref",
)


def act_of(action: str) -> Act:
    """What an action means; for one that is in no table, by what it concerns and its last word.

    >>> act_of("secret_scanning.disable").privilege, act_of("gist.destroy").kind, act_of("issue.create").kind
    ('secret scanning', 'delete', 'call')
    """
    found = TABLE.get(action)
    if found is not None:
        return found
    thing, _, verb = action.rpartition(".")
    if _OFF.search(verb):
        name = next((name for name in _SAFEGUARDS if name in action), "")
        return _disable((thing if verb in {"disable", "disabled"} else name).replace("_", " ")) if name else Act("call")
    return Act("delete" if verb in _ENDS and not thing.startswith(_TOOLS) else "call")
