"""The record: one message as a source hands it over, not yet understood."""

import msgspec


class Record(msgspec.Struct, frozen=True, gc=False):
    """Bytes and where they were read: unique by (topic, partition, offset), in offset order in a partition.

    `received_at` is the broker's time of arrival, or the reader's clock for a file, in unix seconds.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    received_at: float


class SourceError(RuntimeError):
    """The source can't be read, for good: the message says which one, why, and what to do about it."""
