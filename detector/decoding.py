"""A source's record -> envelopes or a reject, in a wire format."""

from detector.events import Envelope, Rejected
from detector.formats import REGISTRY, Decode
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
                event=event,
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
