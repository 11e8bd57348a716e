"""OTLP/JSON -> spans."""

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from detector.formats.otel.spans import GENAI, BadSpanError, Span

_HEX: Final = re.compile(r"[0-9a-fA-F]+")
_WHOLE: Final = re.compile(r"-?\d{1,20}")
_SNAKE: Final = (b'"resource_spans"', b'"scope_spans"', b'"trace_id"', b'"instrumentation_library_spans"')


class _Array(msgspec.Struct):
    values: "list[_AnyValue] | None" = None


class _Pairs(msgspec.Struct):
    values: "list[_KeyValue] | None" = None


class _AnyValue(msgspec.Struct, rename="camel"):
    string_value: str | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    bool_value: bool | None = None
    array_value: _Array | None = None
    kvlist_value: _Pairs | None = None
    bytes_value: str | None = None


class _KeyValue(msgspec.Struct):
    key: str = ""
    value: _AnyValue | None = None


class _Status(msgspec.Struct):
    code: int | str | None = None
    message: str | None = None


class _SpanEvent(msgspec.Struct):
    name: str | None = None
    attributes: list[_KeyValue] | None = None


class _Span(msgspec.Struct, rename="camel"):
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    start_time_unix_nano: int | str | None = None
    end_time_unix_nano: int | str | None = None
    attributes: list[_KeyValue] | None = None
    events: list[_SpanEvent] | None = None
    status: _Status | None = None


class _Scope(msgspec.Struct):
    spans: list[_Span] | None = None


class _Resource(msgspec.Struct):
    attributes: list[_KeyValue] | None = None


class _ResourceSpans(msgspec.Struct, rename="camel"):
    resource: _Resource | None = None
    scope_spans: list[_Scope] | None = None
    instrumentation_library_spans: list[_Scope] | None = None


class _Message(_Span, rename="camel"):
    """An export request, one of its elements or a span: whichever fields are there."""

    resource_spans: list[_ResourceSpans] | None = None
    resource: _Resource | None = None
    scope_spans: list[_Scope] | None = None
    instrumentation_library_spans: list[_Scope] | None = None


_DECODER: Final = msgspec.json.Decoder(_Message)


def spans_of_json(raw: bytes) -> Iterator[Span]:
    """The spans of agents in a message, and of the rest, without attributes, those that lead from one to another.

    Raises:
        msgspec.DecodeError: Not JSON; a `ValidationError` if not OTLP.
        UnicodeDecodeError: Not UTF-8.
        RecursionError: Nested too deeply.
        BadSpanError: No span where one should be, or one without usable ids or times.
    """
    if any(name in raw for name in _SNAKE):
        message = msgspec.convert(_camel(msgspec.json.decode(raw)), _Message)
    else:
        message = _DECODER.decode(raw)
    if message.resource_spans is not None:
        parts: Sequence[_ResourceSpans | _Message] = message.resource_spans
    elif message.scope_spans is not None or message.instrumentation_library_spans is not None:
        parts = [message]
    elif message.trace_id is not None or message.span_id is not None:
        yield from _of_agents([message], {})
        return
    else:
        raise BadSpanError("no OTLP traces: neither resourceSpans nor scopeSpans nor a traceId")
    for part in parts:
        resource = _mapping(part.resource.attributes) if part.resource else {}
        for scope in (*(part.scope_spans or ()), *(part.instrumentation_library_spans or ())):
            yield from _of_agents(scope.spans or (), resource)


def _of_agents(spans: Sequence[_Span], resource: dict[str, Any]) -> Iterator[Span]:
    for span in spans:
        if not any(pair.key.startswith(GENAI) for pair in span.attributes or ()):
            yield from _of_another(span, resource)
            continue
        status = span.status or _Status()
        yield Span(
            trace_id=_id(span.trace_id, "traceId", 16),
            span_id=_id(span.span_id, "spanId", 8),
            parent_id=_id(span.parent_span_id, "parentSpanId", 8) if span.parent_span_id else "",
            start=_nanoseconds(span.start_time_unix_nano),
            end=_nanoseconds(span.end_time_unix_nano),
            attributes=_mapping(span.attributes),
            resource=resource,
            events=[(event.name or "", _mapping(event.attributes)) for event in span.events or ()],
            error=status.code in {2, "2", "STATUS_CODE_ERROR"},
            message=status.message or "",
        )


def _of_another(span: _Span, resource: dict[str, Any]) -> Iterator[Span]:
    """A span of no agent, for its place among the others; nothing if its ids are not to be used."""
    if not span.parent_span_id:
        return
    with suppress(BadSpanError):
        ids = (_id(span.trace_id, "traceId", 16), _id(span.span_id, "spanId", 8))
        yield Span(*ids, _id(span.parent_span_id, "parentSpanId", 8), 0, 0, {}, resource)


def _mapping(pairs: Sequence[_KeyValue] | None) -> dict[str, Any]:
    return {pair.key: _plain(pair.value) for pair in pairs or () if pair.value is not None}


def _plain(value: _AnyValue) -> Any:
    if value.string_value is not None:
        return value.string_value
    if value.int_value is not None:
        return _integer(value.int_value)
    if value.array_value is not None:
        return [_plain(inner) for inner in value.array_value.values or ()]
    if value.kvlist_value is not None:
        return _mapping(value.kvlist_value.values)
    if value.bytes_value is not None:
        return _unpacked(value.bytes_value).decode("utf-8", "replace")
    return value.bool_value if value.bool_value is not None else value.double_value


def _integer(value: int | str) -> int | str:
    """A whole number of 64 bits, as OTLP's are; what is none stays text."""
    text = str(value)
    whole = int(text) if _WHOLE.fullmatch(text) else None
    return text if whole is None or not -(2**63) <= whole < 2**63 else whole


def _id(text: str | None, field: str, size: int) -> str:
    """An id of `size` bytes in lower-case hex; OTLP/JSON has hex, plain protobuf JSON base64."""
    text = text or ""
    found = text.lower() if len(text) == 2 * size and _HEX.fullmatch(text) else _unpacked(text).hex()
    if len(found) != 2 * size or not found.strip("0"):
        raise BadSpanError(f"{field} {text[:80]!r} is not {size} bytes in hex or base64")
    return found


def _unpacked(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _nanoseconds(value: int | str | None) -> int:
    if value is None or value == "":
        return 0
    found = int(value) if _WHOLE.fullmatch(str(value)) else -1
    if not 0 <= found < 2**64:
        raise BadSpanError(f"a time is nanoseconds since 1970, not {str(value)[:40]!r}")
    return found


def _camel(value: Any) -> Any:
    """The names of fields in lower camel case; attributes' keys are values in OTLP, so they stay."""
    if isinstance(value, dict):
        return {_camel_name(name): _camel(inner) for name, inner in value.items()}
    return [_camel(inner) for inner in value] if isinstance(value, list) else value


def _camel_name(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
