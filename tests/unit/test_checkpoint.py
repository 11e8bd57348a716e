"""Checkpoints: whole or not at all, with the offset they stand for, for their owner's eyes only."""

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from detector.checkpoint import MANIFEST, Checkpoint, CheckpointError, CheckpointFolder

PARTITION = ("agent-events", 3)


@pytest.fixture
def folder(tmp_path: Path) -> CheckpointFolder:
    return CheckpointFolder(f"file://{tmp_path}", "score")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where the partition's files are."""
    return tmp_path / "score" / "agent-events" / "3"


def save(folder: CheckpointFolder, offset: int, **state: Any) -> None:
    folder.save({PARTITION: Checkpoint(offset, state)})


def states(home: Path) -> list[str]:
    return sorted(file.name for file in home.glob("state-*"))


def test_what_was_saved_is_loaded(folder: CheckpointFolder) -> None:
    state = {"watermark": 1.5, "ids": ["a", "ü"], "nested": {"1": [None, True, b"\x00\xff"]}}
    assert folder.save({PARTITION: Checkpoint(17, state)}) > 0
    assert folder.load(*PARTITION) == Checkpoint(17, state)


def test_a_partition_that_was_never_saved_has_no_checkpoint(folder: CheckpointFolder) -> None:
    save(folder, 1)
    assert folder.load("agent-events", 4) is None
    assert folder.load("other", 3) is None


def test_a_new_process_goes_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    save(CheckpointFolder(str(tmp_path), "score"), 5, seen=1)
    save(CheckpointFolder(f"file://{tmp_path}", "score"), 6, seen=2)
    assert CheckpointFolder(str(tmp_path), "score").load(*PARTITION) == Checkpoint(6, {"seen": 2})


def test_partitions_and_stages_keep_apart(tmp_path: Path) -> None:
    score, correlate = (CheckpointFolder(str(tmp_path), stage) for stage in ("score", "correlate"))
    score.save({("t", 0): Checkpoint(1, {"of": "t-0"}), ("t", 1): Checkpoint(2, {"of": "t-1"})})
    correlate.save({("t", 0): Checkpoint(3, {"of": "correlate"})})
    assert score.load("t", 0) == Checkpoint(1, {"of": "t-0"})
    assert score.load("t", 1) == Checkpoint(2, {"of": "t-1"})
    assert correlate.load("t", 0) == Checkpoint(3, {"of": "correlate"})


def test_a_topic_name_with_slashes_stays_below_the_folder(tmp_path: Path) -> None:
    topic = "../../../etc/passwd"
    outer = tmp_path / "a" / "b"
    folder = CheckpointFolder(str(outer), "score")
    folder.save({(topic, 0): Checkpoint(1, {})})
    assert folder.load(topic, 0) == Checkpoint(1, {})
    assert {path.parts[len(tmp_path.parts)] for path in tmp_path.rglob("*")} == {"a"}


def test_the_last_two_states_are_kept_and_no_more(folder: CheckpointFolder, home: Path) -> None:
    for offset in range(5):
        save(folder, offset)
    assert states(home) == ["state-3.msgpack", "state-4.msgpack"]
    assert sorted(path.name for path in home.iterdir()) == [MANIFEST, *states(home)]


@pytest.mark.parametrize("damage", [b"", b"torn", None], ids=["empty", "torn", "gone"])
def test_a_damaged_state_falls_back_to_the_one_before_it(
    folder: CheckpointFolder, home: Path, capsys: pytest.CaptureFixture[str], damage: bytes | None
) -> None:
    save(folder, 100, seen=1)
    save(folder, 200, seen=2)
    current = home / "state-1.msgpack"
    if damage is None:
        current.unlink()
    else:
        current.write_bytes(damage)
    assert folder.load(*PARTITION) == Checkpoint(100, {"seen": 1})
    said = capsys.readouterr().out
    assert "checkpoint_damaged" in said
    assert "state-1.msgpack" in said


def test_one_flipped_bit_is_noticed(folder: CheckpointFolder, home: Path) -> None:
    save(folder, 100, seen=1)
    save(folder, 200, seen=2)
    payload = bytearray((home / "state-1.msgpack").read_bytes())
    payload[-1] ^= 1
    (home / "state-1.msgpack").write_bytes(payload)
    assert folder.load(*PARTITION) == Checkpoint(100, {"seen": 1})


def test_saving_goes_on_after_a_fallback(folder: CheckpointFolder, home: Path) -> None:
    save(folder, 100)
    save(folder, 200)
    (home / "state-1.msgpack").write_bytes(b"torn")
    save(folder, 150, seen="again")
    assert folder.load(*PARTITION) == Checkpoint(150, {"seen": "again"})


