"""NDJSON files: whole or `.partial`, the same bytes every time, never half a line."""

import errno
import io
import os
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from detector.alerts import Alert
from detector.findings import Finding
from detector.sinks.base import Batch, SinkUnavailable
from detector.sinks.files import NdjsonSink
from tests.support.nouns import a_finding, an_alert


def test_one_object_a_line_in_order_and_in_the_fields_order(tmp_path: Path) -> None:
    out = tmp_path / "findings.ndjson"
    with NdjsonSink(findings=str(out)) as sink:
        sink.write(Batch(findings=[a_finding(2, p_value=None), a_finding(1, reason="naïve\nline")]))
    lines = out.read_bytes().splitlines()
    assert [msgspec.json.decode(line, type=Finding).id for line in lines] == ["f-2", "f-1"]
    assert list(msgspec.json.decode(lines[0])) == list(Finding.__struct_fields__)
    assert msgspec.json.decode(lines[0])["p_value"] is None


def test_two_runs_are_identical_byte_for_byte(tmp_path: Path) -> None:
    batches = [Batch(findings=[a_finding(1)], alerts=[an_alert(1)]), Batch(alerts=[an_alert(1, version=2)])]
    outs = []
    for run, cut in (("a", batches), ("b", [Batch().extend(batches[0]).extend(batches[1])])):
        paths = tmp_path / f"{run}-findings", tmp_path / f"{run}-alerts"
        with NdjsonSink(str(paths[0]), str(paths[1])) as sink:
            for batch in cut:
                sink.write(batch)
        outs.append([path.read_bytes() for path in paths])
    assert outs[0] == outs[1]
    assert outs[0][1].count(b"\n") == 2


def test_a_file_under_its_own_name_is_whole(tmp_path: Path) -> None:
    out, partial = tmp_path / "alerts.ndjson", tmp_path / "alerts.ndjson.partial"
    out.write_text("of an earlier run\n")
    with NdjsonSink(alerts=str(out)) as sink:
        sink.write(Batch(alerts=[an_alert(1)]))
        assert out.read_text() == "of an earlier run\n"
        assert msgspec.json.decode(partial.read_bytes(), type=Alert) == an_alert(1), "durable after write"
    assert not partial.exists()
    assert msgspec.json.decode(out.read_bytes(), type=Alert) == an_alert(1)


def test_an_interrupted_run_leaves_its_partial_file_and_the_old_one(tmp_path: Path) -> None:
    out = tmp_path / "alerts.ndjson"
    out.write_text("of an earlier run\n")

    def interrupted() -> None:
        with NdjsonSink(alerts=str(out)) as sink:
            sink.write(Batch(alerts=[an_alert(1)]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert out.read_text() == "of an earlier run\n"
    assert (tmp_path / "alerts.ndjson.partial").read_bytes().count(b"\n") == 1


def test_an_empty_run_makes_an_empty_file(tmp_path: Path) -> None:
    with NdjsonSink(findings=str(tmp_path / "none.ndjson")):
        pass
    assert (tmp_path / "none.ndjson").read_bytes() == b""


def test_standard_output_stays_open(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with NdjsonSink(findings="-", alerts="-") as sink:
        sink.write(Batch(findings=[a_finding(1)], alerts=[an_alert(1)]))
    print("still there", flush=True)  # noqa: T201 - what the test is about
    lines = capfdbinary.readouterr().out.splitlines()
    assert [len(lines), lines[-1]] == [3, b"still there"]


def test_a_pipe_is_written_directly(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    with NdjsonSink(alerts=str(pipe)) as sink:
        sink.write(Batch(alerts=[an_alert(1)]))
    reader.join(10)
    assert read
    assert msgspec.json.decode(read[0], type=Alert) == an_alert(1)
    assert pipe.is_fifo(), "it was not replaced by a file"


class FullDisk(io.FileIO):
    """Takes some bytes of the first write, then has no space left; then somebody cleans up."""

    room = 100

    def write(self, data: Any, /) -> int:
        """Write as much as there is room for."""
        if FullDisk.room > 0:
            taken = super().write(bytes(data)[: FullDisk.room])
            FullDisk.room -= taken
            return taken
        raise OSError(errno.ENOSPC, "No space left on device")


def test_half_a_line_is_taken_back_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, partial = tmp_path / "alerts.ndjson", tmp_path / "alerts.ndjson.partial"
    monkeypatch.setattr(Path, "open", lambda path, mode, buffering: FullDisk(path, mode))  # noqa: ARG005
    monkeypatch.setattr(FullDisk, "room", 1_000)  # one line and a half
    with NdjsonSink(alerts=str(out)) as sink:
        sink.write(Batch(alerts=[an_alert(1)]))
        whole = partial.stat().st_size
        batch = Batch(alerts=[an_alert(2), an_alert(3)])
        with pytest.raises(SinkUnavailable, match="No space left"):
            sink.write(batch)
        assert partial.stat().st_size == whole, "half a line is left"
        FullDisk.room = 1_000_000
        sink.write(batch)
    monkeypatch.undo()
    ids = [msgspec.json.decode(line, type=Alert).id for line in out.read_bytes().splitlines()]
    assert ids == ["a-1", "a-2", "a-3"]


def test_both_in_one_file_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="both"):
        NdjsonSink(str(tmp_path / "x"), str(tmp_path / "x"))


def test_a_path_that_can_not_be_opened_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        NdjsonSink(str(tmp_path / "findings"), str(tmp_path / "nowhere" / "alerts"))
