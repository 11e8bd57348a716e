"""OpenTelemetry GenAI spans as OTLP/JSON: what the Collector's Kafka exporter writes as `otlp_json`.

A message is an export request (`resourceSpans`), one element of it, or one span; names in lower camel case
as OTLP has them or in snake case, ids in hex or base64. Spans of no agent (HTTP, databases) are passed over,
so a message may hold no event at all; a span of an agent that lacks what an event needs refuses the message.
One that does not say whose it is, as tools' often don't, is its ancestor's: see `otel_traces`.

Another encoding of the same spans is one more function from bytes to `Span`: see `decoded`.
"""

from collections.abc import Iterable
from operator import attrgetter
from typing import Final

import msgspec

from detector.events import Event, Reject
from detector.formats.otel.events import to_event
from detector.formats.otel.otlp_json import spans_of_json
from detector.formats.otel.spans import BadSpanError, Span
from detector.formats.otel.traces import with_owners

MAX_BYTES: Final = 4 << 20


def decode(raw: bytes) -> tuple[Event, ...] | Reject:
    """The events of a message in order of time, perhaps none.

    >>> [decode(raw).reason for raw in (b"{}", b"no", b"")]
    ['wrong_shape', 'not_json', 'empty']
    >>> decode(b'{"resourceSpans": []}')
    ()
    """
    if not raw.strip():
        return Reject("empty", "the message has no content", raw)
    if len(raw) > MAX_BYTES:
        return Reject("too_large", f"{len(raw)} bytes; at most {MAX_BYTES} are read", raw)
    try:
        return decoded(spans_of_json(raw))
    except (msgspec.ValidationError, BadSpanError) as error:
        return Reject("wrong_shape", str(error), raw)
    except UnicodeDecodeError as error:
        return Reject("not_utf8", str(error), raw)
    except (msgspec.DecodeError, RecursionError) as error:
        return Reject("not_json", str(error) or "nested too deeply", raw)


def decoded(spans: Iterable[Span]) -> tuple[Event, ...]:
    """Spans, whatever they were encoded in, as events in order of time.

    Raises:
        BadSpanError: A span lacks what an event needs.
    """
    ordered = with_owners(sorted(spans, key=attrgetter("time")))
    return tuple(event for span in ordered if (event := to_event(span)) is not None)
