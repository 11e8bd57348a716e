"""Where audit events are found: bare, in a list, or in what a managed cluster's cloud puts around them.

| around it | cluster | time, if the event has none |
| --- | --- | --- |
| nothing, or `EventList.items` | annotation `cluster` or `cluster-name` | `timestamp` |
| EKS: CloudWatch `logEvents[].message` | the log group, `/aws/eks/NAME/cluster` | `logEvents[].timestamp` |
| AKS: Azure `properties.log`, alone or in `records` | the last part of `resourceId` | `time` |
| GKE: a log entry's `protoPayload` of `k8s.io` | `resource.labels.cluster_name` | `timestamp` |
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from detector.formats.audit import BadRecordError
from detector.formats.kubernetes.audit import Audit, ObjectRef, ResponseStatus, User

_GROUP: Final = "/aws/eks/"
_AUDIT_STREAM: Final = "kube-apiserver-audit"
_GRPC: Final = {0: 200, 3: 400, 5: 404, 6: 409, 7: 403, 9: 409, 13: 500, 14: 503, 16: 401}


class _LogEvent(msgspec.Struct):
    message: str = ""
    timestamp: int | None = None


class _AzureProperties(msgspec.Struct):
    log: str | None = None


class _AzureRecord(msgspec.Struct, rename="camel"):
    category: str | None = None
    properties: _AzureProperties | None = None
    resource_id: str | None = None
    time: str | None = None


class _Who(msgspec.Struct, rename="camel"):
    principal_email: str | None = None
    authority_selector: str | None = None


class _Granted(msgspec.Struct):
    granted: bool | None = None


class _Metadata(msgspec.Struct):
    caller_ip: str | None = msgspec.field(default=None, name="callerIp")
    user_agent: str | None = msgspec.field(default=None, name="callerSuppliedUserAgent")


class _Proto(msgspec.Struct, rename="camel"):
    service_name: str | None = None
    method_name: str | None = None
    resource_name: str | None = None
    authentication_info: _Who | None = None
    authorization_info: list[_Granted] | None = None
    request_metadata: _Metadata | None = None
    status: ResponseStatus | None = None
    request: msgspec.Raw = msgspec.Raw()
    response: msgspec.Raw = msgspec.Raw()


class _Resource(msgspec.Struct):
    labels: dict[str, str] | None = None


class _Message(Audit, rename="camel"):
    """An audit event or one of the wrappings: whichever fields are there."""

    items: list[msgspec.Raw] | None = None
    message_type: str | None = None
    log_group: str | None = None
    log_stream: str | None = None
    log_events: list[_LogEvent] | None = None
    category: str | None = None
    properties: _AzureProperties | None = None
    resource_id: str | None = None
    when: str | int | float | None = msgspec.field(default=None, name="time")
    records: list[msgspec.Raw] | None = None
    proto: _Proto | None = msgspec.field(default=None, name="protoPayload")
    resource_of: _Resource | None = msgspec.field(default=None, name="resource")
    insert_id: str | None = None


class Found(NamedTuple):
    """An audit event, its cluster ("" if nothing tells), its cloud, and what it was decoded from."""

    audit: Audit
    cluster: str
    cloud: str
    raw: bytes


class Record(NamedTuple):
    """One of a message's several records: its bytes, and what is found in them; None if that is no audit event."""

    raw: bytes
    found: Callable[[], Found | None]


_DECODER: Final = msgspec.json.Decoder(_Message)
_INNER: Final = msgspec.json.Decoder(Audit)
_AZURE: Final = msgspec.json.Decoder(_AzureRecord)


def found_in(raw: bytes) -> Found | list[Record] | None:
    """The audit event of a message, None if it holds another log's, or its records; `found` raises as this does.

    Raises:
        BadRecordError: Nothing of an audit log in it.
        msgspec.DecodeError: Not JSON; a `ValidationError` if of other types.
        UnicodeDecodeError: Not UTF-8.
        RecursionError: Nested too deeply.
    """
    message = _DECODER.decode(raw)
    if message.log_events is not None:
        return _of_cloudwatch(message, message.log_events)
    if message.records is not None:
        return [Record(each, partial(_azure_record, each)) for each in map(bytes, message.records)]
    if message.items is not None and message.kind in {None, "EventList"}:
        items = enumerate(map(bytes, message.items))
        return [Record(each, partial(_inner, each, place=place)) for place, each in items]
    if message.properties is not None and message.properties.log is not None:
        return _of_azure(message.properties, message.category, message.resource_id, message.when)
    if message.proto is not None:
        return _of_google(message, message.proto, raw)
    return _bare(message, raw)


