"""OTLP/JSON -> spans."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from detector.events import Reject
from detector.formats.otel.wire import BadSpanError, Read, Resource, Source, Span


class _Scope(msgspec.Struct):
    scope: Any = None
    spans: list[msgspec.Raw] | None = None


class _ResourceSpans(msgspec.Struct, rename="camel"):
    resource: Resource | None = None
    scope_spans: list[_Scope] | None = None
    instrumentation_library_spans: list[_Scope] | None = None


class _Message(_ResourceSpans, rename="camel"):
    """An export request, one of its elements or a span: whichever fields are there."""

    resource_spans: list[_ResourceSpans] | None = None
    trace_id: Any = None
    span_id: Any = None


_DECODER: Final = msgspec.json.Decoder(_Message)
_SPAN: Final = msgspec.json.Decoder(Span)


def spans_of_json(raw: bytes) -> Iterator[Read]:
    """The spans of a message, each with its own bytes; one that is not OTLP by itself is a reject by itself.

    Raises:
        msgspec.DecodeError: The message is not JSON; a `ValidationError` if it is not OTLP.
        UnicodeDecodeError: What is around its spans is not UTF-8.
        RecursionError: Nested too deeply.
        BadSpanError: No span where one should be, or a resource that nests too deeply.
    """
    if b'_spans"' in raw or b'"trace_id"' in raw:
        raw = _in_camel(raw)
    message = _DECODER.decode(raw)
    if message.resource_spans is not None:
        parts: Sequence[_ResourceSpans] = message.resource_spans
    elif message.scope_spans is not None or message.instrumentation_library_spans is not None:
        parts = [message]
    elif message.trace_id is not None or message.span_id is not None:
        yield Read(_span(raw), raw, None, Source.of(None))
        return
    else:
        raise BadSpanError("no OTLP traces: neither resourceSpans nor scopeSpans nor a traceId")
    for part in parts:
        source = Source.of(part.resource)
        for scope in (*(part.scope_spans or ()), *(part.instrumentation_library_spans or ())):
            for span in scope.spans or ():
                own = bytes(span)
                yield Read(_span(own), own, scope.scope, source)


def refusal(error: Exception, raw: bytes) -> Reject:
    """Why JSON, of a message or of a span, could not be read."""
    if isinstance(error, msgspec.ValidationError | BadSpanError):
        return Reject("wrong_shape", str(error), raw)
    if isinstance(error, UnicodeDecodeError):
        return Reject("not_utf8", str(error), raw)
    return Reject("not_json", str(error) or "nested too deeply", raw)


def _span(raw: bytes) -> Span | Reject:
    try:
        return _SPAN.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return refusal(error, raw)


def _in_camel(raw: bytes) -> bytes:
    """The message with the names of fields in lower camel case."""
    return msgspec.json.encode(_camel(msgspec.json.decode(raw)))


def _camel(value: Any) -> Any:
    """Attributes' keys are values in OTLP, so they stay."""
    if isinstance(value, dict):
        return {_camel_name(name): _camel(inner) for name, inner in value.items()}
    return [_camel(inner) for inner in value] if isinstance(value, list) else value


def _camel_name(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
