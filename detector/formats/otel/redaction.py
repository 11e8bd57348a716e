"""What is kept of a span as evidence: the span without what people, models and tools said.

A record is an export request of one span in OTLP/JSON, whatever the message was written in, with its resource and
its scope: ids in lower-case hex, times and whole numbers as text, fields that OTLP has. Content is replaced in place

- of a value by `{"redacted": {"bytes": 37, "sha256": "9f86d0…"}}`, a field that OTLP's readers pass over,
- where OTLP has a plain text (a status message, a name) by the text `redacted bytes=37 sha256=9f86d0…`,

so that whoever holds the original can prove that it was this one: the hash is of the UTF-8 bytes of a text, of bytes
as they are, and of any other value of its plain JSON without spaces, fields in the order they came
(`{"to":"ann","n":1}`); of a span that can't be read, of its own bytes as they stood in the message. A hash of few
possible words can be guessed: it proves, it does not encrypt.

Content is, on spans, their events and their resources: every value under a key that is not known to name, count or
place something (see `contents`), every text longer than `MOST_TEXT`, every value with fields, and the names of spans
and events that say more than the conventions have them say. Of links only the ids are kept, of scopes name and version.
"""

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

import msgspec

from detector.formats.otel.contents import fingerprint, is_content
from detector.formats.otel.wire import (
    AnyValue,
    Array,
    BadSpanError,
    KeyValue,
    Read,
    Redacted,
    Resource,
    Source,
    Span,
    SpanEvent,
    Status,
    plain,
    unpacked,
)

MOST_TEXT: Final = 256
MOST_RESOURCE: Final = 8192

_encode: Final = msgspec.json.Encoder().encode
_LOOSE: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NAMING: Final = ("traceId", "spanId", "parentSpanId", "kind", "startTimeUnixNano", "endTimeUnixNano")
_TOLD: Final = re.compile(r"[0-9a-fA-F]{1,32}|SPAN_KIND_[A-Z]{1,16}|STATUS_CODE_[A-Z]{1,16}|[A-Za-z0-9+/]{11,22}={0,2}")
"""Ids, times and numbers as text, and the names of OTLP's own values."""
_MOST_DIGITS: Final = 32
Ids = tuple[str | None, str | None, str | None]
"""Of a span's trace, its own and its parent's."""
_EVENTS: Final = re.compile(r"exception|gen_ai\.[a-z_.]{1,64}")
_NAMES: Final = frozenset(
    {
        *("gen_ai.operation.name", "mcp.method.name", "gen_ai.tool.name", "mcp.tool.name", "gen_ai.agent.name"),
        *("gen_ai.request.model", "gen_ai.data_source.id", "gen_ai.prompt.name", "gen_ai.workflow.name"),
    }
)
"""Of which the conventions make a span's name: `execute_tool send_email`."""


def record(read: Read, *, keep_content: bool, ids: Ids | None = None) -> bytes:
    """A span's own record: see the module. With its content, the span is as it was read: see `_whole`.

    Args:
        read: The span.
        keep_content: Whether what was said stays.
        ids: Of its trace, its own and its parent's ("" without one) in lower-case hex, where they are known.
    """
    resource = read.source.written.get(keep_content)
    if resource is None:
        resource = read.source.written[keep_content] = _resource(read.source, keep_content=keep_content)
    span = _whole(read) if keep_content else _redacted(read, ids)
    scope = _scope(read.scope) if isinstance(read.scope, dict) else b""
    return b'{"resourceSpans":[{%b"scopeSpans":[{%b"spans":[%b]}]}]}' % (resource, scope, span)


def _whole(read: Read) -> bytes:
    """A span's own bytes if they are JSON; those of protobuf as JSON, in base64 if they can't be parsed."""
    if read.is_json:
        return read.raw
    return _encode(read.span if isinstance(read.span, Span) else {"base64": read.raw})