def test_two_damaged_states_are_an_error_with_a_remedy(folder: CheckpointFolder, home: Path) -> None:
    save(folder, 100)
    save(folder, 200)
    for name in states(home):
        (home / name).write_bytes(b"torn")
    with pytest.raises(CheckpointError, match="restore the folder from a backup, or move it away") as told:
        folder.load(*PARTITION)
    assert str(home) in str(told.value)


def test_a_damaged_first_state_is_an_error_too(folder: CheckpointFolder, home: Path) -> None:
    save(folder, 100)
    (home / "state-0.msgpack").write_bytes(b"torn")
    with pytest.raises(CheckpointError, match="neither checkpoint"):
        folder.load(*PARTITION)


@pytest.mark.parametrize("manifest", [b"", b"{}", b"\xff\xff", b'{"version": "\xff"}', b"[1]"])
def test_a_damaged_manifest_is_an_error_with_a_remedy(folder: CheckpointFolder, home: Path, manifest: bytes) -> None:
    save(folder, 100)
    (home / MANIFEST).write_bytes(manifest)
    with pytest.raises(CheckpointError, match="move") as told:
        folder.load(*PARTITION)
    assert str(home / MANIFEST) in str(told.value)


def test_a_checkpoint_of_another_version_is_refused(folder: CheckpointFolder, home: Path) -> None:
    save(folder, 100)
    manifest = json.loads((home / MANIFEST).read_bytes())
    (home / MANIFEST).write_text(json.dumps({**manifest, "version": 99}))
    with pytest.raises(CheckpointError, match="format 99, this program reads 1: run the version that wrote them"):
        folder.load(*PARTITION)


def test_what_can_not_be_read_is_an_error_not_an_empty_memory(folder: CheckpointFolder, home: Path) -> None:
    save(folder, 100)
    (home / MANIFEST).unlink()
    (home / MANIFEST).mkdir()  # stands for any file that the system refuses to read
    with pytest.raises(CheckpointError, match="can't be read"):
        folder.load(*PARTITION)


class Crash(BaseException):
    """The end of the process."""


def crash(*_: object) -> None:
    raise Crash


def test_a_crash_before_the_manifests_leaves_every_partition_as_it_was(
    folder: CheckpointFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [("t", 0), ("t", 1)]
    folder.save({partition: Checkpoint(10, {"seen": 1}) for partition in both})
    with monkeypatch.context() as crashing:
        crashing.setattr(folder, "_make_valid", crash)
        with pytest.raises(Crash):
            folder.save({partition: Checkpoint(20, {"seen": 2}) for partition in both})
    for partition in both:
        assert folder.load(*partition) == Checkpoint(10, {"seen": 1})
    folder.save({partition: Checkpoint(30, {"seen": 3}) for partition in both})
    for partition in both:
        assert folder.load(*partition) == Checkpoint(30, {"seen": 3})


def test_a_disk_that_fails_leaves_the_old_checkpoint_valid(
    folder: CheckpointFolder, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(folder, 10, seen=1)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as failing:
        failing.setattr("os.write", full)
        with pytest.raises(CheckpointError, match="No space left"):
            save(folder, 20, seen=2)
    assert folder.load(*PARTITION) == Checkpoint(10, {"seen": 1})
    save(folder, 30, seen=3)
    assert folder.load(*PARTITION) == Checkpoint(30, {"seen": 3})
    assert not list(home.glob("*.draft"))


def test_only_the_owner_can_read_what_is_saved(folder: CheckpointFolder, tmp_path: Path, home: Path) -> None:
    save(folder, 1)
    save(folder, 2)

    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    assert mode(tmp_path / "score") == 0o700
    assert mode(home) == 0o700
    assert {mode(file) for file in home.iterdir()} == {0o600}


@pytest.mark.parametrize("url", ["s3://bucket/state", "http://host/state", "hdfs://x"])
def test_a_url_that_names_no_folder_is_refused(url: str) -> None:
    with pytest.raises(CheckpointError, match="not supported; give a `file://` URL or a path"):
        CheckpointFolder(url, "score")


def test_a_relative_url_is_below_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save(CheckpointFolder("file://./var/state", "score"), 1)
    assert (tmp_path / "var" / "state" / "score" / "agent-events" / "3" / MANIFEST).is_file()


def test_a_folder_that_can_not_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="can't be kept in"):
        CheckpointFolder(str(tmp_path / "file" / "state"), "score")
