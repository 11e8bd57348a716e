"""The records of a Kafka batch, read in one go: kafka-python 3.0 takes several times as long, value by value."""

from collections.abc import Iterator
from typing import Any, ClassVar, Final

import msgspec
from kafka.errors import CorruptRecordError
from kafka.record.default_records import DefaultRecordBatch

_SEVERAL: Final = 0x80  # of a number of variable length: another byte follows
_LONGEST: Final = 63


class QuickRecord(msgspec.Struct, gc=False):
    """A record, with what kafka-python asks one for. Its headers are passed over: nobody here reads them."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    size_in_bytes: int

    headers: ClassVar[tuple[()]] = ()
    checksum: ClassVar[None] = None

    def validate_crc(self) -> bool:
        """It was validated with its batch."""
        return True


class QuickBatch(DefaultRecordBatch):  # type: ignore[misc]
    """A batch whose records are read in one go."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        if not self.is_control_batch:
            try:
                return iter(read_records(self))
            except (CorruptRecordError, IndexError, ValueError):
                pass  # its first records may be whole: kafka-python hands them over before it raises
        return super().__iter__()  # type: ignore[no-any-return]


class Batches:
    """What was fetched of a partition, cut into batches that are read quickly.

    Args:
        records: kafka-python's `MemoryRecords`.
    """

    def __init__(self, records: Any) -> None:
        self._records = records

    def next_batch(self) -> Any:
        """The next batch; None when there is no other. One of an old format is kafka-python's own."""
        batch = self._records.next_batch()
        if type(batch) is DefaultRecordBatch:
            batch.__class__ = QuickBatch
        return batch


def read_records(batch: DefaultRecordBatch) -> list[QuickRecord]:
    """The records of a batch of the present format ("v2").

    Raises:
        CorruptRecordError, IndexError, ValueError: It is not made as it should be.
    """
    batch._maybe_uncompress()
    buffer, at = bytes(batch._buffer), batch._pos
    base, earliest, kind = batch.base_offset, batch.first_timestamp, batch.timestamp_type
    appended = batch.max_timestamp if kind == batch.LOG_APPEND_TIME else None
    records = []
    for _ in range(batch.records_count):
        size, at = _number(buffer, at)
        end = at + size
        since, at = _number(buffer, at + 1)  # behind a byte of attributes, which has no use yet
        number, at = _number(buffer, at)
        length, at = _number(buffer, at)
        key = None if length < 0 else buffer[at : at + length]
        length, at = _number(buffer, at + max(0, length))
        value = None if length < 0 else buffer[at : at + length]
        at += max(0, length)
        # What is left of it are its headers: their number, which is even as it is written here, and they.
        if at >= end or buffer[at] & 1 or (buffer[at] == 0 and at + 1 != end):
            raise CorruptRecordError(f"a record of {size} bytes has another size by its parts")
        at = end
        time = earliest + since if appended is None else appended
        records.append(QuickRecord(base + number, time, kind, key, value, size))
    if at != len(buffer):
        raise CorruptRecordError(f"{len(buffer) - at} bytes are left behind the last record")
    return records


def _number(buffer: bytes, at: int) -> tuple[int, int]:
    """A number of variable length (zigzag), and where it ends."""
    number = buffer[at]
    at += 1
    if number >= _SEVERAL:
        number -= _SEVERAL
        shift = 7
        while (byte := buffer[at]) >= _SEVERAL:
            number += (byte - _SEVERAL) << shift
            shift += 7
            at += 1
            if shift > _LONGEST:
                raise ValueError("a number longer than 64 bits")
        number += byte << shift
        at += 1
    return number >> 1 ^ -(number & 1), at
