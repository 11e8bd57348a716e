"""Switches among a call's parameters: safeguards turned off, things made public, passwords set.

Every reader answers with the change, a kind of event, or None where nothing of the sort was asked for.
"""

from typing import Final

from detector.events import Kind, Permission
from detector.formats.cloudtrail.call import Call, inner, items, truth
from detector.formats.cloudtrail.conditions import wide_range
from detector.formats.cloudtrail.sharing import Reader, optional_policy

# The roles that IAM Identity Center makes for people begin with this.
PORTAL_ROLE: Final = "AWSReservedSSO_"

_SHORT_RETENTION_DAYS: Final = 30
_SHORT_LIFE_DAYS: Final = 7


def off(*names: str, safeguard: str) -> Reader:
    """Reads a safeguard's switches (parameters in lower case, dots lead inwards): off is the news."""

    def read(call: Call) -> Permission | None:
        values = [truth(inner(call, name)) for name in names]
        return Permission("disable", privilege=safeguard) if False in values else None

    return read


def public_access_block(call: Call) -> Permission | None:
    """The block of public access: with any of its four parts off it blocks no longer."""
    parts = inner(call, "publicaccessblockconfiguration")
    values = [truth(value) for value in parts.values()] if isinstance(parts, dict) else []
    if False in values:
        return Permission("disable", audience="public", privilege="public access block")
    return Permission("narrow", audience="public", privilege="public access block") if values else None


def trail(call: Call) -> Permission | None:
    """A trail told to see less than everything."""
    return off("ismultiregiontrail", "includeglobalserviceevents", "enablelogfilevalidation", safeguard="audit log")(
        call
    )


def event_selectors(call: Call) -> Permission | None:
    """What a trail records: less than all management events is a hole."""
    for item in items(call.get("eventselectors")):
        if isinstance(item, dict):
            narrowed = truth(item.get("includeManagementEvents")) is False or item.get("excludeManagementEventSources")
            if narrowed or item.get("readWriteType") in {"ReadOnly", "WriteOnly"}:
                return Permission("disable", privilege="audit log selectors")
    return None


def bucket_logging(call: Call) -> Permission | None:
    """A bucket's access log, off when its status holds no target."""
    status = call.get("bucketloggingstatus")
    enabled = isinstance(status, dict) and status.get("LoggingEnabled")
    return None if enabled else Permission("disable", privilege="access log")


def versioning(call: Call) -> Permission | None:
    """A bucket's versioning, and the second factor that deleting needs."""
    if inner(call, "versioningconfiguration.status") == "Suspended":
        return Permission("disable", privilege="versioning")
    if truth(inner(call, "versioningconfiguration.mfadelete")) is False:
        return Permission("disable", privilege="MFA delete")
    return None


def lifecycle(call: Call) -> Kind | None:
    """A lifecycle that expires objects within days deletes them."""
    for rule in items(inner(call, "lifecycleconfiguration.rule")):
        expiration = rule.get("Expiration") if isinstance(rule, dict) and rule.get("Status") == "Enabled" else None
        days = expiration.get("Days") if isinstance(expiration, dict) else None
        if days is not None and str(days).isdigit() and int(days) <= _SHORT_LIFE_DAYS:
            return "delete"
    return None


def retention(call: Call) -> Permission | None:
    """How long logs are kept."""
    days = call.text("retentionindays")
    short = days.isdigit() and int(days) < _SHORT_RETENTION_DAYS
    return Permission("disable", privilege="log retention") if short else None


def database(call: Call) -> Permission | None:
    """A database or cluster: reachable by everybody, without protection or backups, with a new password."""
    if call.flag("publiclyaccessible"):
        return Permission("widen", "*", "public", privilege="connect")
    if call.flag("deletionprotection") is False and call.operation.startswith("Modify"):
        return Permission("disable", privilege="deletion protection")
    if call.text("backupretentionperiod") == "" and call.get("backupretentionperiod") == 0:
        return Permission("disable", privilege="backups")
    if call.get("masteruserpassword") and call.operation.startswith("Modify"):
        return Permission("grant", privilege="credential:master password")
    return None


def snapshot(call: Call) -> Kind:
    """A copy of a database, but for those that the service itself or AWS Backup makes by a plan."""
    answer = call.record.response_elements
    made = answer.get("snapshotType") if isinstance(answer, dict) else None
    name = call.text("dbsnapshotidentifier", "dbclustersnapshotidentifier", "targetdbsnapshotidentifier")
    planned = made in {"automated", "awsbackup"} or name.startswith(("rds:", "awsbackup:"))
    return "call" if planned else "transfer"


def function_url(call: Call) -> Permission | None:
    """A function's own address, with or without a question who calls."""
    asks = call.text("authtype")
    if asks == "NONE":
        return Permission("widen", "*", "public", privilege="lambda:InvokeFunctionUrl")
    return Permission("grant", privilege="lambda:InvokeFunctionUrl") if asks else None


