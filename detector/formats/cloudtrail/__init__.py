"""AWS CloudTrail: what was called in an account, by whom.

A message is one record, a log file (`{"Records": [...]}`), an EventBridge event ("AWS API Call via CloudTrail")
or what CloudWatch Logs hands on (`{"logEvents": [...]}`), unpacked. Digests, insights and other services' events
in these envelopes are passed over, so a message may hold no event at all; of several records, one that lacks what
an event needs is refused alone.
"""

from typing import Final

import msgspec

from detector.events import Event
from detector.formats.audit import BadRecordError, each, read
from detector.formats.cloudtrail.call import Record
from detector.formats.cloudtrail.events import to_event
from detector.formats.parts import Decoded, Part

_INSIGHT: Final = "AwsCloudTrailInsight"


class _LogEvent(msgspec.Struct):
    message: str | None = None


class _Message(Record, rename="camel"):
    """A record, or an envelope around some: whichever fields are there."""

    records: list[msgspec.Raw] | None = msgspec.field(default=None, name="Records")
    log_events: list[_LogEvent] | None = None
    detail_type: str | None = msgspec.field(default=None, name="detail-type")
    detail: msgspec.Raw = msgspec.Raw(b"null")


_DECODER: Final = msgspec.json.Decoder(_Message)
_RECORD: Final = msgspec.json.Decoder(Record)


def decode(raw: bytes) -> Decoded:
    """The events of a message in its order, perhaps none.

    >>> [decode(raw).reason for raw in (b"{}", b"no", b"")]
    ['wrong_shape', 'not_json', 'empty']
    >>> decode(b'{"Records": []}')
    ()
    """
    return read(raw, _events)


def _events(raw: bytes) -> tuple[Event | Part, ...]:
    message = _DECODER.decode(raw)
    if message.event_name is not None:
        return _of_record(message)
    if message.records is not None:
        return each(message.records, _record)
    if message.log_events is not None:
        texts = (item.message or "" for item in message.log_events)
        return each([text.encode() for text in texts if '"eventName"' in text], _record)  # there may be other lines
    if message.detail_type is not None:
        return _record(0, bytes(message.detail)) if message.detail_type.lower().endswith("via cloudtrail") else ()
    raise BadRecordError("no CloudTrail: neither eventName nor Records, logEvents or a detail-type")


def _record(_place: int, raw: bytes) -> tuple[Event, ...]:
    return _of_record(_RECORD.decode(raw))


def _of_record(record: Record) -> tuple[Event, ...]:
    return () if record.event_type == _INSIGHT else (to_event(record),)
