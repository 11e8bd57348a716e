"""The file source: lines to records, gzip, bounded lines, progress, and errors that say what to do."""

import gzip
import io
import json
import os
import random
import tracemalloc
from pathlib import Path

import pytest

from detector.sources.base import SourceError
from detector.sources.files import FileSource, read_records


def clock() -> float:
    return 1_700_000_000.0


def noise(size: int, seed: int = 7) -> str:
    """Hexadecimal digits of `size` bytes that do not compress, in lines of fifty bytes."""
    return random.Random(seed).randbytes(size).hex("\n", 50)


def write(path: Path, content: bytes) -> Path:
    packed = path.suffix == ".gz"
    path.write_bytes(gzip.compress(content, mtime=0) if packed else content)
    return path


@pytest.mark.parametrize("name", ["events.ndjson", "events.ndjson.gz"])
def test_each_line_is_a_record_whose_offset_is_its_line_number(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, b'{"a":1}\n\n  \r\n{"b":2}\r\nlast without an end')

    records = list(read_records(path, clock))

    assert [(record.offset, record.value) for record in records] == [
        (0, b'{"a":1}'),
        (3, b'{"b":2}'),
        (4, b"last without an end"),
    ]
    assert {(r.topic, r.partition, r.key, r.received_at) for r in records} == {(f"file:{name}", 0, None, clock())}


def test_gzip_is_told_by_content_and_the_topic_can_be_chosen(tmp_path: Path) -> None:
    path = tmp_path / "export.ndjson"
    path.write_bytes(gzip.compress(b"1\n2\n"))

    assert [(r.topic, r.value) for r in read_records(path, clock, "agent-events")] == [
        ("agent-events", b"1"),
        ("agent-events", b"2"),
    ]


def test_gzip_files_appended_to_each_other_are_read_through(tmp_path: Path) -> None:
    path = tmp_path / "day.ndjson.gz"
    path.write_bytes(gzip.compress(b"1\n2") + gzip.compress(b"3\n4\n"))

    assert [record.value for record in read_records(path, clock)] == [b"1", b"23", b"4"]


def test_the_clock_is_asked_once_a_file(tmp_path: Path) -> None:
    ticks = iter([5.0, 6.0])

    records = read_records(write(tmp_path / "a", b"1\n2\n3\n"), lambda: next(ticks))

    assert [record.received_at for record in records] == [5.0, 5.0, 5.0]


@pytest.mark.parametrize("name", ["empty.ndjson", "empty.ndjson.gz"])
def test_an_empty_file_has_no_records(tmp_path: Path, name: str) -> None:
    assert list(read_records(write(tmp_path / name, b""), clock)) == []


def test_a_line_at_the_bound_is_whole_and_one_above_it_is_cut_to_one_byte_more(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ndjson", b"x" * 10 + b"\r\n" + b"y" * 11 + b"\n" + b"z" * 500_000 + b"\nok\n")

    records = list(read_records(path, clock, max_bytes=10))

    assert [record.value for record in records] == [b"x" * 10, b"y" * 11, b"z" * 11, b"ok"]
    assert [record.offset for record in records] == [0, 1, 2, 3]


def test_memory_stays_bounded_by_a_line_without_end(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb") as out:
        for _ in range(64):
            out.write(b"a" * (1 << 20))

    tracemalloc.start()
    try:
        records = list(read_records(path, clock, max_bytes=1 << 20))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert [len(record.value) for record in records] == [(1 << 20) + 1]
    assert peak < 8 << 20


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_damaged_gzip_hands_over_what_it_can_then_names_the_file_and_the_remedy(tmp_path: Path, damage: str) -> None:
    lines = b"".join(json.dumps({"n": n, "noise": noise(20, seed=n)}).encode() + b"\n" for n in range(20_000))
    packed = bytearray(gzip.compress(lines))
    half = len(packed) // 2
    content = packed[:half] if damage == "cut" else packed[:half] + b"\0" * 64 + packed[half + 64 :]
    path = tmp_path / "events.ndjson.gz"
    path.write_bytes(content)
    seen: list[bytes] = []

    with pytest.raises(SourceError, match=r"events\.ndjson\.gz: .* after \d+ lines .*gzip -t"):
        seen.extend(record.value for record in read_records(path, clock))

    assert seen[:5000] == lines.splitlines()[:5000]


def test_a_file_called_gz_that_is_not_gzip_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "events.gz"
    path.write_bytes(b'{"a":1}\n')

    with pytest.raises(SourceError, match=r"events\.gz"):
        list(read_records(path, clock))


@pytest.mark.parametrize("name", ["missing.ndjson", "."])
def test_what_can_not_be_opened_is_an_error_with_the_remedy(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match="give a readable file"):
        list(read_records(tmp_path / name, clock))


@pytest.mark.parametrize("name", ["events.ndjson", "events.ndjson.gz"])
def test_position_runs_from_nothing_to_size(tmp_path: Path, name: str) -> None:
    source = FileSource(write(tmp_path / name, noise(600_000).encode()), clock)
    assert source.position == 0

    positions = [source.position for _ in source]

    assert positions == sorted(positions)
    assert 0 < positions[0] < positions[len(positions) // 2] < positions[-1] <= (source.size or 0)
    assert source.position == source.size


def test_standard_input_is_read_and_left_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "in", b"1\n2\n")
    with path.open("rb") as stdin:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.FileIO(stdin.fileno(), closefd=False))))
        source = FileSource("-", clock)

        assert [(record.topic, record.value) for record in source] == [("file:-", b"1"), ("file:-", b"2")]
        assert source.size is None
        assert source.position == 4
        assert os.fstat(stdin.fileno()).st_size == 4
