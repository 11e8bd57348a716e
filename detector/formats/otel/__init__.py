"""OpenTelemetry GenAI spans, as the Collector's Kafka exporter writes them: `otlp_json` or `otlp_proto`.

Which of the two a message is, it says itself: see `otlp_proto.is_proto`. JSON is an export request
(`resourceSpans`), one element of it, or one span; names in lower camel case as OTLP has them or in snake case, ids
in hex or base64. Protobuf is an export request. Another encoding is one more function from bytes to `Read`.

Spans of no agent (HTTP, databases) are passed over, so a message may hold no event at all. A span of an agent that
does not say whose it is, as tools' often don't, is its ancestor's: see `traces`. One that can't be understood is
refused by itself, the others go on. Each part carries its own span, without what was said unless it is to be kept:
see `redaction`.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from operator import attrgetter
from typing import Final

from detector.events import Reject
from detector.formats.audit import TooManyRecordsError, read
from detector.formats.otel.events import to_event
from detector.formats.otel.otlp_json import refusal, spans_of_json
from detector.formats.otel.otlp_proto import is_proto, spans_of_proto
from detector.formats.otel.redaction import record
from detector.formats.otel.spans import Span, span_of
from detector.formats.otel.traces import with_owners
from detector.formats.otel.wire import BadSpanError, Read
from detector.formats.parts import Decoded, Part

MOST_SPANS: Final = 20_000


def decode(raw: bytes, keep_content: bool = False) -> Decoded:
    """The events of a message, perhaps none: in order of time, then what could not be read, in its place there.

    Args:
        raw: The message.
        keep_content: Keep in the parts' bytes what was said, told and given back, instead of sizes and hashes. A
            message that is refused whole is kept as it came in either case: nothing in it could be told apart.

    >>> [decode(raw).reason for raw in (b"{}", b"no", b"")]
    ['wrong_shape', 'not_json', 'empty']
    >>> decode(b'{"resourceSpans": []}')
    ()
    """
    spans = read(raw, _spans)
    return spans if isinstance(spans, Reject) else tuple(_parts(spans, keep_content=keep_content))


def _spans(raw: bytes) -> list[Read]:
    most = MOST_SPANS + 1
    found = list(islice(spans_of_proto(raw), most)) if is_proto(raw) else spans_of_json(raw, most)
    if len(found) > MOST_SPANS:
        raise TooManyRecordsError(f"more than {MOST_SPANS} spans in a message")
    return found


def _parts(origins: Sequence[Read], *, keep_content: bool) -> Iterator[Part]:
    spans: list[Span] = []
    refused: list[Part] = []
    for origin in origins:
        span = _understood(origin)
        if isinstance(span, Reject):
            refused.append(_refused(origin, span, keep_content=keep_content))
        elif span is not None:
            spans.append(span)
    for span in with_owners(sorted(spans, key=attrgetter("time"))) if len(spans) > 1 else spans:
        if span.origin is None:
            continue
        try:
            event = to_event(span)
        except BadSpanError as error:
            yield _refused(span.origin, refusal(error, b""), keep_content=keep_content)
            continue
        if event is not None:
            ids = span.trace_id, span.span_id, span.parent_id
            yield Part(event, record(span.origin, keep_content=keep_content, ids=ids))
    yield from refused


def _understood(origin: Read) -> Span | Reject | None:
    if isinstance(origin.span, Reject):
        return origin.span
    try:
        return span_of(origin.span, origin)
    except BadSpanError as error:
        return refusal(error, b"")


def _refused(origin: Read, why: Reject, *, keep_content: bool) -> Part:
    raw = record(origin, keep_content=keep_content)
    return Part(Reject(why.reason, why.detail, raw), raw)
