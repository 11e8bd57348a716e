"""A CloudTrail record -> an event.

| event | record |
| --- | --- |
| id | "cloudtrail", the account, `eventID` (else `requestID`, else a hash of the record) |
| time | `eventTime`, UTC; 1970 with the attribute `undated` without one |
| actor | the role behind a session (the session's name is `session`), the user, the service, the account |
| kind, permission | what the operation means: `cloudtrail_acts`, `cloudtrail_resources`, `cloudtrail_safeguards` |
| action | the operation by its IAM name, "s3:PutBucketPolicy" |
| target | the bucket or object, or the ARN of what the parameters name |
| destination | for data that goes somewhere: the bucket, and the account if the record tells; else who is let in |
| bytes | `bytesTransferredOut` of a read; `bytesTransferredIn` of a write is what the caller sent out |
"""

import re
from typing import Any, Final

import msgspec

from detector.events import Actor, ActorKind, Destination, Event, Kind, Outcome, Permission, Target
from detector.formats.audit import EPOCH, UNDATED, BadRecordError, digest, when
from detector.formats.cloudtrail.acts import CALL, DELETE, IDENTITY, TRANSFER, Act, by
from detector.formats.cloudtrail.call import Call, Identity, Record, inner, items
from detector.formats.cloudtrail.policy import strongest
from detector.formats.cloudtrail.resources import RESOURCES
from detector.formats.cloudtrail.safeguards import SAFEGUARDS
from detector.formats.cloudtrail.settings import PORTAL_ROLE
from detector.formats.cloudtrail.sharing import bucket_acl, optional_policy, resource_policy, statement

ACTS: Final[dict[str, Act]] = {**IDENTITY, **RESOURCES, **SAFEGUARDS}

_PERHAPS_POLICY: Final = by(optional_policy)
_READS: Final = re.compile(r"(Get|List|Describe|Head|Lookup|Search|Check|Validate|Preview|Simulate|Test)(?![a-z])")
_DELETES: Final = re.compile(r"(BatchDelete|Delete|Terminate|Purge|Destroy)(?![a-z])")
_DENIED: Final = re.compile(r"(?i)denied|unauthori[sz]ed|forbidden|authfailure|notauthorized|invalidclienttoken")
# Whom S3 and others let in without a name; what AWS attaches to a user whose key it found in public.
_POLICY_READERS: Final = (resource_policy, optional_policy, statement)
_NOBODY: Final = "ANONYMOUS_PRINCIPAL"
_QUARANTINE: Final = "AWSCompromisedKeyQuarantine"
_REMOTE: Final = frozenset(
    {"ssm:SendCommand", "ssm:StartSession", "ssm:ResumeSession", "ecs:ExecuteCommand", "ssm:StartAutomationExecution"}
)
_CONSOLE: Final = re.compile(r"(?i)console[.-]|signin\.amazonaws\.com|^AWS-Console|Mozilla/")


def to_event(record: Record) -> Event:
    """The record's event.

    Raises:
        BadRecordError: It names no operation, or a time that is none.
    """
    call = Call(record)
    if not call.operation:
        raise BadRecordError("a record names no eventName")
    time = when(record.event_time)
    outcome = _outcome(record)
    act = ACTS.get(call.key) or _by_verb(call)
    actor = _actor(call)
    kind, permission = _meaning(act, call, actor)
    target = call.target()
    if act.sensitivity != "unknown" or (call.service == "secretsmanager" and kind != "call"):
        target = Target(target.uri, target.type, "restricted")
    out, into, records = _volume(call, kind)
    kept = _kept(call, act, permission)
    let_in = kept.get("grantee_account")
    return Event(
        id=_id(call),
        time=time,
        actor=actor,
        kind=kind,
        action=call.key[:512],
        target=target,
        # Whose account it is, only the operator's lists of destinations can tell.
        destination=_destination(call) if kind == "transfer" else Destination(account=let_in) if let_in else None,
        bytes_out=out,
        bytes_in=into,
        records=records,
        permission=permission,
        outcome=outcome,
        attributes=kept | ({UNDATED: True} if time == EPOCH else {}),
    )


def _by_verb(call: Call) -> Act:
    """What an operation that the table does not hold means, by its name and its parameters."""
    if _READS.match(call.operation):
        return CALL
    if _DELETES.match(call.operation):
        return DELETE
    return _PERHAPS_POLICY if call.params else CALL


