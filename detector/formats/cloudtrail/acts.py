"""What the operations of AWS mean: a table to read and to extend, by the operation's IAM name.

A row is one of the words below, and says the kind of event; for a change of reach also the change, the
privilege ("@name": the value of that parameter, lower case), to whom ("user:username": a user named by that
parameter) and the audience. Where the parameters decide, the row holds a reader instead. An operation that has
no row is judged by its verb and by the policy among its parameters, if there is one: see `cloudtrail_events`.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from detector.events import Audience, Change, Kind, Permission, Sensitivity
from detector.formats.cloudtrail import settings, sharing
from detector.formats.cloudtrail.call import Call


class Act(NamedTuple):
    """The meaning of an operation."""

    kind: Kind
    change: Change | None = None
    privilege: str = ""
    to: str = ""
    audience: Audience = "user"
    sensitivity: Sensitivity = "unknown"
    read: Callable[[Call], Permission | Kind | None] | None = None


def _changes(change: Change) -> Callable[..., Act]:
    def act(privilege: str, to: str = "", audience: Audience = "user") -> Act:
        return Act("permission", change, privilege, to, audience)

    return act


grant, widen, revoke, narrow = (_changes("grant"), _changes("widen"), _changes("revoke"), _changes("narrow"))


def disable(safeguard: str) -> Act:
    """Switches a safeguard off."""
    return Act("permission", "disable", safeguard, audience="unknown")


def credential(what: str, to: str = "") -> Act:
    """Makes a new credential, the caller's own if nobody is named."""
    return Act("permission", "grant", f"credential:{what}", to)


def by(read: Callable[[Call], Permission | Kind | None]) -> Act:
    """The parameters decide; a call where they say nothing."""
    return Act("call", read=read)


def every(act: Act, service: str, names: str) -> dict[str, Act]:
    """The same meaning for several operations of a service."""
    return {f"{service}:{name}": act for name in names.split()}


ACCESS, SECRET = Act("access"), Act("access", sensitivity="restricted")
AUTH, CALL, DELETE, TRANSFER = Act("auth"), Act("call"), Act("delete"), Act("transfer")
POLICY = by(sharing.resource_policy)

