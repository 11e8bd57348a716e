"""One message of history, plain enough for another process, and how it becomes events again."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import msgspec

from detector import assembly
from detector.config import Config
from detector.decoding import Decoder
from detector.events import Envelope
from detector.sources.base import Record

BLOCK: Final = 1000
"""Rows that are handed over at once."""

WHOLE: Final = -1


class Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message, or one event of it, with where it was read and its original bytes.

    `received_at` is in unix seconds. `format` is the wire format, "" for the configured one. `index` is the event's
    place in the message and `id` the id that it went by; `WHOLE` for all events of it.
    """

    topic: str
    partition: int
    offset: int
    received_at: float
    raw: bytes
    format: str = ""
    index: int = WHOLE
    id: str = ""


class Decoders:
    """Decodes rows under a configuration, each in its format.

    Args:
        config: What is known of formats, labels and destinations.
        format_name: The format of rows that name none; the configuration's if not given.
    """

    def __init__(self, config: Config, format_name: str | None = None) -> None:
        self._config = config
        self._default = format_name or config.format
        self._known: dict[str, Decoder | None] = {}

    def envelopes(self, row: Row) -> list[Envelope]:
        """The row's events; none if it can't be decoded, or holds no event of that id any more."""
        decoder = self._decoder(row.format or self._default)
        if decoder is None:
            return []
        record = Record(row.topic, row.partition, row.offset, None, row.raw, row.received_at)
        found = [item for item in decoder.decode(record) if isinstance(item, Envelope)]
        if row.index == WHOLE:
            return found
        if len(found) != 1:
            # The id that it went by is its own, or made of it where that had been another's before.
            own = row.id.partition("~")[0]
            found = [item for item in found if item.event.id in {row.id, own}][:1]
        if found and found[0].index != row.index:
            return [msgspec.structs.replace(found[0], index=row.index)]
        return found

    def _decoder(self, name: str) -> Decoder | None:
        if name not in self._known:
            try:
                self._known[name] = assembly.decoder(self._config, name)
            except KeyError:
                self._known[name] = None
        return self._known[name]


def blocks(rows: Iterable[Row], size: int = BLOCK) -> Iterator[list[Row]]:
    """Rows in lists of so many."""
    iterator = iter(rows)
    while block := list(islice(iterator, size)):
        yield block
