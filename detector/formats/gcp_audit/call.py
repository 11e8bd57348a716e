"""A Cloud Audit Logs entry as a typed record, and the call that it tells of."""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

import msgspec

from detector.events import Actor, ActorKind, Outcome
from detector.formats.audit import BadRecordError, first, text, uri, when, whole

_DENIED: Final = frozenset({7, 16})  # google.rpc.Code: PERMISSION_DENIED, UNAUTHENTICATED
_GOOGLES: Final = re.compile(
    r"^service-\d+@|@(?:cloudservices|system)\.gserviceaccount\.com$|@gcp-sa-|^system:(?!serviceaccount:)"
)
_FREE_MAIL: Final = frozenset(
    (
        *("gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "yahoo.com", "icloud.com"),
        *("proton.me", "protonmail.com", "gmx.com"),
    )
)
_BUCKET: Final = re.compile(r"projects/[^/]*/buckets/([^/]+)(?:/objects/(.+))?")


class _Status(msgspec.Struct):
    code: int | None = None


class _Authentication(msgspec.Struct, rename="camel"):
    principal_email: str | None = None
    principal_subject: str | None = None
    service_account_key_name: str | None = None
    service_account_delegation_info: list[Any] | None = None


class _Authorization(msgspec.Struct, rename="camel"):
    permission: str | None = None
    granted: bool | None = None
    permission_type: str | None = None
    resource: str | None = None


class _Caller(msgspec.Struct):
    ip: str | None = msgspec.field(name="callerIp", default=None)
    ip_as_exported: str | None = msgspec.field(name="callerIP", default=None)
    agent: str | None = msgspec.field(name="callerSuppliedUserAgent", default=None)


class Payload(msgspec.Struct, rename="camel"):
    """The AuditLog message. What depends on the method stays undecoded until it is asked for."""

    method_name: str | None = None
    service_name: str | None = None
    resource_name: str | None = None
    status: _Status | None = None
    authentication_info: _Authentication | None = None
    authorization_info: list[_Authorization] | None = None
    request_metadata: _Caller | None = None
    num_response_items: int | str | None = None
    request: msgspec.Raw = msgspec.Raw()
    service_data: msgspec.Raw = msgspec.Raw()
    metadata: msgspec.Raw = msgspec.Raw()


class _Operation(msgspec.Struct):
    id: str | None = None
    first: bool | None = None
    last: bool | None = None


class _Resource(msgspec.Struct):
    type: str | None = None
    labels: dict[str, Any] | None = None


class Entry(msgspec.Struct, rename="camel"):
    """A LogEntry; `protopayload_auditlog` is the payload's name in exports to BigQuery."""

    proto_payload: Payload | None = None
    exported_payload: Payload | None = msgspec.field(name="protopayload_auditlog", default=None)
    insert_id: str | None = None
    exported_insert_id: str | None = msgspec.field(name="insertid", default=None)
    log_name: str | None = None
    exported_log_name: str | None = msgspec.field(name="logname", default=None)
    timestamp: str | None = None
    receive_timestamp: str | None = None
    resource: _Resource | None = None
    operation: _Operation | None = None
    trace: str | None = None


class Call:
    """One call to a Google Cloud API, by the words of its audit entry.

    Args:
        entry: The log entry.

    Raises:
        BadRecordError: It has no payload or names no method.
    """

    def __init__(self, entry: Entry) -> None:
        payload = entry.proto_payload or entry.exported_payload
        if payload is None or not payload.method_name:
            raise BadRecordError("no Cloud Audit Logs entry: protoPayload.methodName is missing")
        self.entry, self.payload = entry, payload
        self.method = text(payload.method_name)
        self.service = (payload.service_name or "").removesuffix(".googleapis.com")
        parts = self.method.split(".")
        self.operation = parts[-1] if parts[-1][:1].isupper() else ".".join(parts[-2:])
        self.time = when(entry.timestamp or entry.receive_timestamp)
        self.labels: Mapping[str, Any] = (entry.resource.labels if entry.resource else None) or {}
        self.project = text(self.labels.get("project_id"))
        self.permissions = [a.permission for a in payload.authorization_info or () if a.permission]

    @cached_property
    def request(self) -> dict[str, Any]:
        """The arguments; {} where they were not logged."""
        return _tree(self.payload.request)

    @cached_property
    def service_data(self) -> dict[str, Any]:
        """What the service itself adds (policy deltas, older BigQuery jobs)."""
        return _tree(self.payload.service_data)

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """What the service itself adds, in its newer place."""
        return _tree(self.payload.metadata)

    @cached_property
    def resource(self) -> str:
        """The resource's full name, without host; wildcards filled in where the labels tell."""
        granted = next((a.resource for a in self.payload.authorization_info or () if a.resource), "")
        name = first(self.payload.resource_name, granted)
        if name.startswith("//"):
            name = name[2:].partition("/")[2]
        if name.startswith("projects/-/") and self.project:
            name = f"projects/{self.project}/{name[11:]}"
        email, number = text(self.labels.get("email_id")), text(self.labels.get("unique_id"))
        return name.replace(f"/{number}", f"/{email}") if email and number else name

    @cached_property
    def uri(self) -> str:
        """`gs://bucket/object` for storage, else `gcp://` and the full name."""
        bucket = _BUCKET.match(self.resource)
        if bucket:
            return uri(f"gs://{bucket[1]}/{bucket[2]}" if bucket[2] else f"gs://{bucket[1]}")
        return uri(f"gcp://{self.resource or (f'projects/{self.project}' if self.project else self.service or '-')}")

    @property
    def account(self) -> str:
        """The service account that the call is about."""
        name = self.resource.partition("/serviceAccounts/")[2] or text(self.request.get("name"))
        return first(self.labels.get("email_id"), name.rpartition("serviceAccounts/")[2].partition("/")[0])

    @property
    def outcome(self) -> Outcome:
        """By the status; without one, by the permissions that were refused."""
        code = self.payload.status.code if self.payload.status else None
        if code:
            return "denied" if code in _DENIED else "failure"
        checks = self.payload.authorization_info or ()
        refused = self.payload.status is None and any(a.granted is False for a in checks)
        return "denied" if refused else "success"

    @property
    def answers_only(self) -> bool:
        """Whether this is the second entry of a long operation, whose first one told the same."""
        operation = self.entry.operation
        return bool(operation and operation.last and not operation.first)

    @property
    def data_read(self) -> bool:
        """Whether the service classes it as a read of data rather than of settings."""
        return any(a.permission_type == "DATA_READ" for a in self.payload.authorization_info or ())

    @property
    def rows(self) -> int:
        """How many items were returned."""
        return whole(self.payload.num_response_items)

    def actor(self) -> Actor:
        """Who called; behind an impersonated account, the one who borrowed it."""
        who = self.payload.authentication_info or _Authentication()
        subject = who.principal_subject or ""
        name = first(who.principal_email, subject.partition(":")[2] if "://" not in subject else "", subject)
        chain = [item for item in who.service_account_delegation_info or () if isinstance(item, dict)]
        behind = chain[0] if chain else {}
        party = behind.get("firstPartyPrincipal")
        borrower = first(party.get("principalEmail") if isinstance(party, dict) else "", behind.get("principalSubject"))
        if "gserviceaccount.com" in name or name.startswith("system:"):
            return Actor(name, "service" if _GOOGLES.search(name) else "agent", on_behalf_of=borrower or None)
        person = "@" in name or "workforcePools" in subject or subject.startswith("user:")
        system = not name and "system_event" in (self.entry.log_name or self.entry.exported_log_name or "")
        kind: ActorKind = "human" if person and "workloadIdentityPools" not in subject else "agent"
        return Actor(name or "unknown", "service" if system else kind, on_behalf_of=borrower or None)


def outside(grantee: str | None, actor: Actor) -> bool:
    """Whether a person is of another house than the one who let them in, by the domains of their addresses.

    >>> outside("ann@mail.example", Actor("bob@corp.example", "human")), outside("ann@gmail.com", Actor("robot"))
    (True, True)
    """
    domain = (grantee or "").rpartition("@")[2] if "@" in (grantee or "") else ""
    if not domain or domain.endswith("gserviceaccount.com"):
        return False
    own = actor.id.rpartition("@")[2]
    return domain.lower() in _FREE_MAIL or (actor.kind == "human" and "@" in actor.id and own.lower() != domain.lower())


def _tree(raw: msgspec.Raw) -> dict[str, Any]:
    found = msgspec.json.decode(raw) if raw else {}
    return found if isinstance(found, dict) else {}
