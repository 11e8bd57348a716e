"""OTLP's spans as its JSON has them: what every encoding is read into and every record of a span is written in.

Fields that no event needs are read as whatever they are, so that nonsense in one refuses no span. Attributes, most
of what there is, are kept from the garbage collector: they are trees, so counting references is enough.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec

from detector.events import Reject
from detector.formats.audit import BadRecordError

GENAI: Final = ("gen_ai.", "mcp.")
MOST_DEPTH: Final = 32
_MOST_DIGITS: Final = 20


class BadSpanError(BadRecordError):
    """A span that can't become an event; the text says which and why."""


class Redacted(msgspec.Struct):
    """What is left of content: its size in bytes and its SHA-256; of what exactly, `redaction.fingerprint` says."""

    bytes: Annotated[int, msgspec.Meta(ge=0)]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$", max_length=64)]


class Array(msgspec.Struct):
    """A list of values."""

    values: "list[AnyValue] | None" = None


class Pairs(msgspec.Struct):
    """A mapping, as the list of its pairs."""

    values: "list[KeyValue] | None" = None


class AnyValue(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    """A value in the one field that is set; `redacted` is ours, and unknown to OTLP."""

    string_value: str | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    bool_value: bool | None = None
    array_value: Array | None = None
    kvlist_value: Pairs | None = None
    bytes_value: str | None = None
    redacted: Redacted | None = None


class KeyValue(msgspec.Struct, gc=False):
    """An attribute."""

    key: str = ""
    value: AnyValue | None = None


class Status(msgspec.Struct, omit_defaults=True):
    """How it ended: code 2 is an error."""

    code: int | str | None = None
    message: str | None = None


class SpanEvent(msgspec.Struct, rename="camel", omit_defaults=True):
    """Something that happened within a span."""

    name: str | None = None
    time_unix_nano: Any = None
    attributes: list[KeyValue] | None = None


class Span(msgspec.Struct, rename="camel", omit_defaults=True):
    """A span; ids in hex or base64, times as numbers or text."""

    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    trace_state: Any = None
    flags: Any = None
    name: Any = None
    kind: Any = None
    start_time_unix_nano: int | str | None = None
    end_time_unix_nano: int | str | None = None
    attributes: list[KeyValue] | None = None
    dropped_attributes_count: Any = None
    events: list[SpanEvent] | None = None
    links: Any = None
    status: Status | None = None


class Resource(msgspec.Struct, omit_defaults=True):
    """What a span comes from: a service, a process, a machine."""

    attributes: list[KeyValue] | None = None


class Source(msgspec.Struct):
    """What the spans of a resource share: `plain` are its attributes as plain values.

    `whole` says whether all that the resource holds could be read. `written` is the resource as a record of each has
    it, by whether its content is kept; `redaction` fills it.
    """

    resource: Resource
    plain: dict[str, Any]
    whole: bool = True
    written: dict[bool, bytes] = {}

    @classmethod
    def of(cls, resource: Resource | None, *, whole: bool = True) -> "Source":
        """Of a resource, or of none; attributes that nest too deeply are left out."""
        resource = resource or Resource()
        try:
            return cls(resource, mapping(resource.attributes), whole)
        except BadSpanError:
            readable = [pair for pair in resource.attributes or () if _is_readable(pair)]
            return cls(Resource(readable), mapping(readable), whole=False)


def _is_readable(pair: KeyValue) -> bool:
    try:
        mapping((pair,))
    except BadSpanError:
        return False
    return True


class Read(msgspec.Struct, frozen=True):
    """One span of a message: what was read of it or why it can't be, its own bytes, its scope and its source."""

    span: Span | Reject
    raw: bytes
    scope: Any
    source: Source
    is_json: bool = True


def is_of_agent(span: Span) -> bool:
    """Whether an attribute is one of the GenAI or MCP conventions, in capitals or not."""
    pairs = span.attributes or ()
    for pair in pairs:  # a generator costs more than what it does here
        if pair.key.startswith(GENAI):
            return True
    return any(pair.key.lower().startswith(GENAI) for pair in pairs)


def mapping(pairs: Sequence[KeyValue] | None, depth: int = 0) -> dict[str, Any]:
    """Attributes as plain Python values; of a repeated key the last counts.

    Raises:
        BadSpanError: Nested deeper than `MOST_DEPTH`.
    """
    found: dict[str, Any] = {}
    for pair in pairs or ():
        value = pair.value
        if value is not None:
            text = value.string_value
            found[pair.key] = plain(value, depth) if text is None else text
    return found


def plain(value: AnyValue, depth: int = 0) -> Any:
    """A value as a plain Python one, None if nothing is set.

    Raises:
        BadSpanError: Nested deeper than `MOST_DEPTH`.
    """
    if value.string_value is not None:
        return value.string_value
    if value.int_value is not None:
        return _integer(value.int_value)
    if depth >= MOST_DEPTH:
        raise BadSpanError(f"a value nests deeper than {MOST_DEPTH}")
    if value.array_value is not None:
        return [plain(inner, depth + 1) for inner in value.array_value.values or ()]
    if value.kvlist_value is not None:
        return mapping(value.kvlist_value.values, depth + 1)
    if value.bytes_value is not None:
        return unpacked(value.bytes_value).decode("utf-8", "replace")
    return value.bool_value if value.bool_value is not None else value.double_value


def _integer(value: int | str) -> int | str:
    """A whole number of 64 bits, as OTLP's are; what is none stays text."""
    text = str(value)
    digits = text.removeprefix("-")
    whole = int(text) if digits.isdecimal() and len(digits) <= _MOST_DIGITS else None
    return text if whole is None or not -(2**63) <= whole < 2**63 else whole


def nanoseconds(value: int | str | None) -> int:
    """A time since 1970, 0 without one.

    Raises:
        BadSpanError: It is none.
    """
    if value is None or value == "":
        return 0
    if isinstance(value, str):
        digits = value.removeprefix("-")
        found = int(value) if digits.isdecimal() and len(digits) <= _MOST_DIGITS else -1
    else:
        found = value
    if not 0 <= found < 2**64:
        raise BadSpanError("a time is no nanoseconds since 1970")
    return found


def unpacked(text: str) -> bytes:
    """The bytes that base64 stands for; none if it is not base64."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
