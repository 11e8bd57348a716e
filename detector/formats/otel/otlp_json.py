"""OTLP/JSON -> spans."""

import re
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from typing import Any, Final

import msgspec

from detector.events import Reject
from detector.formats.otel.wire import BadSpanError, KeyValue, Read, Resource, Source, Span
from detector.formats.repair import is_repairable, repaired


class _Scope(msgspec.Struct):
    scope: Any = None
    spans: list[msgspec.Raw] | None = None


class _Resource(msgspec.Struct):
    attributes: list[msgspec.Raw] | None = None


class _ResourceSpans(msgspec.Struct, rename="camel"):
    resource: msgspec.Raw = msgspec.Raw(b"null")
    scope_spans: list[msgspec.Raw] | None = None
    instrumentation_library_spans: list[msgspec.Raw] | None = None


class _Message(_ResourceSpans, rename="camel"):
    """An export request, one of its elements or a span: whichever fields are there."""

    resource_spans: list[msgspec.Raw] | None = None
    trace_id: Any = None
    span_id: Any = None


class _InCamel(msgspec.Struct):
    """What has none of these names in snake case: with one it is none of its type, and is read in another way.

    To be told so by its fields costs nothing; a search of the text for the names costs as much as to decode it.
    """

    resource_spans_in_snake: None = msgspec.field(default=None, name="resource_spans")
    scope_spans_in_snake: None = msgspec.field(default=None, name="scope_spans")
    library_spans_in_snake: None = msgspec.field(default=None, name="instrumentation_library_spans")


class _OrderlyResource(_InCamel, rename="camel"):
    resource: msgspec.Raw = msgspec.Raw(b"null")
    scope_spans: list[_Scope] | None = None
    instrumentation_library_spans: list[_Scope] | None = None


class _Orderly(_InCamel, rename="camel", kw_only=True):
    """An export request with nothing amiss: it is taken apart in one go, not level by level."""

    resource_spans: list[_OrderlyResource]
    scope_spans: None = None
    instrumentation_library_spans: None = None


class _OrderlySpan(Span, rename="camel"):
    """A span in camel case: see `_InCamel`."""

    trace_id_in_snake: None = msgspec.field(default=None, name="trace_id")


_ORDERLY: Final = msgspec.json.Decoder(_Orderly)
_DECODER: Final = msgspec.json.Decoder(_Message)
_RESOURCE_SPANS: Final = msgspec.json.Decoder(_ResourceSpans)
_SCOPE: Final = msgspec.json.Decoder(_Scope)
_ORDERLY_SPAN: Final = msgspec.json.Decoder(_OrderlySpan)
_SPAN: Final = msgspec.json.Decoder(Span)
_RESOURCE: Final = msgspec.json.Decoder(Resource | None)
_ATTRIBUTES: Final = msgspec.json.Decoder(_Resource)
_ATTRIBUTE: Final = msgspec.json.Decoder(KeyValue)
_USUAL: Final = 4096
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_IN_SNAKE: Final = re.compile(rb'_(?:spans|(?<="trace_)id)"')  # begins with what is rare, so that it is quick


def spans_of_json(raw: bytes, most: int) -> list[Read]:
    """The spans of a message, each with its own bytes; whatever is not OTLP by itself is a reject by itself.

    Args:
        raw: The message.
        most: So many are read; the rest is left.

    Raises:
        msgspec.DecodeError: The message is not JSON; a `ValidationError` if it is not OTLP.
        UnicodeDecodeError: It is not UTF-8, nor JSON once that is repaired.
        RecursionError: Nested too deeply, and never closed.
        BadSpanError: No span where one should be.
    """
    try:
        return list(islice(_orderly(raw), most))
    except _UNREADABLE:
        return list(islice(_level_by_level(raw), most))


