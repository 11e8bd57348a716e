"""Google Cloud Audit Logs: a LogEntry whose protoPayload is an AuditLog, one a message, or a list of them.

| event | entry |
| --- | --- |
| id | `insertId` with its log's name; a digest of the entry without one |
| actor | `authenticationInfo`; a person by an e-mail address, Google's own accounts as services |
| action | `methodName` |
| target | `gs://bucket/object`, else `gcp://` and `resourceName` |
| kind, permission | by the method, the permissions that were asked for, or the verb: see `gcp_methods` |
| outcome | `status.code`: 7 and 16 are denials |
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from detector.events import Event, Reject, Target
from detector.formats.audit import EPOCH, STATEMENT, UNDATED, Meaning, digest, each, first, kept, read, text
from detector.formats.gcp_audit.call import Call, Entry, outside
from detector.formats.gcp_audit.methods import meanings
from detector.formats.kubernetes import decode as of_cluster
from detector.formats.parts import Decoded, Part, events_of


class _Message(Entry, rename="camel"):
    """An entry, or the answer of `entries.list`."""

    entries: list[msgspec.Raw] | None = None


_DECODER: Final = msgspec.json.Decoder(_Message | list[msgspec.Raw])
_ENTRY: Final = msgspec.json.Decoder(Entry)
_NOBODY: Final = frozenset({"system:anonymous", "system:unauthenticated", "allUsers"})
# How Google Workspace calls sign-ons and accounts that it finds suspicious itself.
_ALARMS: Final = re.compile(r"(?i)suspicious|govAttackWarning|accountDisabled(?!Generic)|passwordLeak|hijack")
_SECRETS: Final = ("secretmanager", "cloudkms")


def decode(raw: bytes) -> Decoded:
    """The events of a message: one a call, and one a binding of a policy that changed.

    >>> [decode(raw).reason for raw in (b"{}", b"no", b"")]
    ['wrong_shape', 'not_json', 'empty']
    """
    return read(raw, _events)


def _events(raw: bytes) -> tuple[Event | Part, ...]:
    message = _DECODER.decode(raw)
    if isinstance(message, list):
        return each(message, _entry)
    return tuple(_of_entry(message, raw)) if message.entries is None else each(message.entries, _entry)


def _entry(place: int, raw: bytes) -> tuple[Event, ...]:
    return tuple(_of_entry(_ENTRY.decode(raw), raw, place))


def _of_entry(entry: Entry, raw: bytes, place: int = 0) -> Iterator[Event]:
    if entry.proto_payload is not None and entry.proto_payload.service_name == "k8s.io":
        inside = of_cluster(raw)  # a cluster's requests mean the same wherever they are logged
        if not isinstance(inside, Reject):
            yield from events_of(inside)
            return
    call = Call(entry)
    log = entry.log_name or entry.exported_log_name or call.project
    own = entry.insert_id or entry.exported_insert_id
    name = f"{log}/{own}"[-500:] if own else f"gcp-{digest(raw)}-{place}"
    for index, meaning in enumerate(meanings(call)):
        yield _event(call, meaning, f"{name}/{index}" if index else name)


def _event(call: Call, meaning: Meaning, name: str) -> Event:
    entry, payload = call.entry, call.payload
    resource = text(entry.resource.type if entry.resource else "")
    granted = meaning.permission
    secret = meaning.sensitivity == "unknown" and call.service in _SECRETS
    return Event(
        id=name,
        time=call.time,
        actor=call.actor(),
        kind=meaning.kind,
        action=call.method,
        target=Target(meaning.uri or call.uri, resource, "restricted" if secret else meaning.sensitivity),
        destination=meaning.destination,
        bytes_in=meaning.bytes_in,
        bytes_out=meaning.bytes_out,
        records=0 if call.answers_only and meaning.kind == "delete" else meaning.records,
        permission=granted,
        trace_id=text(entry.trace) or None,
        outcome=call.outcome,
        attributes=_attributes(call, payload.service_name or "")
        | ({STATEMENT: meaning.statement} if meaning.statement else {})
        | ({"grantee_outside": True} if granted and outside(granted.grantee, call.actor()) else {}),
    )


def _attributes(call: Call, service: str) -> dict[str, object]:
    caller, who = call.payload.request_metadata, call.payload.authentication_info
    found: dict[str, object] = {
        "service": service,
        "project": call.project,
        "source_ip": first(caller.ip, caller.ip_as_exported) if caller else "",
        "user_agent": text(caller.agent if caller else "", 256),
        "permissions": ", ".join(dict.fromkeys(call.permissions[:8])),
        "key_name": text(who.service_account_key_name if who else ""),
        "operation": text(call.entry.operation.id if call.entry.operation else ""),
        "alarm": True if _ALARMS.search(call.operation) else None,
        "anonymous": True if call.actor().id in _NOBODY else None,
        "status_code": call.payload.status.code if call.payload.status else None,
    }
    return kept(found) | ({UNDATED: True} if call.time == EPOCH else {})