def _redacted(read: Read, ids: Ids | None) -> bytes:
    if isinstance(read.span, Span):
        try:
            return _encode(_without_content(read.span, ids or _ids(read.span)))
        except BadSpanError:  # nested too deeply
            return _unread(read)
    return _unread(read)


def _ids(span: Span) -> Ids:
    return _hex(span.trace_id, 16), _hex(span.span_id, 8), _hex(span.parent_span_id, 8)


def _unread(read: Read) -> bytes:
    """A span that can't be read: what says which it is, and the fingerprint of its own bytes as a whole."""
    shown: dict[str, Any] = {}
    if read.is_json:
        with suppress(msgspec.DecodeError, RecursionError):
            fields = _LOOSE.decode(read.raw.decode("utf-8", "replace"))
            named = {name: bytes(fields[name]) for name in _NAMING if name in fields}
            found = {name: msgspec.json.decode(raw) for name, raw in named.items() if len(raw) < 80}
            shown = {name: kept for name in _NAMING if (kept := _coded(found.get(name))) is not None}
    return _encode(shown | {"redacted": _fingerprint(read.raw)})


def _resource(source: Source, *, keep_content: bool) -> bytes:
    """The resource as it stands in each record of its spans; a large one only as its fingerprint."""
    if not source.resource.attributes:
        return b""
    written = source.resource if keep_content else Resource(_pairs(source.resource.attributes))
    raw = b""
    with suppress(RecursionError):
        raw = _encode(written)
    if not 0 < len(raw) <= MOST_RESOURCE:
        raw = _encode({"redacted": _fingerprint(source.plain)})
    return b'"resource":%b,' % raw


def _without_content(span: Span, ids: Ids) -> Span:
    trace_id, span_id, parent_id = ids
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent_id or None,
        trace_state=_marked(span.trace_state) if isinstance(span.trace_state, str) and span.trace_state else None,
        flags=_coded(span.flags) if span.flags else None,
        name=_name(span),
        kind=_coded(span.kind),
        start_time_unix_nano=_time(span.start_time_unix_nano),
        end_time_unix_nano=_time(span.end_time_unix_nano),
        attributes=_pairs(span.attributes),
        dropped_attributes_count=_coded(span.dropped_attributes_count) if span.dropped_attributes_count else None,
        events=[_event(event) for event in span.events] if span.events else None,
        links=_links(span.links) if span.links else None,
        status=_status(span.status) if span.status else None,
    )


def _event(event: SpanEvent) -> SpanEvent:
    name = event.name or None
    if name and not _EVENTS.fullmatch(name):
        name = _marked(name)
    return SpanEvent(name, _time(event.time_unix_nano), _pairs(event.attributes))


def _links(links: Any) -> list[dict[str, Any]]:
    each = [link for link in links if isinstance(link, dict)] if isinstance(links, list) else []
    return [{name: link[name] for name in ("traceId", "spanId") if _coded(link.get(name))} for link in each]


def _status(status: Status) -> Status | None:
    code = _coded(status.code)
    return Status(code, _marked(status.message) if status.message else None) if code or status.message else None


def _pairs(pairs: Iterable[KeyValue] | None) -> list[KeyValue] | None:
    kept: list[KeyValue] = []
    for pair in pairs or ():
        key, value = pair.key, pair.value
        if value is None:
            continue
        if len(key) > MOST_TEXT:
            kept.append(KeyValue(_marked(key), _hidden(value)))
        elif is_content(key):
            kept.append(KeyValue(key, _hidden(value)))
        elif (text := value.string_value) is not None and len(text) <= MOST_TEXT:
            kept.append(KeyValue(key, AnyValue(text)))
        else:
            kept.append(KeyValue(key, _small(value) or _hidden(value)))
    return kept or None


