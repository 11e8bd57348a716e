"""AWS CloudTrail: what was called in an account, by whom.

A message is one record, a log file (`{"Records": [...]}`), an EventBridge event ("AWS API Call via CloudTrail")
or what CloudWatch Logs hands on (`{"logEvents": [...]}`), unpacked. Digests, insights and other services' events
in these envelopes are passed over, so a message may hold no event at all; a record that lacks what an event needs
refuses the message.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from detector.events import Event, Reject
from detector.formats.audit import BadRecordError, read
from detector.formats.cloudtrail.call import Record
from detector.formats.cloudtrail.events import to_event

_INSIGHT: Final = "AwsCloudTrailInsight"


class _LogEvent(msgspec.Struct):
    message: str | None = None


class _Message(Record, rename="camel"):
    """A record, or an envelope around some: whichever fields are there."""

    records: list[Record] | None = msgspec.field(default=None, name="Records")
    log_events: list[_LogEvent] | None = None
    detail_type: str | None = msgspec.field(default=None, name="detail-type")
    detail: msgspec.Raw = msgspec.Raw(b"null")


_DECODER: Final = msgspec.json.Decoder(_Message)
_RECORD: Final = msgspec.json.Decoder(Record)


def decode(raw: bytes) -> tuple[Event, ...] | Reject:
    """The events of a message in its order, perhaps none.

    >>> [decode(raw).reason for raw in (b"{}", b"no", b"")]
    ['wrong_shape', 'not_json', 'empty']
    >>> decode(b'{"Records": []}')
    ()
    """
    return read(raw, _events)


def _events(raw: bytes) -> tuple[Event, ...]:
    return tuple(to_event(record) for record in _records(raw) if record.event_type != _INSIGHT)


def _records(raw: bytes) -> Iterator[Record]:
    message = _DECODER.decode(raw)
    if message.event_name is not None:
        yield message
    elif message.records is not None:
        yield from message.records
    elif message.log_events is not None:
        for item in message.log_events:
            text = item.message or ""
            if '"eventName"' in text:  # a log group may hold other lines
                yield _RECORD.decode(text)
    elif message.detail_type is not None:
        if message.detail_type.endswith("via CloudTrail"):
            yield _RECORD.decode(message.detail)
    else:
        raise BadRecordError("no CloudTrail: neither eventName nor Records, logEvents or a detail-type")