def _bare(message: _Message, raw: bytes) -> Found | None:
    if message.kind == "Event" and (message.api_version or "audit.k8s.io/").startswith("audit.k8s.io/"):
        message.shipped = message.shipped or message.when
        return Found(message, "", "", raw)
    if message.message_type == "CONTROL_MESSAGE":
        return None
    raise BadRecordError("no audit.k8s.io Event or EventList, nor what EKS, AKS or GKE put around one")


def _of_cloudwatch(message: _Message, events: list[_LogEvent]) -> list[Record]:
    """The other logs of the control plane share the group; their lines are nobody's acts."""
    if message.log_stream and not message.log_stream.startswith(_AUDIT_STREAM):
        return []
    group = message.log_group or ""
    cluster = group.removeprefix(_GROUP).partition("/")[0] if group.startswith(_GROUP) else ""
    lines = ((each.message.encode(), each.timestamp) for each in events)
    return [Record(line, partial(_inner, line, cluster, "eks", at)) for line, at in lines]


def _azure_record(raw: bytes) -> Found | None:
    record = _AZURE.decode(raw)
    return _of_azure(record.properties, record.category, record.resource_id, record.time)


def _of_azure(
    properties: _AzureProperties | None, category: str | None, resource: str | None, time: str | float | None
) -> Found | None:
    if properties is None or properties.log is None or not (category or "kube-audit").startswith("kube-audit"):
        return None
    return _inner(properties.log.encode(), (resource or "").rpartition("/")[2].lower(), "aks", time)


def _inner(raw: bytes, cluster: str = "", cloud: str = "", time: str | float | None = None, place: int = 0) -> Found:
    audit = _INNER.decode(raw)
    audit.shipped = audit.shipped or time
    # What an id is made of, where there is none: the like at another place is another event.
    return Found(audit, cluster, cloud, raw + b"/%d" % place if place else raw)


def _of_google(message: _Message, proto: _Proto, raw: bytes) -> Found:
    """A log entry of Cloud Audit Logs, which name the verb and the object in other words.

    Raises:
        BadRecordError: Another service's.
    """
    if proto.service_name != "k8s.io":
        raise BadRecordError(f"an audit log of {proto.service_name}, not of k8s.io")
    who, client = proto.authentication_info or _Who(), proto.request_metadata or _Metadata()
    refused = any(each.granted is False for each in proto.authorization_info or ())
    status = proto.status or ResponseStatus()
    labels = (message.resource_of.labels if message.resource_of else None) or {}
    audit = Audit(
        audit_id=f"{labels.get('project_id', '')}/{message.insert_id}" if message.insert_id else None,
        verb=(proto.method_name or "").rpartition(".")[2],
        user=User(who.principal_email or who.authority_selector),
        source_ips=[client.caller_ip] if client.caller_ip else None,
        user_agent=client.user_agent,
        object_ref=_reference(proto.resource_name or ""),
        response_status=ResponseStatus(403 if refused else _GRPC.get(status.code or 0, 500)),
        request_object=proto.request,
        response_object=proto.response,
        shipped=message.shipped,
    )
    return Found(audit, labels.get("cluster_name", ""), "gke", raw)


def _reference(path: str) -> ObjectRef | None:
    """`core/v1/namespaces/NAMESPACE/pods/NAME/exec`, with or without the namespace, name and subresource.

    >>> _reference("core/v1/namespaces/web/pods/a/exec")
    ObjectRef(resource='pods', namespace='web', name='a', api_group='', subresource='exec')
    >>> _reference("core/v1/namespaces/web")
    ObjectRef(resource='namespaces', namespace=None, name='web', api_group='', subresource=None)
    """
    group, _, rest = path.partition("/")
    steps = rest.split("/")[1:]
    if not steps:
        return None
    namespace = None
    if steps[0] == "namespaces" and len(steps) > 2:
        namespace, steps = steps[1], steps[2:]
    name = steps[1] if len(steps) > 1 else None
    below = steps[2] if len(steps) > 2 else None
    return ObjectRef(steps[0], namespace, name, "" if group == "core" else group, below)


def annotated(annotations: dict[str, Any] | None) -> str:
    """The cluster's name, where a shipper wrote it into the annotations; else ""."""
    for key in ("cluster", "cluster-name", "cluster_name"):
        if isinstance(name := (annotations or {}).get(key), str):
            return name
    return ""