def _meaning(act: Act, call: Call, actor: Actor) -> tuple[Kind, Permission | None]:
    if act is TRANSFER and call.params and call.service == "s3" and call.operation in {"PutObject", "CopyObject"}:
        acl = bucket_acl(call)  # an object put up for everybody is first of all that
        return ("permission", acl) if acl is not None and acl.audience == "public" else (act.kind, None)
    if act.read is not None:
        found = act.read(call)
        if isinstance(found, Permission):
            return "permission", found
        return found or act.kind, None
    if act.change is None:
        return act.kind, None
    grantee = _grantee(act, call, actor)
    return act.kind, Permission(act.change, grantee, act.audience, privilege=_privilege(act.privilege, call))


def _privilege(told: str, call: Call) -> str:
    if not told.startswith("@"):
        return told
    value = call.get(told[1:])
    if isinstance(value, list):
        return strongest(str(item) for item in value)
    return call.text(told[1:]).rpartition("/")[2][:512]


def _grantee(act: Act, call: Call, actor: Actor) -> str | None:
    kind, _, name = act.to.partition(":")
    if not name:
        return kind or (actor.id if act.privilege.startswith("credential:") else None)
    found = call.text(name)
    if not found:  # without a name these are the caller's own
        return actor.id if act.privilege.startswith("credential:") else None
    return found[:512] if kind == "name" else call.arn("iam", f"{kind}/{found}")[:512]


def _id(call: Call) -> str:
    record = call.record
    told = record.event_id or record.request_id
    told = told or digest(msgspec.msgpack.encode(record))
    return f"cloudtrail:{call.account}:{told}"[:512]


def _outcome(record: Record) -> Outcome:
    if record.error_code:
        return "denied" if _DENIED.search(record.error_code) else "failure"
    if record.error_message:
        return "denied" if _DENIED.search(record.error_message[:512]) else "failure"
    answer = record.response_elements
    if type(answer) is dict and answer.get(record.event_name) in {"Failure", "Failed"}:
        return "failure"
    return "success"


def _actor(call: Call) -> Actor:
    identity = call.record.user_identity or Identity()
    arn, session = identity.arn or "", identity.session_context
    name = None
    if identity.type == "AssumedRole" or ":assumed-role/" in arn:
        issuer = session and session.session_issuer
        head, _, rest = arn.partition(":assumed-role/")
        role, _, name = rest.partition("/")
        arn = (issuer and issuer.arn) or (f"{head.replace(':sts:', ':iam:')}:role/{role}" if role else "")
    elif identity.type == "FederatedUser" and session and session.session_issuer:
        name = arn.rpartition("/")[2]
        arn = session.session_issuer.arn or arn
    elif not arn and identity.principal_id:  # another account's session: "AROA...:session"
        arn, _, name = identity.principal_id.partition(":")
    who = arn or identity.user_name or identity.invoked_by or identity.account_id or call.account
    behalf = (session and session.source_identity) or (name if PORTAL_ROLE in arn else None)
    return Actor(
        id=(who or "unknown")[:512],
        kind=_actor_kind(call, identity, arn),
        on_behalf_of=behalf[:512] if behalf else None,
        session=name[:512] if name else None,
    )


def _actor_kind(call: Call, identity: Identity, arn: str) -> ActorKind:
    if identity.type == "AWSService" or ":role/aws-service-role/" in arn:
        return "service"
    record, attributes = call.record, identity.session_context and identity.session_context.attributes
    interactive = (
        identity.type in {"Root", "SAMLUser", "IdentityCenterUser"}
        or PORTAL_ROLE in arn
        or record.session_credential_from_console in {True, "true"}
        or (attributes and attributes.mfa_authenticated in {True, "true"})
        or (call.service == "signin" and call.operation != "GetSigninToken")
        or _CONSOLE.search((record.user_agent or "")[:512])
    )
    return "human" if interactive else "agent"


def _volume(call: Call, kind: Kind) -> tuple[int, int, int]:
    """Bytes out, bytes in and records."""
    extra = call.record.additional_event_data
    out, into = _count(extra, "bytesTransferredOut"), _count(extra, "bytesTransferredIn")
    if kind in {"transfer", "permission"}:  # what is written to a bucket leaves its caller
        out, into = into or out, 0
    if kind != "delete":
        return out, into, 0
    gone = items(call.get("instancesset")) or items(call.get("imageids")) or items(call.get("names"))
    return out, into, max(1, len(gone))


def _count(extra: Any, name: str) -> int:
    value = extra.get(name) if type(extra) is dict else None
    return int(value) if isinstance(value, (int, float)) and 0 <= value < 2**63 else 0


