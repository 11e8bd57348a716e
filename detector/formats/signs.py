"""What formats are recognised by: keys at the top of a message, and at most one value among them."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import msgspec

Keys = Mapping[str, msgspec.Raw]
"""The keys at the top of a message, with their values undecoded."""


class Sign(NamedTuple):
    """A message that has all these keys (and `fits`, if given) is of the format; `told` says so to a person."""

    format: str
    keys: frozenset[str]
    told: str
    fits: Callable[[Keys], bool] | None = None


def _text(keys: Keys, name: str) -> str:
    """The value of a key, "" unless it is text."""
    try:
        return msgspec.json.decode(keys.get(name, b'""'), type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _begins(name: str, *beginnings: str) -> Callable[[Keys], bool]:
    return lambda keys: _text(keys, name).startswith(beginnings)


def _holds(name: str, word: bytes) -> Callable[[Keys], bool]:
    return lambda keys: word in bytes(keys[name])


class _Proto(msgspec.Struct):
    service: str | None = msgspec.field(name="serviceName", default=None)


def _of_gke(keys: Keys) -> bool:
    proto = bytes(keys["protoPayload"])
    if b"k8s.io" not in proto:
        return False
    try:
        return msgspec.json.decode(proto, type=_Proto).service == "k8s.io"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _of_eks(keys: Keys) -> bool:
    return _begins("logGroup", "/aws/eks/")(keys) or _begins("logStream", "kube-apiserver")(keys)


def _sign(name: str, keys: str, fits: Callable[[Keys], bool] | None = None, told: str = "") -> Sign:
    names = keys.split()
    return Sign(name, frozenset(names), " and ".join(f"`{key}`" for key in names) + (told and f", {told}"), fits)


SIGNS: Final = (
    _sign("native", "actor kind time"),
    _sign("cloudevents", "specversion"),
    *(_sign("cloudtrail", f"eventName {key}") for key in ("eventSource", "userIdentity")),
    _sign("ocsf", "class_uid"),
    *(_sign("otel", keys) for keys in ("resourceSpans", "resource_spans", "scopeSpans", "scope_spans")),
    *(_sign("otel", keys) for keys in ("instrumentationLibrarySpans", "traceId spanId", "trace_id span_id")),
    *(_sign("kubernetes", keys) for keys in ("auditID", "verb user objectRef")),
    _sign("kubernetes", "kind apiVersion", _begins("apiVersion", "audit.k8s.io/"), "of audit.k8s.io"),
    _sign("kubernetes", "kind items", _begins("kind", "EventList"), "an EventList"),
    _sign("kubernetes", "protoPayload", _of_gke, "its `serviceName` k8s.io"),
    _sign("kubernetes", "logEvents", _of_eks, "of a log group of EKS"),
    _sign("kubernetes", "category properties", _begins("category", "kube-audit"), "a category kube-audit…"),
    _sign("kubernetes", "records", _holds("records", b'"kube-audit'), "of a category kube-audit…"),
    _sign("cloudtrail", "Records"),
    _sign("cloudtrail", "logEvents"),
    _sign("okta", "detail-type detail", _begins("source", "aws.partner/okta.com"), "of the partner okta.com"),
    _sign("cloudtrail", "detail-type detail", _begins("source", "aws."), "of a source aws.…"),
    _sign("okta", "eventType published"),
    _sign("okta", "eventType uuid"),
    _sign("okta", "eventtype published"),
    _sign("okta", "eventType data", _begins("eventType", "com.okta."), "of a type com.okta.…"),
    _sign("gcp_audit", "protoPayload"),
    _sign("gcp_audit", "protopayload_auditlog"),
    _sign("gcp_audit", "entries", _holds("entries", b'"protoPayload"'), "with `protoPayload` in them"),
    *(_sign("github", f"action {key}") for key in ("@timestamp", "_document_id", "at_sign_timestamp")),
    *(_sign("github", f"{key} sender") for key in ("repository", "organization", "enterprise", "installation")),
    _sign("github", "action actor created_at"),
    _sign("github", "action repository"),
)
"""By which a message is recognised; the first that fits counts."""

PROTOBUF: Final = "bytes of protobuf"


def sign_of(keys: Keys) -> Sign | None:
    """The first sign that fits; None if nothing is known by these keys."""
    there = keys.keys()
    for sign in SIGNS:
        if sign.keys <= there and (sign.fits is None or sign.fits(keys)):
            return sign
    return None
