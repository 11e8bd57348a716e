"""Checkpoints: whole or not at all, with the offset they stand for, for their owner's eyes only."""

import errno
import os
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from detector.checkpoints import CheckpointError, CheckpointStore, Piece, store
from detector.checkpoints.manifest import Manifest
from tests.support.checkpoints import HOME, PARTITION, Home, load, more, opened, save, told


def test_what_was_saved_is_loaded(url: str) -> None:
    state: dict[str, Any] = {"watermark": 1.5, "ids": ["a", "ü"], "nested": {"1": [None, True, b"\x00\xff"]}}
    save(opened(url), 17, b"row", b"another", **state)
    found = load(url)
    assert found is not None
    assert told(found) == (17, [state])
    assert list(found.parts[0].rows) == [b"row", b"another"]
    assert list(found.parts[0].rows.drain()) == [b"row", b"another"]
    assert len(found.parts[0].rows) == 0, "what was read for the last time is given up"


def test_a_partition_that_was_never_saved_has_no_checkpoint(url: str) -> None:
    save(opened(url), 1)
    assert opened(url).load([("agent-events", 4)])["agent-events", 4] is None
    assert opened(url).load([("other", 3)])["other", 3] is None


def test_changes_come_after_what_they_change(url: str) -> None:
    kept = opened(url)
    save(kept, 10, seen=1)
    more(kept, 20, seen=2)
    more(kept, 30, seen=3)
    assert told(load(url)) == (30, [{"seen": 1}, {"seen": 2}, {"seen": 3}])


def test_changes_of_nothing_are_refused(url: str) -> None:
    with pytest.raises(CheckpointError, match="must be whole"):
        more(opened(url), 10)


def test_a_piece_is_as_its_head_was_when_it_was_begun(url: str) -> None:
    head = {"seen": [1]}
    piece = Piece(head, whole=True)
    head["seen"].append(2)
    opened(url).save({PARTITION: (1, piece)})
    assert told(load(url)) == (1, [{"seen": [1]}])


def test_a_tenure_begins_with_a_whole_state(url: str) -> None:
    first = opened(url)
    assert first.wants_whole(PARTITION)
    save(first, 10)
    assert not first.wants_whole(PARTITION)
    second = opened(url, "b")
    second.load([PARTITION], 2)
    assert second.wants_whole(PARTITION)


def test_changes_are_folded_when_they_outgrow_the_whole(url: str) -> None:
    kept = opened(url)
    save(kept, 10, os.urandom(4000))
    for offset in (20, 30, 40):
        assert not kept.wants_whole(PARTITION)
        more(kept, offset, os.urandom(1500))
    assert kept.wants_whole(PARTITION)