IDENTITY: Final[Mapping[str, Act]] = {
    **every(by(sharing.managed_policy), "iam", "AttachUserPolicy AttachRolePolicy AttachGroupPolicy"),
    **every(by(sharing.identity_policy), "iam", "PutUserPolicy PutRolePolicy PutGroupPolicy"),
    "iam:DetachUserPolicy": revoke("@policyarn", "user:username"),
    "iam:DetachRolePolicy": revoke("@policyarn", "role:rolename"),
    "iam:DetachGroupPolicy": revoke("@policyarn", "group:groupname", "group"),
    "iam:DeleteUserPolicy": revoke("@policyname", "user:username"),
    "iam:DeleteRolePolicy": revoke("@policyname", "role:rolename"),
    "iam:DeleteGroupPolicy": revoke("@policyname", "group:groupname", "group"),
    "iam:CreatePolicyVersion": by(sharing.policy_version),
    "iam:SetDefaultPolicyVersion": widen("@policyarn", "", "group"),
    **every(by(sharing.trust_policy), "iam", "UpdateAssumeRolePolicy CreateRole"),
    "iam:CreateUser": grant("user", "user:username"),
    "iam:CreateServiceLinkedRole": grant("service-linked role", "name:awsservicename"),
    "iam:AddUserToGroup": grant("@groupname", "user:username"),
    "iam:RemoveUserFromGroup": revoke("@groupname", "user:username"),
    "iam:AddRoleToInstanceProfile": grant("@rolename", "instance-profile:instanceprofilename"),
    "iam:RemoveRoleFromInstanceProfile": revoke("@rolename", "instance-profile:instanceprofilename"),
    "iam:CreateAccessKey": credential("access key", "user:username"),
    "iam:UpdateAccessKey": by(settings.key_status),
    "iam:DeleteAccessKey": revoke("credential:access key", "user:username"),
    "iam:ChangePassword": credential("password", "user:username"),
    **every(credential("console password", "user:username"), "iam", "CreateLoginProfile UpdateLoginProfile"),
    "iam:DeleteLoginProfile": revoke("credential:password", "user:username"),
    "iam:UploadSSHPublicKey": credential("ssh key", "user:username"),
    "iam:UploadSigningCertificate": credential("signing certificate", "user:username"),
    **every(
        credential("service password", "user:username"),
        "iam",
        "CreateServiceSpecificCredential ResetServiceSpecificCredential",
    ),
    "iam:DeleteSSHPublicKey": revoke("credential:ssh key", "user:username"),
    "iam:DeleteServiceSpecificCredential": revoke("credential:service password", "user:username"),
    "iam:DeleteSigningCertificate": revoke("credential:signing certificate", "user:username"),
    # A virtual device is nobody's until it is enabled for a user.
    "iam:EnableMFADevice": credential("MFA device", "user:username"),
    **every(disable("MFA"), "iam", "DeactivateMFADevice DeleteVirtualMFADevice"),
    **every(disable("permissions boundary"), "iam", "DeleteUserPermissionsBoundary DeleteRolePermissionsBoundary"),
    "iam:PutUserPermissionsBoundary": narrow("@permissionsboundary", "user:username"),
    "iam:PutRolePermissionsBoundary": narrow("@permissionsboundary", "role:rolename"),
    "iam:DeleteAccountPasswordPolicy": disable("password policy"),
    "iam:UpdateAccountPasswordPolicy": by(settings.password_policy),
    **every(
        grant("identity provider", "", "group"),
        "iam",
        "CreateSAMLProvider UpdateSAMLProvider CreateOpenIDConnectProvider AddClientIDToOpenIDConnectProvider "
        "UpdateOpenIDConnectProviderThumbprint",
    ),
    **every(
        AUTH,
        "sts",
        "AssumeRole AssumeRoleWithSAML AssumeRoleWithWebIdentity AssumeRoot GetSessionToken DecodeAuthorizationMessage",
    ),
    "sts:GetFederationToken": credential("federation token", "name:name"),
    **every(
        AUTH,
        "signin",
        "ConsoleLogin CheckMfa SwitchRole ExitRole RenewRole UserAuthentication CredentialVerification "
        "CredentialChallenge",
    ),
    **every(credential("password"), "signin", "PasswordUpdated PasswordRecoveryCompleted"),
    "signin:GetSigninToken": by(settings.signin_token),
    "signin:EmailUpdated": credential("root e-mail address"),
    **every(AUTH, "sso", "CreateToken GetRoleCredentials Authenticate Federate"),
    **every(AUTH, "sso-oauth", "CreateToken CreateTokenWithIAM"),
    "sso:CreateAccountAssignment": grant("@permissionsetarn", "name:principalid"),
    "sso:DeleteAccountAssignment": revoke("@permissionsetarn", "name:principalid"),
    "sso:AttachManagedPolicyToPermissionSet": widen("@managedpolicyarn", "name:permissionsetarn", "group"),
    "sso:DetachManagedPolicyFromPermissionSet": revoke("@managedpolicyarn", "name:permissionsetarn", "group"),
    "sso:PutInlinePolicyToPermissionSet": widen("inline policy", "name:permissionsetarn", "group"),
    **every(grant("user", "name:username"), "identitystore", "CreateUser"),
    **every(grant("user", "name:username"), "sso-directory", "CreateUser"),
    "identitystore:CreateGroupMembership": grant("@groupid", "name:memberid"),
    "sso-directory:AddMemberToGroup": grant("@groupid", "name:memberid"),
    "sso-directory:UpdatePassword": credential("password", "name:userid"),
    **every(disable("MFA"), "sso-directory", "DisableMfaDeviceForUser DeleteMfaDeviceForUser"),
    **every(disable("MFA"), "sso", "DeleteMfaDeviceForUser DisableMfa"),
    "cognito-idp:AdminAddUserToGroup": grant("@groupname", "name:username"),
    **every(credential("password", "name:username"), "cognito-idp", "AdminSetUserPassword AdminResetUserPassword"),
    "cognito-idp:AdminCreateUser": grant("user", "name:username"),
    **every(by(settings.identity_pool), "cognito-identity", "CreateIdentityPool UpdateIdentityPool"),
    "organizations:InviteAccountToOrganization": grant("organization member", "", "group"),
    "organizations:RegisterDelegatedAdministrator": grant("delegated administrator", "name:accountid", "group"),
    "organizations:DeregisterDelegatedAdministrator": revoke("delegated administrator", "name:accountid", "group"),
    "organizations:EnableAWSServiceAccess": grant("trusted service", "name:serviceprincipal"),
    "organizations:DisableAWSServiceAccess": disable("trusted service"),
    **every(disable("service control policies"), "organizations", "DisablePolicyType DetachPolicy DeletePolicy"),
    **every(disable("organization guardrails"), "organizations", "LeaveOrganization RemoveAccountFromOrganization"),
    **every(DELETE, "organizations", "CloseAccount DeleteOrganization"),
    "organizations:AttachPolicy": narrow("@policyid", "name:targetid", "group"),
    **every(by(sharing.resource_share), "ram", "CreateResourceShare AssociateResourceShare"),
    "ram:DisassociateResourceShare": revoke("resource share", "", "group"),
    "lakeformation:GrantPermissions": grant("@permissions", "name:principal"),
    "lakeformation:RevokePermissions": revoke("@permissions", "name:principal"),
    **every(grant("@policyarn", "name:principalarn"), "eks", "CreateAccessEntry AssociateAccessPolicy"),
    **every(revoke("@policyarn", "name:principalarn"), "eks", "DeleteAccessEntry DisassociateAccessPolicy"),
}
