"""A span of an agent, of whichever encoding, as events are made of it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from detector.formats.otel.wire import (
    GENAI,
    BadSpanError,
    Read,
    SpanEvent,
    Status,
    is_of_agent,
    mapping,
    nanoseconds,
    unpacked,
)
from detector.formats.otel.wire import Span as Written

DECIDING: Final = ("gen_ai.operation.name", "gen_ai.tool.name", "mcp.tool.name", "mcp.method.name")
"""By which acts are told apart: of these no value may hide another."""


class Span(msgspec.Struct):
    """One span. Ids are lower-case hex, times nanoseconds since 1970, attributes plain Python values.

    `events` are the span's own, as name and attributes; `error` says that its status is one, `message` what
    the status says of it. `origin` is what it was read from, None for a span that is only a step between others.
    """

    trace_id: str
    span_id: str
    parent_id: str
    start: int
    end: int
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    events: Sequence[tuple[str, Mapping[str, Any]]] = ()
    error: bool = False
    message: str = ""
    origin: Read | None = None

    @property
    def id(self) -> str:
        """Trace and span id: unique wherever the span is seen."""
        return f"{self.trace_id}-{self.span_id}"

    @property
    def time(self) -> int:
        """When it began, nanoseconds since 1970; its end if it does not say."""
        return self.start or self.end


def span_of(written: Written, origin: Read) -> Span | None:
    """The span; of a span of no agent only its place among the others, None if it has none.

    Raises:
        BadSpanError: A span of an agent without usable ids or times, with values that nest too deeply, or that says
            twice what was done.
    """
    if not is_of_agent(written):
        return _step(written, origin.source.plain)
    status = written.status or Status()
    parent = written.parent_span_id
    attributes = _in_small_letters(mapping(written.attributes))
    if len(attributes) < len(written.attributes or ()):
        _check_said_once(written)
    return Span(
        trace_id=_id(written.trace_id, "traceId", 16),
        span_id=_id(written.span_id, "spanId", 8),
        parent_id=_id(parent, "parentSpanId", 8) if parent else "",
        start=nanoseconds(written.start_time_unix_nano),
        end=nanoseconds(written.end_time_unix_nano),
        attributes=attributes,
        resource=origin.source.plain,
        events=_events(written.events) if written.events else (),
        error=status.code in {2, "2", "STATUS_CODE_ERROR"},
        message=status.message or "",
        origin=origin,
    )


def _events(written: Sequence[SpanEvent]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(event.name or "", _in_small_letters(mapping(event.attributes))) for event in written]


def _in_small_letters(attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes with the keys of the conventions as these have them: capitals must not hide what was done."""
    keys = "".join(attributes)
    if keys == keys.lower():
        return attributes
    lower = ((key.lower(), key, value) for key, value in attributes.items())
    return {small if small.startswith(GENAI) else key: value for small, key, value in lower}


def _check_said_once(written: Written) -> None:
    for key in DECIDING:
        if len({msgspec.json.encode(pair.value) for pair in written.attributes or () if pair.key.lower() == key}) > 1:
            raise BadSpanError(f"{key} has two values")


def _step(written: Written, resource: Mapping[str, Any]) -> Span | None:
    if not written.parent_span_id:
        return None
    with suppress(BadSpanError):
        ids = (_id(written.trace_id, "traceId", 16), _id(written.span_id, "spanId", 8))
        return Span(*ids, _id(written.parent_span_id, "parentSpanId", 8), 0, 0, {}, resource)
    return None


def _id(text: str | None, field: str, size: int) -> str:
    """An id of `size` bytes in lower-case hex; OTLP/JSON has hex, plain protobuf JSON base64."""
    text = text or ""
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != size or len(text) != 2 * size:  # hex may have spaces between its bytes
        raw = unpacked(text)
    if len(raw) != size or not raw.strip(b"\0"):
        raise BadSpanError(f"{field} is not {size} bytes in hex or base64, but {len(text)} other characters")
    return raw.hex()