def _hidden(value: AnyValue) -> AnyValue:
    """The fingerprint in place of a value; one that was redacted before, and is nothing else, stays as it is."""
    if value.string_value is not None:
        return AnyValue(redacted=_fingerprint(value.string_value))
    if value.redacted is not None and value == AnyValue(redacted=value.redacted):
        return value
    told = plain(value)
    if value.bytes_value is not None and isinstance(told, str) and value.int_value is None:
        told = unpacked(value.bytes_value)
    return AnyValue(redacted=_fingerprint(told))


def _small(value: AnyValue) -> AnyValue | None:
    """A short scalar or a short list of scalars, in the one field that counts; else None."""
    small = _scalars(value.array_value.values or ()) if value.array_value is not None else _one(value)
    return small if small is not None and len(_encode(small)) <= MOST_TEXT + 20 else None


def _scalars(values: Sequence[AnyValue]) -> AnyValue | None:
    found = [_one(value) for value in values[: MOST_TEXT + 1]]
    kept = [value for value in found if value is not None]
    return AnyValue(array_value=Array(kept)) if len(kept) == len(values) else None


def _one(value: AnyValue) -> AnyValue | None:
    if value.string_value is not None:
        return AnyValue(value.string_value)
    if value.int_value is not None:
        return AnyValue(int_value=str(value.int_value))
    if value.array_value is not None or value.kvlist_value is not None or value.redacted is not None:
        return None
    if value.bytes_value is not None:
        return AnyValue(bytes_value=value.bytes_value)
    if value.bool_value is not None:
        return AnyValue(bool_value=value.bool_value)
    return AnyValue(double_value=value.double_value)


def _fingerprint(value: Any) -> Redacted:
    return Redacted(*fingerprint(value))


def _marked(text: str) -> str:
    return "redacted bytes={} sha256={}".format(*fingerprint(text))


def _name(span: Span) -> str | None:
    """The span's name, as long as it says no more than what it is made of by the conventions."""
    name = span.name
    if not isinstance(name, str) or not name:
        return None
    known = {pair.value.string_value for pair in span.attributes or () if pair.key in _NAMES and pair.value is not None}
    first, _, more = name.partition(" ")
    clear = name in known or (first in known and more in known)
    return name if clear and len(name) <= MOST_TEXT else _marked(name)


def _coded(value: Any) -> Any:
    """A number of 64 bits, or a text that is an id, a number or a name of OTLP's own; None for anything else."""
    if isinstance(value, str):
        return value if _TOLD.fullmatch(value) else None
    return value or None if isinstance(value, int) and abs(value) < 2**63 else None


def _scalar(value: Any) -> Any:
    """A short text or a number of 64 bits; None for what says nothing or is neither."""
    if value is None:
        return None
    if isinstance(value, str):
        return (value if len(value) <= MOST_TEXT else _marked(value)) or None
    return value or None if isinstance(value, int) and abs(value) < 2**63 else None


def _time(value: Any) -> str | None:
    """Nanoseconds as text."""
    if not isinstance(value, (int, str)) or value in {0, "0", ""}:
        return None
    told = str(value)
    return told if told.isdecimal() and told.isascii() and len(told) <= _MOST_DIGITS else _coded(told)


def _hex(text: str | None, size: int) -> str | None:
    if not text:
        return None
    if len(text) == 2 * size:
        with suppress(ValueError):
            raw = bytes.fromhex(text)
            if len(raw) == size:
                return raw.hex()
        if _TOLD.fullmatch(text):
            return text.lower()
    raw = unpacked(text) if len(text) < 4 * size else b""
    found: str | None = raw.hex() if len(raw) == size else _coded(text)
    return found


def _scope(scope: dict[str, Any]) -> bytes:
    """Name and version of a scope as they stand in a record, where they are short texts or numbers."""
    return _usual_scope(_scalar(scope.get("name")), _scalar(scope.get("version")))


# Few libraries write all spans.
@lru_cache(maxsize=256, typed=True)
def _usual_scope(name: str | int | None, version: str | int | None) -> bytes:
    told = {key: value for key, value in (("name", name), ("version", version)) if value is not None}
    return b'"scope":%b,' % _encode(told) if told else b""
