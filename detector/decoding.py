"""A source's record -> envelopes and rejects, in a wire format."""

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from detector.events import Envelope, Event, Reject, Rejected
from detector.formats import REGISTRY, Decode
from detector.formats.audit import UNDATED
from detector.formats.parts import Part
from detector.labels import Labels
from detector.sources.base import Record


class Decoder:
    """Decodes the records of one format, and fills what their source can't tell. Never raises, whatever the bytes.

    Args:
        format_name: A name of the formats' registry.
        labels: What is known beyond the source's word; nothing by default.
        formats: The registry.

    Raises:
        KeyError: No such format.
    """

    def __init__(
        self, format_name: str, labels: Labels | None = None, formats: Mapping[str, Decode] = REGISTRY
    ) -> None:
        self.format = format_name
        self._decode: Decode = formats[format_name]
        self._labels = labels if labels is not None and not labels.idle else None

    def decode(self, record: Record) -> list[Envelope | Rejected]:
        """The record's events in their envelopes and what of it was refused, each with its `index` in the record.

        A record that is refused whole is one reject, of index 0; one that holds nothing of ours gives nothing.
        """
        decoded = self._decode(record.value)
        if not isinstance(decoded, tuple):
            return [_rejected(decoded, record, 0)]
        return [self._placed(item, record, index) for index, item in enumerate(decoded)]

    def _placed(self, item: Event | Part, record: Record, index: int) -> Envelope | Rejected:
        content, raw, name = item if isinstance(item, Part) else (item, record.value, "")
        if isinstance(content, Reject):
            return _rejected(content, record, index)
        event = _dated(content, record.received_at)
        return Envelope(
            event=event if self._labels is None else self._labels.fill(event),
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            received_at=record.received_at,
            raw=raw,
            index=index,
            format=name or self.format,
        )


class DecoderByTopic:
    """Decodes each record as its topic wants it.

    Args:
        decoders: The decoder of each topic that is read.
    """

    def __init__(self, decoders: Mapping[str, Decoder]) -> None:
        self._decoders = decoders

    def decode(self, record: Record) -> list[Envelope | Rejected]:
        """As `Decoder.decode`.

        Raises:
            KeyError: A record of a topic that was not named.
        """
        return self._decoders[record.topic].decode(record)


def _rejected(reject: Reject, record: Record, index: int) -> Rejected:
    return Rejected(
        reject=reject,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        received_at=record.received_at,
        index=index,
    )


def _dated(event: Event, received_at: float) -> Event:
    """The event; one whose source gives no time happened when it arrived, as far as anybody knows."""
    if UNDATED not in event.attributes:
        return event
    return msgspec.structs.replace(event, time=datetime.fromtimestamp(received_at, UTC))