def _destination(call: Call) -> Destination:
    """Where data goes: the bucket and, as the record tells its owner, the account."""
    replica = _replica(call)
    bucket = replica.get("Bucket") or call.text("s3bucketname", "s3bucket", "destination", "bucketname")
    bucket = bucket.removeprefix("arn:aws:s3:::")
    owners = [item.account_id for item in call.record.resources or () if item.account_id]
    foreign = next((owner for owner in owners if owner != _caller(call)), None)
    named = replica.get("Account") or call.text("bucketowner", "s3bucketowner", "destinationaccountid")
    owner = named or foreign or ("" if replica else "".join(owners[:1]))
    # A copy within the service stays in the account; so does what its own buckets hold.
    stays = owner == _caller(call) if owner else not bucket
    return Destination(
        host=f"{bucket}.s3.amazonaws.com"[:512] if bucket and ":" not in bucket else None,
        account=(owner or (call.account if stays else ""))[:512] or None,
        zone="internal" if stays else "unknown",
    )


def _replica(call: Call) -> dict[str, str]:
    """Where a bucket's objects are to be copied from now on, by the first rule of its replication."""
    for rule in items(inner(call, "replicationconfiguration.rule")):
        to = rule.get("Destination") if isinstance(rule, dict) else None
        return {k: v for k, v in to.items() if isinstance(v, str)} if isinstance(to, dict) else {}
    return {}


def _caller(call: Call) -> str:
    identity = call.record.user_identity
    return (identity and identity.account_id) or call.account


def _kept(call: Call, act: Act, permission: Permission | None) -> dict[str, Any]:
    """What helps an analyst and is nobody's secret."""
    record, identity = call.record, call.record.user_identity or Identity()
    session = identity.session_context
    found = {
        "account": call.account,
        "region": call.region,
        "source_ip": record.source_ip,
        "user_agent": record.user_agent,
        "identity_type": identity.type,
        "access_key_id": identity.access_key_id,
        "invoked_by": identity.invoked_by,
        "mfa": session and session.attributes and session.attributes.mfa_authenticated,
        "error_code": record.error_code,
        "read_only": record.read_only,
        "event_type": record.event_type,
        "request_id": record.request_id,
        "vpc_endpoint_id": record.vpc_endpoint_id,
    }
    found |= _identity(call, identity)
    kept = {k: v[:256] if type(v) is str else v for k, v in found.items() if v is not None and v != ""}
    if permission is not None and permission.grantee:
        kept |= _outsider(permission.grantee, call)
    # A policy that lets in none but the house's own people and the services of AWS.
    ours = permission is not None and permission.audience != "public" and "grantee_account" not in kept
    return kept | {"private": True} if ours and act.read in _POLICY_READERS else kept


def _identity(call: Call, identity: Identity) -> dict[str, Any]:
    """What is strange about who called, as the record tells it."""
    root = identity.type == "Root" and not identity.invoked_by and call.record.event_type != "AwsServiceEvent"
    people = identity.type in {"Root", "IAMUser"}  # for others their own house asks for the second factor
    factors = _extra(call, "MFAUsed") if call.key == "signin:ConsoleLogin" and people else ""
    return {
        "outside": True if identity.account_id and identity.account_id != call.account else None,
        "anonymous": True if _NOBODY in {identity.account_id, identity.principal_id} else None,
        "root": True if root or call.key == "sts:AssumeRoot" else None,
        "second_factor": {"Yes": True, "No": False}.get(factors),
        "alarm": True if _QUARANTINE in call.text("policyarn") and call.operation.startswith("Attach") else None,
        "remote_command": call.operation if call.key in _REMOTE else None,
        "whole": _whole(call),
    }


def _extra(call: Call, name: str) -> str:
    """A word of the record's additional data; "" without one."""
    extra = call.record.additional_event_data
    value = extra.get(name) if isinstance(extra, dict) else None
    return value if isinstance(value, str) else ""


def _whole(call: Call) -> str | None:
    """What a read asked for all of."""
    if call.key == "secretsmanager:BatchGetSecretValue" and not items(call.get("secretidlist")):
        return "secrets"
    return "parameters" if call.key == "ssm:GetParametersByPath" and call.text("path") == "/" else None


def _outsider(grantee: str, call: Call) -> dict[str, str]:
    """The account that access was given to, if it is not the one that gave it."""
    parts = grantee.split(":", 5)
    owner = parts[4] if len(parts) == 6 else grantee
    foreign = len(owner) == 12 and owner.isdigit() and owner != call.account
    return {"grantee_account": owner} if foreign else {}
