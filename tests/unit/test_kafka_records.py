"""Batches of records are read as kafka-python reads them, whole or damaged; but headers hide no record."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.errors import CorruptRecordError
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder
from kafka.record.util import size_of_varint

from detector.sources.kafka_records import Batches, QuickBatch, QuickRecord, read_records

NONE, GZIP, LZ4 = 0, 1, 3

values = st.none() | st.binary(max_size=300)
headers = st.lists(st.tuples(st.text(max_size=5), values), max_size=2)
written = st.lists(st.tuples(st.integers(0, 2**41), values, values, headers), min_size=1, max_size=12)


def batch_of(records: list[tuple[int, bytes | None, bytes | None, list[Any]]], codec: int = NONE) -> bytearray:
    builder = DefaultRecordBatchBuilder(2, codec, False, -1, -1, -1, 1 << 20)
    for number, (time, key, value, given_headers) in enumerate(records):
        assert builder.append(3 * number, time, key, value, given_headers) is not None
    return bytearray(builder.build())


def told(record: Any) -> tuple[Any, ...]:
    return record.offset, record.timestamp, record.timestamp_type, record.key, record.value, record.size_in_bytes


def quick(payload: bytearray) -> list[Any]:
    batch = Batches(MemoryRecords(bytes(payload))).next_batch()
    assert type(batch) is QuickBatch
    return list(batch)


@given(written, st.sampled_from([NONE, GZIP, LZ4]))
def test_a_batch_is_read_as_by_kafka_python(records: list[Any], codec: int) -> None:
    payload = batch_of(records, codec)

    read = read_records(DefaultRecordBatch(payload))

    assert list(map(told, read)) == list(map(told, DefaultRecordBatch(payload)))
    assert [(record.value, record.validate_crc(), record.checksum) for record in read] == [
        (value, True, None) for _, _, value, _ in records
    ]


def test_the_broker_s_time_of_arrival_is_that_of_all() -> None:
    payload = batch_of([(1_000, None, b"a", []), (2_000, None, b"b", [])])
    attributes, at = DefaultRecordBatch.TIMESTAMP_TYPE_MASK, DefaultRecordBatch.ATTRIBUTES_OFFSET
    struct.pack_into(">h", payload, at, attributes)

    assert [(r.timestamp, r.timestamp_type) for r in quick(payload)] == [(2_000, 1), (2_000, 1)]
    assert list(map(told, quick(payload))) == list(map(told, DefaultRecordBatch(payload)))


@given(st.integers(0, 2**41), values, values, st.data())
def test_what_kafka_python_makes_of_a_damaged_batch_is_made_here_too(
    time: int, key: bytes | None, value: bytes | None, data: Any
) -> None:
    payload = batch_of([(time, key, value, [])])
    begin = DefaultRecordBatch.HEADER_STRUCT.size
    size = next(iter(DefaultRecordBatch(payload))).size_in_bytes
    # Anywhere but in the attributes: these are a byte, which kafka-python takes for a number of variable length.
    places = set(range(begin, len(payload))) - {begin + size_of_varint(size)}
    place = data.draw(st.sampled_from(sorted(places)))
    payload[place] ^= data.draw(st.integers(1, 255))

    try:
        theirs = list(map(told, DefaultRecordBatch(payload)))
    except CorruptRecordError:
        return  # as may be here, but for what is wrong in headers alone
    assert list(map(told, quick(payload))) == theirs


def test_what_is_whole_of_a_damaged_batch_is_handed_over_first() -> None:
    payload = batch_of([(0, None, b"first", []), (0, None, b"second", [])])
    payload[payload.index(b"second") - 1] += 2  # its length
    batch = Batches(MemoryRecords(bytes(payload))).next_batch()

    records = iter(batch)

    assert next(records).value == b"first"
    with pytest.raises(CorruptRecordError):
        next(records)


def test_a_header_that_is_no_text_hides_no_record() -> None:
    payload = batch_of([(0, b"k", b"what was done", [("name", b"x")])])
    place = payload.index(b"name")
    payload[place] = 0xFF

    assert [(r.key, r.value) for r in quick(payload)] == [(b"k", b"what was done")]
    with pytest.raises(CorruptRecordError):
        list(DefaultRecordBatch(payload))


def test_a_number_without_an_end_is_none() -> None:
    payload = batch_of([(0, None, b"x" * 40, [])])
    begin = DefaultRecordBatch.HEADER_STRUCT.size
    payload[begin : begin + 12] = b"\x80" * 12

    with pytest.raises(ValueError, match="64 bits"):
        read_records(DefaultRecordBatch(payload))
    with pytest.raises(CorruptRecordError):
        quick(payload)


def test_control_records_and_old_formats_are_kafka_python_s_own() -> None:
    payload = batch_of([(0, b"\0\0\0\1", b"\0\0\0\0\0\0", [])])
    struct.pack_into(">h", payload, DefaultRecordBatch.ATTRIBUTES_OFFSET, DefaultRecordBatch.CONTROL_MASK)
    old = MemoryRecordsBuilder(1, NONE, 1 << 16)
    old.append(5, b"key", b"value")
    old.close()

    assert [(type(record) is QuickRecord, record.commit) for record in quick(payload)] == [(False, True)]
    batches = Batches(MemoryRecords(bytes(old.buffer())))
    batch = batches.next_batch()
    assert batch.magic == 1
    assert [record.value for record in batch] == [b"value"]
    assert batches.next_batch() is None