def _orderly(raw: bytes) -> Iterator[Read]:
    for found in _ORDERLY.decode(raw).resource_spans:
        source = _source(found.resource)
        for scope in (*(found.scope_spans or ()), *(found.instrumentation_library_spans or ())):
            for span in scope.spans or ():
                yield Read(_ORDERLY_SPAN.decode(span), bytes(span), scope.scope, source)


def _level_by_level(raw: bytes) -> Iterator[Read]:
    if _IN_SNAKE.search(raw):
        raw = _in_camel(raw)
    message = _DECODER.decode(raw)
    if message.resource_spans is None and message.scope_spans is None and message.instrumentation_library_spans is None:
        if message.trace_id is None and message.span_id is None:
            raise BadSpanError("no OTLP traces: neither resourceSpans nor scopeSpans nor a traceId")
        yield _read(raw, None, Source.of(None))
        return
    for own in message.resource_spans or ():
        try:
            found = _RESOURCE_SPANS.decode(own)
        except _UNREADABLE as error:
            yield _refused(error, own)
        else:
            yield from _of_resource(found)
    yield from _of_resource(message)


def _of_resource(found: _ResourceSpans) -> Iterator[Read]:
    source = _source(found.resource)
    for own in (*(found.scope_spans or ()), *(found.instrumentation_library_spans or ())):
        try:
            scope = _SCOPE.decode(own)
        except _UNREADABLE as error:
            yield _refused(error, own)
        else:
            yield from _of_scope(scope, source)


def _of_scope(scope: _Scope, source: Source) -> Iterator[Read]:
    return (_read(bytes(span), scope.scope, source) for span in scope.spans or ())


def _source(raw: msgspec.Raw) -> Source:
    return _usual_source(bytes(raw)) if len(raw) <= _USUAL else _read_source(raw)


def _read_source(raw: bytes | msgspec.Raw) -> Source:
    """What the spans of a resource share, of those of its attributes that can be read."""
    try:
        return Source.of(_RESOURCE.decode(raw))
    except _UNREADABLE:
        pass
    pairs: list[KeyValue] = []
    with suppress(*_UNREADABLE):
        for own in _ATTRIBUTES.decode(raw).attributes or ():
            with suppress(*_UNREADABLE):
                pairs.append(_ATTRIBUTE.decode(own))
    return Source.of(Resource(pairs), whole=False)


# A service says the same of itself in each of its messages.
_usual_source: Final = lru_cache(maxsize=256)(_read_source)


def refusal(error: Exception, raw: bytes) -> Reject:
    """Why JSON, of a message or of a span, could not be read."""
    if isinstance(error, msgspec.ValidationError | BadSpanError):
        return Reject("wrong_shape", str(error), raw)
    if isinstance(error, UnicodeDecodeError):
        return Reject("not_utf8", str(error), raw)
    return Reject("not_json", str(error) or "nested too deeply", raw)


def _read(raw: bytes, scope: Any, source: Source) -> Read:
    try:
        return Read(_SPAN.decode(raw), raw, scope, source)
    except _UNREADABLE as error:
        better = repaired(raw) if is_repairable(error) else raw
        if better == raw:
            return Read(refusal(error, raw), raw, scope, source)
    return _read(better, scope, source)


def _refused(error: Exception, own: msgspec.Raw) -> Read:
    raw = bytes(own)
    return Read(refusal(error, raw), raw, None, Source.of(None))


def _in_camel(raw: bytes) -> bytes:
    """The message with the names of fields in lower camel case."""
    return msgspec.json.encode(_camel(msgspec.json.decode(raw)))


def _camel(value: Any) -> Any:
    """Attributes' keys are values in OTLP, so they stay."""
    if isinstance(value, dict):
        found: dict[str, Any] = {}
        for name, inner in value.items():
            key, kept = _camel_name(name), _camel(inner)
            there = found.get(key)  # a list in both forms is read in both
            found[key] = [*there, *kept] if isinstance(there, list) and isinstance(kept, list) else kept
        return found
    return [_camel(inner) for inner in value] if isinstance(value, list) else value


def _camel_name(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
