"""What the methods of Google Cloud do: tables by method and by permission, readers of arguments, then verbs."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from detector.events import Kind, Permission
from detector.formats.audit import Act, Meaning
from detector.formats.gcp_audit.call import Call
from detector.formats.gcp_audit.iam import key, kubernetes_binding, policy, role, token
from detector.formats.gcp_audit.resources import (
    bigquery,
    bucket,
    database,
    database_export,
    dataset,
    firewall,
    instance_metadata,
    key_version,
    log_bucket,
    new_sink,
    org_policy,
    sink,
    subnetwork,
)


def _disable(safeguard: str) -> Act:
    return Act("permission", "disable", safeguard)


def _credential(what: str) -> Act:
    return Act("permission", "grant", f"credential:{what}", "user")


_READ: Final = Act("access", sensitivity="restricted")
_RUN_AS: Final = Act("permission", "inherit", "iam.serviceAccounts.actAs", "user")
_PERIMETER: Final = Act("permission", "widen", "service perimeter", "org")
_TRUST: Final = Act("permission", "grant", "credential:identity provider", "group")

# Ways to copy a machine's disk whole.
_COPIES: Final = (
    *("snapshots.insert", "disks.createSnapshot", "images.insert", "images.export", "machineImages.insert"),
    "instantSnapshots.insert",
)

# Service and operation -> what it does, whatever its arguments. An operation is the last word of a method's
# name, or the last two of a REST method's.
METHODS: Final[Mapping[str, Act]] = {
    "iam:DisableServiceAccountKey": Act("permission", "revoke", "credential:service account key", "user"),
    "iam:DeleteServiceAccountKey": Act("permission", "revoke", "credential:service account key", "user"),
    "iam:EnableServiceAccountKey": _credential("service account key"),
    "iam:EnableServiceAccount": _credential("service account"),
    "iam:CreateWorkloadIdentityPoolProvider": _TRUST,
    "iam:UpdateWorkloadIdentityPoolProvider": _TRUST,
    "iam:CreateWorkloadIdentityPool": _TRUST,
    "iam:UpdateWorkloadIdentityPool": _TRUST,
    "iam:CreateWorkforcePoolProvider": _TRUST,
    "iam:UpdateWorkforcePoolProvider": _TRUST,
    "iam:CreateWorkforcePool": _TRUST,
    "iam:UpdateWorkforcePool": _TRUST,
    "iam:CreateServiceAccount": Act("permission", "grant", "service account", "user"),
    "iam:UndeleteRole": Act("permission", "widen", "custom role", "group"),
    "iam:DeleteRole": Act("permission", "revoke", "custom role", "group"),
    "storage:hmacKeys.create": _credential("HMAC key"),
    "storage:hmacKeys.delete": Act("permission", "revoke", "credential:HMAC key", "user"),
    "storage:objects.list": Act("access"),
    "apikeys:CreateKey": _credential("API key"),
    "apikeys:GetKeyString": _credential("API key"),
    "apikeys:UpdateKey": Act("permission", "widen", "credential:API key", "user"),
    "apikeys:DeleteKey": Act("permission", "revoke", "credential:API key", "user"),
    "oslogin:ImportSshPublicKey": _credential("ssh key"),
    "cloudsql:users.insert": _credential("database user"),
    "cloudsql:users.update": _credential("database user"),
    "cloudsql:users.create": _credential("database user"),
    "secretmanager:AccessSecretVersion": _READ,
    "secretmanager:DisableSecretVersion": Act("delete"),
    "cloudkms:Decrypt": _READ,
    "cloudkms:AsymmetricDecrypt": _READ,
    "k8s:secrets.get": _READ,
    "k8s:secrets.list": _READ,
    "compute:firewalls.delete": _disable("firewall rule"),
    "compute:firewallPolicies.removeRule": _disable("firewall rule"),
    "compute:securityPolicies.delete": _disable("security policy"),
    "compute:securityPolicies.removeRule": _disable("security policy rule"),
    "compute:instances.setServiceAccount": _RUN_AS,
    "compute:instances.addAccessConfig": Act("permission", "widen", "public address"),
    "compute:networks.addPeering": Act("permission", "widen", "network peering", "group"),
    "compute:instances.getSerialPortOutput": Act("access"),
    **dict.fromkeys((f"compute:{copy}" for copy in _COPIES), Act("transfer")),
    "dns:managedZones.patch": Act("permission", "widen", "DNS zone", "group"),
    "dns:managedZones.update": Act("permission", "widen", "DNS zone", "group"),
    "cloudresourcemanager:CreateTagBinding": Act("permission", "widen", "tag binding", "group"),
    "admin:AdminService.inboundSsoProfileCreated": _TRUST,
    "admin:AdminService.inboundSsoProfileUpdated": _TRUST,
    "compute:images.deprecate": Act("call"),
    "logging:DeleteSink": _disable("log sink"),
    "logging:DeleteBucket": _disable("log bucket"),
    "logging:DeleteLog": _disable("log"),
    "logging:DeleteView": Act("delete"),
    "logging:CreateExclusion": _disable("log exclusion"),
    "logging:UpdateExclusion": _disable("log exclusion"),
    "logging:DeleteExclusion": Act("call"),
    "monitoring:DeleteAlertPolicy": _disable("alert policy"),
    "monitoring:DeleteNotificationChannel": _disable("alert notification"),
    "securitycenter:DeleteNotificationConfig": _disable("security findings"),
    "securitycenter:CreateMuteConfig": _disable("security findings"),
    "securitycenter:SetMute": _disable("security findings"),
    "securitycenter:BulkMuteFindings": _disable("security findings"),
    "securitycenter:UpdateSecurityCenterServiceSettings": _disable("threat detection"),
    "serviceusage:DisableService": _disable("API"),
    "orgpolicy:DeletePolicy": _disable("organisation policy"),
    "cloudresourcemanager:ClearOrgPolicy": _disable("organisation policy"),
    "accesscontextmanager:DeleteServicePerimeter": _disable("service perimeter"),
    "accesscontextmanager:DeleteAccessPolicy": _disable("access policy"),
    "accesscontextmanager:UpdateServicePerimeter": _PERIMETER,
    "accesscontextmanager:CreateAccessLevel": _PERIMETER,
    "accesscontextmanager:UpdateAccessLevel": _PERIMETER,
    "cloudidentity:CreateMembership": Act("permission", "grant", "group member", "group"),
    "cloudidentity:DeleteMembership": Act("permission", "revoke", "group member", "group"),
    "admin:GrantDelegatedAdminPrivileges": Act("permission", "grant", "administrator", "user"),
    "admin:AdminService.assignRole": Act("permission", "grant", "administrator role", "user"),
    "admin:AdminService.addGroupMember": Act("permission", "grant", "group member", "group"),
    "admin:AdminService.turnOff2StepVerification": _disable("MFA"),
    "admin:AdminService.changePassword": _credential("password"),
    "login:LoginService.2svDisable": _disable("MFA"),
    "login:LoginService.loginSuccess": Act("auth"),
    "login:LoginService.loginFailure": Act("auth"),
    "firestore:ExportDocuments": Act("transfer"),
    "spanner:Read": Act("access"),
    "spanner:ExecuteStreamingSql": Act("access"),
    "cloudsql:instances.connect": Act("access"),
}

# What the caller had to be allowed to do, where the method itself is in no table.
PERMISSIONS: Final[Mapping[str, Act]] = {
    "iam.serviceAccountKeys.create": _credential("service account key"),
    "iam.serviceAccounts.getAccessToken": _credential("access token"),
    "iam.serviceAccounts.getOpenIdToken": _credential("identity token"),
    "iam.serviceAccounts.signJwt": _credential("signed token"),
    "iam.serviceAccounts.signBlob": _credential("signed token"),
    "iam.serviceAccounts.implicitDelegation": _credential("access token"),
    "iam.serviceAccounts.actAs": _RUN_AS,
    "iam.roles.update": Act("permission", "widen", "custom role", "group"),
    "cloudbuild.builds.create": _RUN_AS,
    "deploymentmanager.deployments.create": _RUN_AS,
    "cloudfunctions.functions.create": _RUN_AS,
    "cloudfunctions.functions.update": _RUN_AS,
    "cloudscheduler.jobs.create": _RUN_AS,
    "run.services.create": _RUN_AS,
    "dataproc.clusters.create": _RUN_AS,
    "orgpolicy.policy.set": _disable("organisation policy"),
    "apikeys.keys.create": _credential("API key"),
    "storage.hmacKeys.create": _credential("HMAC key"),
}

Reader = Callable[[Call], Iterator[Meaning]]

# Methods that only their arguments tell.
READERS: Final[Mapping[str, Reader]] = {
    **dict.fromkeys(("iam:CreateRole", "iam:UpdateRole"), role),
    **dict.fromkeys(("iam:CreateServiceAccountKey", "iam:UploadServiceAccountKey"), key),
    **dict.fromkeys(("iamcredentials:GenerateAccessToken", "iamcredentials:GenerateIdToken"), token),
    **dict.fromkeys(("iamcredentials:SignJwt", "iamcredentials:SignBlob"), token),
    **dict.fromkeys((f"compute:firewalls.{verb}" for verb in ("insert", "patch", "update")), firewall),
    **dict.fromkeys((f"compute:subnetworks.{verb}" for verb in ("insert", "patch")), subnetwork),
    **dict.fromkeys(("compute:instances.setMetadata", "compute:projects.setCommonInstanceMetadata"), instance_metadata),
    **dict.fromkeys((f"cloudsql:instances.{verb}" for verb in ("create", "insert", "update", "patch")), database),
    "cloudsql:instances.export": database_export,
    **dict.fromkeys(("storage:buckets.update", "storage:buckets.patch"), bucket),
    "logging:UpdateSink": sink,
    "logging:CreateSink": new_sink,
    "logging:UpdateBucket": log_bucket,
    "cloudkms:UpdateCryptoKeyVersion": key_version,
    **dict.fromkeys(("orgpolicy:UpdatePolicy", "orgpolicy:CreatePolicy"), org_policy),
    **dict.fromkeys(("cloudresourcemanager:SetOrgPolicy", "orgpolicy:SetOrgPolicy"), org_policy),
    **dict.fromkeys((f"bigquery:datasetservice.{verb}" for verb in ("insert", "update")), dataset),
    **dict.fromkeys(("bigquery:InsertDataset", "bigquery:UpdateDataset", "bigquery:PatchDataset"), dataset),
    **dict.fromkeys(
        (f"k8s:{kind}.{verb}" for kind in ("rolebindings", "clusterrolebindings") for verb in ("create", "patch")),
        kubernetes_binding,
    ),
}

_POLICY: Final = ("setiampolicy", "setiampermissions")
_VERB: Final = re.compile(r"[A-Z]?[a-z0-9]+")
_DESTROYING: Final = frozenset({"delete", "destroy", "purge", "drop", "truncate", "wipe", "deletecollection"})


def meanings(call: Call) -> tuple[Meaning, ...]:
    """What a call did, at least one thing: a policy may change several bindings."""
    service = "k8s" if call.service == "k8s.io" else call.service
    name = f"{service}:{call.operation}"
    reader = READERS.get(name)
    if reader is None and call.operation.rpartition(".")[2].lower() in _POLICY:
        reader = policy
    if reader is not None:
        return tuple(reader(call))
    act = METHODS.get(name)
    if act is not None:
        return (_of_act(act, call),)
    if service == "bigquery":
        found = tuple(bigquery(call))
        if found[0].kind != "call":
            return found
    kind = _by_verb(call)
    if kind == "call":
        asked = next((PERMISSIONS[p] for p in call.permissions if p in PERMISSIONS), None)
        if asked is None and any(p.endswith(".setIamPolicy") for p in call.permissions):
            return tuple(policy(call))
        if asked is not None:
            return (_of_act(asked, call),)
    return (Meaning(kind, records=1 if kind == "delete" else call.rows),)


def _of_act(act: Act, call: Call) -> Meaning:
    if act.change is None:
        return Meaning(act.kind, sensitivity=act.sensitivity, records=1 if act.kind == "delete" else 0)
    concerns = (call.account or None) if act.audience == "user" else None
    return Meaning(act.kind, Permission(act.change, concerns, act.audience, privilege=act.privilege))


def _by_verb(call: Call) -> Kind:
    last = call.operation.rpartition(".")[2]
    found = _VERB.match(last)
    verb = found[0].lower() if found else ""
    if verb in _DESTROYING or last.lower() in _DESTROYING:
        return "delete"
    return "access" if call.data_read or call.operation == "objects.get" else "call"
