"""A source's record -> envelopes or a reject, in a wire format."""

from datetime import UTC, datetime

import msgspec

from detector.events import Envelope, Event, Rejected
from detector.formats import REGISTRY, Decode
from detector.formats.audit import UNDATED
from detector.sources.base import Record


class Decoder:
    """Decodes the records of one format. Never raises, whatever the bytes.

    Args:
        format_name: A name of the formats' registry.

    Raises:
        KeyError: No such format.
    """

    def __init__(self, format_name: str) -> None:
        self.format = format_name
        self._decode: Decode = REGISTRY[format_name]

    def decode(self, record: Record) -> list[Envelope] | Rejected:
        """The record's events in their envelopes, or why there are none."""
        decoded = self._decode(record.value)
        if not isinstance(decoded, tuple):
            return Rejected(
                reject=decoded,
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                received_at=record.received_at,
            )
        return [
            Envelope(
                event=_dated(event, record.received_at),
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                received_at=record.received_at,
                raw=record.value,
                index=index,
                format=self.format,
            )
            for index, event in enumerate(decoded)
        ]


def _dated(event: Event, received_at: float) -> Event:
    """The event; one whose source gives no time happened when it arrived, as far as anybody knows."""
    if UNDATED not in event.attributes:
        return event
    return msgspec.structs.replace(event, time=datetime.fromtimestamp(received_at, UTC))