def test_many_small_changes_are_folded_too(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MORE_MOST", 3)
    kept = opened(url)
    save(kept, 10, os.urandom(4000))
    for offset in (20, 30, 40):
        assert not kept.wants_whole(PARTITION)
        more(kept, offset)
    assert kept.wants_whole(PARTITION)


def test_what_no_kept_checkpoint_needs_is_removed(url: str, home: Home) -> None:
    """Kept are the last one, the one before it, and the last one of the whole state before."""
    kept = opened(url)
    for begin in (10, 40, 70):
        save(kept, begin)
        more(kept, begin + 10)
        more(kept, begin + 20)
    assert len(home.names("whole-")) == 2
    assert len(home.names("more-")) == 4
    assert len(home.names("manifest-")) == 3
    offsets = [
        msgspec.json.decode(home.read(name), type=Manifest).pieces[-1].offset for name in home.names("manifest-")
    ]
    assert offsets == [60, 80, 90]


@pytest.mark.parametrize("damage", [b"", b"torn", None, "flip"], ids=["empty", "torn", "gone", "one bit"])
@pytest.mark.parametrize(
    ("kind", "which", "offset", "seen"),
    [
        ("more-", -1, 50, [4, 5]),
        ("more-", -2, 40, [4]),
        ("whole-", -1, 30, [1, 2, 3]),
        ("manifest-", -1, 50, [4, 5]),
    ],
)
def test_from_whatever_is_damaged_it_falls_back_to_the_last_that_is_whole(
    url: str, home: Home, damage: Any, kind: str, which: int, offset: int, seen: list[int]
) -> None:
    kept = opened(url)
    for number in range(1, 7):
        save(kept, 10 * number, whole=number in {1, 4}, seen=number)
    name = home.names(kind)[which]
    home.write(name, flipped(home.read(name)) if damage == "flip" else damage)
    counted: list[None] = []
    found = load(url, on_damage=lambda: counted.append(None))
    if damage is None and kind == "manifest-":
        assert not counted, "nobody can know that there was one"
    elif damage == "flip" and kind == "manifest-":
        assert found is not None, "what it names is not there, or as it was"
        return
    else:
        assert len(counted) == 1 + (kind == "whole-")  # two manifests name a whole state
    assert told(found) == (offset, [{"seen": number} for number in seen])


def flipped(payload: bytes) -> bytes:
    """With one bit changed."""
    changed = bytearray(payload)
    changed[len(payload) // 2] ^= 1
    return bytes(changed)


def test_saving_goes_on_after_a_fallback(url: str, home: Home) -> None:
    kept = opened(url)
    save(kept, 100)
    more(kept, 200)
    home.write(home.names("more-")[0], b"torn")
    again = opened(url, "b")
    assert told(again.load([PARTITION], 2)[PARTITION]) == (100, [{}])
    save(again, 150, generation=2, seen="again")
    assert told(load(url, 2)) == (150, [{"seen": "again"}])


def test_nothing_whole_is_an_error_with_a_remedy(url: str, home: Home) -> None:
    kept = opened(url)
    save(kept, 100)
    save(kept, 200)
    for name in home.names("whole-"):
        home.write(name, b"torn")
    with pytest.raises(CheckpointError, match="restore it from a backup, or move it away") as said:
        load(url)
    assert HOME in str(said.value)


def test_a_checkpoint_of_another_format_is_refused(url: str, home: Home) -> None:
    save(opened(url), 100)
    (name,) = home.names("manifest-")
    home.write(name, home.read(name).replace(b'"version":2', b'"version":99'))
    with pytest.raises(CheckpointError, match="format 99, this program reads 2: run the version that wrote them"):
        load(url)


def test_a_disk_that_fails_leaves_the_old_checkpoint_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, home = opened(str(tmp_path)), tmp_path / HOME
    save(kept, 10, seen=1)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as failing:
        failing.setattr("os.write", full)
        with pytest.raises(CheckpointError, match="No space left"):
            more(kept, 20, seen=2)
    assert told(load(str(tmp_path))) == (10, [{"seen": 1}])
    assert kept.wants_whole(PARTITION), "what the failed one held is in no other"
    save(kept, 30, seen=3)
    assert told(load(str(tmp_path))) == (30, [{"seen": 3}])
    assert not list(home.glob("*.draft"))


def test_only_the_owner_can_read_what_is_saved(tmp_path: Path) -> None:
    kept = opened(str(tmp_path / "state"))
    save(kept, 1)
    save(kept, 2)
    paths = list((tmp_path / "state").rglob("*"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_file()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_dir()} == {0o700}
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_partitions_and_stages_keep_apart(url: str) -> None:
    score, correlate = (CheckpointStore(url, stage) for stage in ("score", "correlate"))
    score.save({("t", n): (n, Piece({"of": f"t-{n}"}, whole=True)) for n in (0, 1)})
    correlate.save({("t", 0): (3, Piece({"of": "correlate"}, whole=True))})
    assert told(score.load([("t", 0)])["t", 0]) == (0, [{"of": "t-0"}])
    assert told(score.load([("t", 1)])["t", 1]) == (1, [{"of": "t-1"}])
    assert told(correlate.load([("t", 0)])["t", 0]) == (3, [{"of": "correlate"}])


def test_a_topic_name_with_slashes_stays_below_the_folder(tmp_path: Path) -> None:
    topic = "../../../etc/passwd"
    kept = opened(str(tmp_path / "a" / "b"))
    kept.save({(topic, 0): (1, Piece({}, whole=True))})
    assert kept.load([(topic, 0)])[topic, 0] is not None
    assert {path.parts[len(tmp_path.parts)] for path in tmp_path.rglob("*")} == {"a"}


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("s3://bucket/state", r"pip install s3fs"),
        ("gs://bucket/state", r"pip install gcsfs"),
        ("nowhere://x", "not supported"),
        ("data://x/y", "can't be kept in data://x/y/score"),
    ],
)
def test_a_place_that_can_not_be_used_is_told_with_the_remedy(url: str, remedy: str) -> None:
    with pytest.raises(CheckpointError, match=remedy):
        opened(url)


def test_a_relative_url_is_below_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save(opened("file://./var/state"), 1)
    assert list((tmp_path / "var" / "state" / HOME).glob("manifest-*"))


def test_a_folder_that_can_not_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="can't be kept in"):
        opened(str(tmp_path / "file" / "state"))


def test_what_can_not_be_read_is_an_error_not_an_empty_memory(tmp_path: Path) -> None:
    kept = opened(str(tmp_path))
    save(kept, 100)
    (piece,) = (tmp_path / HOME).glob("whole-*")
    piece.unlink()
    piece.mkdir()  # stands for any file that the system refuses to read
    with pytest.raises(CheckpointError, match="can't be read"):
        load(str(tmp_path))