def function_layers(call: Call) -> Permission | None:
    """Code of others that a function runs from now on before its own."""
    layers = [str(layer) for layer in items(call.get("layers"))]
    return Permission("widen", layers[0][:512], "unknown", privilege="function layer") if layers else None


def suppressed(call: Call) -> Permission | None:
    """Security findings marked so that nobody looks at them."""
    hidden = inner(call, "workflow.status") == "SUPPRESSED"
    return Permission("disable", privilege="threat findings") if hidden else None


def cluster(call: Call) -> Permission | None:
    """A Kubernetes cluster's front door and its audit log."""
    network = "resourcesvpcconfig"
    ranges = [str(item) for item in items(inner(call, f"{network}.publicaccesscidrs"))] or ["0.0.0.0/0"]
    if truth(inner(call, f"{network}.endpointpublicaccess")) and any(wide_range(item) for item in ranges):
        return Permission("widen", "*", "public", privilege="connect")
    for item in items(inner(call, "logging.clusterlogging")):
        if isinstance(item, dict) and truth(item.get("enabled")) is False:
            return Permission("disable", privilege="audit log")
    return None


def instance_attribute(call: Call) -> Permission | None:
    """An instance's protection against being ended, or its firewall groups."""
    if call.flag("disableapitermination") is False:
        return Permission("disable", privilege="termination protection")
    if call.get("userdata") is not None:  # what the machine runs at its next start, as root
        return Permission("widen", privilege="startup script")
    return Permission("grant", privilege="security groups") if call.get("groupset", "groups") else None


def metadata_options(call: Call) -> Permission | None:
    """The instance metadata service without session tokens, which a forged request can read."""
    answer = call.get("httptokens") == "optional"
    return Permission("disable", privilege="instance metadata tokens") if answer else None


def load_balancer(call: Call) -> Permission | None:
    """A load balancer's access log and its protection against deletion."""
    watched = {"access_logs.s3.enabled": "access log", "deletion_protection.enabled": "deletion protection"}
    for item in items(call.get("attributes")):
        if isinstance(item, dict) and item.get("key") in watched and truth(item.get("value")) is False:
            return Permission("disable", privilege=watched[item["key"]])
    return None


def signin_token(call: Call) -> Permission | Kind:
    """A console session made of API credentials: a login where a portal makes it for its person."""
    identity = call.record.user_identity
    if identity is not None and PORTAL_ROLE in (identity.arn or ""):
        return "auth"
    return Permission("grant", privilege="credential:console session")


def key_status(call: Call) -> Permission | None:
    """An access key switched on or off."""
    on = call.text("status") == "Active"
    owner = call.text("username")
    who = call.user(owner)[:512] if owner else None
    return Permission("grant" if on else "revoke", who, "user", privilege="credential:access key")


def password_policy(call: Call) -> Permission | None:
    """An account's password policy that asks for little."""
    length = call.get("minimumpasswordlength")
    weak = isinstance(length, int) and length < 8
    return (
        Permission("disable", privilege="password policy")
        if weak
        else off(
            "requiresymbols",
            "requirenumbers",
            "requireuppercasecharacters",
            "requirelowercasecharacters",
            safeguard="password policy",
        )(call)
    )


def identity_pool(call: Call) -> Permission | None:
    """An identity pool that gives credentials to people it does not know."""
    if call.flag("allowunauthenticatedidentities"):
        return Permission("widen", "unauthenticated", "public", privilege="assume role")
    return None


def control_status(call: Call) -> Permission | None:
    """One control of Security Hub."""
    disabled = call.text("controlstatus", "associationstatus") == "DISABLED"
    return Permission("disable", privilege="security control") if disabled else None


def findings_filter(call: Call) -> Permission | None:
    """A filter that archives findings unseen."""
    return Permission("disable", privilege="threat findings") if call.text("action") == "ARCHIVE" else None


def recorder(call: Call) -> Permission | None:
    """What AWS Config records."""
    return off("configurationrecorder.recordinggroup.allsupported", safeguard="configuration recorder")(call)


def project_visibility(call: Call) -> Permission | None:
    """A build project whose logs and artefacts everybody may read."""
    public = call.text("projectvisibility") == "PUBLIC_READ"
    return Permission("widen" if public else "narrow", None, "public", privilege="read")


def new_queue(call: Call) -> Permission | None:
    """A queue or topic made or changed: its policy, or its encryption taken off."""
    attributes = call.get("attributes")
    if isinstance(attributes, dict) and attributes.get("Policy") is not None:
        return optional_policy(call) or Permission("narrow", privilege="resource policy")
    if call.text("attributename") == "Policy":
        return optional_policy(call)
    keyless = isinstance(attributes, dict) and attributes.get("KmsMasterKeyId") == ""
    return Permission("disable", privilege="encryption") if keyless else None
