"""OTLP protobuf -> spans.

A message is an `ExportTraceServiceRequest` or `TracesData`: both have one field, `resource_spans`, and the same
bytes. Its three outer levels are taken apart as frames (bytes in bytes), so that each span is parsed alone and
one that can't be parsed spoils no other.

Protobuf has no mark of its own, and noise may parse as a message of unknown fields. So a message that holds no
span is refused, and so is any span without a trace id of 16 and a span id of 8 bytes, of an agent or not; unknown
fields beside known ones are passed over, as later versions of OTLP may bring them. Depth is bounded by the
library, at 100 messages within each other.
"""

import base64
import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from detector.events import Reject
from detector.formats.otel.wire import (
    AnyValue,
    Array,
    BadSpanError,
    KeyValue,
    Pairs,
    Read,
    Resource,
    Source,
    Span,
    SpanEvent,
    Status,
)


def _frames() -> Any:
    """A message type for every level above a span: field 1 and field 2, each any number of times, unparsed."""
    file = descriptor_pb2.FileDescriptorProto(name="detector/frames.proto", package="detector", syntax="proto3")
    fields = file.message_type.add(name="Frames").field
    for number, name in ((1, "first"), (2, "second")):
        kind = descriptor_pb2.FieldDescriptorProto
        fields.add(name=name, number=number, type=kind.TYPE_BYTES, label=kind.LABEL_REPEATED)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("detector.Frames"))


_FRAMES: Final = _frames()
_NONE: Final = Source.of(None)
"""The source of what is no span."""
_PLAIN: Final = ("string_value", "int_value", "bool_value")


def is_proto(raw: bytes) -> bool:
    r"""Whether a message can only be protobuf; what is not is JSON or nothing.

    A request begins with the tag of `resource_spans`, the byte 0x0a, which is also a line feed and may stand before
    JSON. But `scope_spans` and `spans` have the tag 0x12, so that it is in every request that holds a span, and JSON
    can't have that byte anywhere: control characters are escaped in it.

    >>> [is_proto(raw) for raw in (b'\n{"resourceSpans": []}', b"\n\x04\x12\x02\x12\x00", b"\x12\x00")]
    [False, True, False]
    """
    return raw[:1] == b"\n" and b"\x12" in raw


def spans_of_proto(raw: bytes) -> Iterator[Read]:
    """The spans of a message, each with its own bytes; one that is not OTLP by itself is a reject by itself.

    Raises:
        BadSpanError: Not an export request, or none with a span.
    """
    try:
        parts = _FRAMES.FromString(raw).first
    except DecodeError as error:
        raise BadSpanError(f"not OTLP protobuf: {error}") from error
    read = [span for own in parts for span in _of_resource(own)]
    if all(span.source is _NONE for span in read):
        why = next((span.span.detail for span in read if isinstance(span.span, Reject)), "it holds no span")
        raise BadSpanError(f"not OTLP protobuf: {why}")
    yield from read


def _of_resource(own: bytes) -> Iterator[Read]:
    try:
        frames = _FRAMES.FromString(own)
    except DecodeError as error:
        yield _refused(error, own)
        return
    source = _source(b"".join(frames.first))
    for of_scope in frames.second:
        try:
            scope = _FRAMES.FromString(of_scope)
        except DecodeError as error:
            yield _refused(error, of_scope)
            continue
        named = _scope(scope.first) if scope.second else None
        yield from (Read(_span(span), span, named, source, is_json=False) for span in scope.second)


def _source(raw: bytes) -> Source:
    """What the spans of a resource share, of those of its attributes that can be read."""
    try:
        return Source.of(Resource(_pairs(resource_pb2.Resource.FromString(raw).attributes)))
    except DecodeError:
        pass
    kept: list[KeyValue] = []
    with suppress(DecodeError):
        for own in _FRAMES.FromString(raw).first:
            with suppress(DecodeError):
                kept += _pairs((common_pb2.KeyValue.FromString(own),))
    return Source.of(Resource(kept), whole=False)


def _refused(error: DecodeError, own: bytes) -> Read:
    return Read(_refusal(error, own), own, None, _NONE, is_json=False)


def _refusal(error: DecodeError, own: bytes) -> Reject:
    return Reject("not_utf8" if "UTF-8" in str(error) else "wrong_shape", str(error), own)


def _span(own: bytes) -> Span | Reject:
    try:
        span = trace_pb2.Span.FromString(own)
    except DecodeError as error:
        return _refusal(error, own)
    if len(span.trace_id) != 16 or len(span.span_id) != 8:
        why = f"trace_id has {len(span.trace_id)} bytes and span_id {len(span.span_id)}; OTLP asks for 16 and 8"
        return Reject("wrong_shape", why, own)
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex() or None,
        trace_state=span.trace_state or None,
        flags=span.flags or None,
        name=span.name or None,
        kind=span.kind or None,
        start_time_unix_nano=span.start_time_unix_nano,
        end_time_unix_nano=span.end_time_unix_nano,
        attributes=_pairs(span.attributes),
        dropped_attributes_count=span.dropped_attributes_count or None,
        events=[SpanEvent(event.name, event.time_unix_nano or None, _pairs(event.attributes)) for event in span.events]
        or None,
        links=[_link(link) for link in span.links] or None,
        status=Status(span.status.code or None, span.status.message or None) if span.HasField("status") else None,
    )


def _scope(frames: Iterable[bytes]) -> dict[str, str]:
    with suppress(DecodeError):
        scope = common_pb2.InstrumentationScope.FromString(b"".join(frames))
        return {"name": scope.name, "version": scope.version}
    return {}


def _link(link: Any) -> dict[str, Any]:
    return {"traceId": link.trace_id.hex(), "spanId": link.span_id.hex(), "traceState": link.trace_state}


def _pairs(pairs: Iterable[Any]) -> list[KeyValue]:
    return [KeyValue(pair.key, _value(pair.value)) for pair in pairs if pair.HasField("value")]


def _value(value: Any) -> AnyValue:
    """The value as JSON has it; what is not finite or not text as the protobuf mapping of JSON has that."""
    text = value.string_value
    if text:
        return AnyValue(text)
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return AnyValue(array_value=Array([_value(inner) for inner in value.array_value.values]))
    if kind == "kvlist_value":
        return AnyValue(kvlist_value=Pairs(_pairs(value.kvlist_value.values)))
    if kind == "bytes_value":
        return AnyValue(bytes_value=base64.b64encode(value.bytes_value).decode())
    if kind == "double_value":
        return AnyValue(double_value=_double(value.double_value))
    return AnyValue(**{kind: getattr(value, kind)}) if kind in _PLAIN else AnyValue()


def _double(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
