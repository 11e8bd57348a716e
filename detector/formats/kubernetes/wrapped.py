"""Where audit events are found: bare, in a list, or in what a managed cluster's cloud puts around them.

| around it | cluster | time, if the event has none |
| --- | --- | --- |
| nothing, or `EventList.items` | annotation `cluster` or `cluster-name` | `timestamp` |
| EKS: CloudWatch `logEvents[].message` | the log group, `/aws/eks/NAME/cluster` | `logEvents[].timestamp` |
| AKS: Azure `properties.log`, alone or in `records` | the last part of `resourceId` | `time` |
| GKE: a log entry's `protoPayload` of `k8s.io` | `resource.labels.cluster_name` | `timestamp` |
"""

from collections.abc import Iterator
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


class _Record(msgspec.Struct, rename="camel"):
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

    items: list[Audit] | None = None
    message_type: str | None = None
    log_group: str | None = None
    log_stream: str | None = None
    log_events: list[_LogEvent] | None = None
    category: str | None = None
    properties: _AzureProperties | None = None
    resource_id: str | None = None
    when: str | int | float | None = msgspec.field(default=None, name="time")
    records: list[_Record] | None = None
    proto: _Proto | None = msgspec.field(default=None, name="protoPayload")
    resource_of: _Resource | None = msgspec.field(default=None, name="resource")
    insert_id: str | None = None


class Found(NamedTuple):
    """An audit event, its cluster ("" if nothing tells), its cloud, and what it was decoded from."""

    audit: Audit
    cluster: str
    cloud: str
    raw: bytes


_DECODER: Final = msgspec.json.Decoder(_Message)
_INNER: Final = msgspec.json.Decoder(Audit)


def found_in(raw: bytes) -> Iterator[Found]:
    """The audit events of a message.

    Raises:
        BadRecordError: Nothing of an audit log in it.
        msgspec.DecodeError: Not JSON; a `ValidationError` if of other types.
        UnicodeDecodeError: Not UTF-8.
        RecursionError: Nested too deeply.
    """
    message = _DECODER.decode(raw)
    if message.log_events is not None:
        yield from _of_cloudwatch(message)
    elif message.records is not None:
        for record in message.records:
            yield from _of_azure(record.properties, record.category, record.resource_id, record.time)
    elif message.properties is not None and message.properties.log is not None:
        yield from _of_azure(message.properties, message.category, message.resource_id, message.when)
    elif message.proto is not None:
        yield _of_google(message, message.proto, raw)
    elif message.items is not None and message.kind in {None, "EventList"}:
        for index, each in enumerate(message.items):
            yield Found(each, "", "", raw + b"/%d" % index if each.audit_id is None else b"")
    elif message.kind == "Event" and (message.api_version or "audit.k8s.io/").startswith("audit.k8s.io/"):
        message.shipped = message.shipped or message.when
        yield Found(message, "", "", raw)
    elif message.message_type != "CONTROL_MESSAGE":
        raise BadRecordError("no audit.k8s.io Event or EventList, nor what EKS, AKS or GKE put around one")


def _of_cloudwatch(message: _Message) -> Iterator[Found]:
    """The other logs of the control plane share the group; their lines are nobody's acts."""
    if message.log_stream and not message.log_stream.startswith(_AUDIT_STREAM):
        return
    group = message.log_group or ""
    cluster = group.removeprefix(_GROUP).partition("/")[0] if group.startswith(_GROUP) else ""
    for each in message.log_events or ():
        yield _inner(each.message, cluster, "eks", each.timestamp)


def _of_azure(
    properties: _AzureProperties | None, category: str | None, resource: str | None, time: str | float | None
) -> Iterator[Found]:
    if properties is None or properties.log is None or not (category or "kube-audit").startswith("kube-audit"):
        return
    yield _inner(properties.log, (resource or "").rpartition("/")[2].lower(), "aks", time)


def _inner(text: str, cluster: str, cloud: str, time: str | float | None) -> Found:
    raw = text.encode()
    audit = _INNER.decode(raw)
    audit.shipped = audit.shipped or time
    return Found(audit, cluster, cloud, raw)


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
