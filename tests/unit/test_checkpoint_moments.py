"""Partitions that were saved together: what happens to one takes no memory of another."""

import errno
import shutil
from pathlib import Path

import pytest

from detector.checkpoints import CheckpointError, CheckpointStore, Piece
from tests.support.checkpoints import crash_after, opened, told

A, B = BOTH = [("t", 0), ("t", 1)]


def save(kept: CheckpointStore, offset: int, *partitions: tuple[str, int], generation: int = 1) -> None:
    """As a stage does: whole states when they are wanted."""
    pieces = {p: (offset, Piece({"at": offset}, whole=kept.wants_whole(p))) for p in partitions or BOTH}
    kept.save(pieces, generation)


def offsets(root: Path, generation: int, counted: list[None] | None = None) -> dict[tuple[str, int], int | None]:
    """As a worker finds them that takes over both."""
    on_damage = (lambda: counted.append(None)) if counted is not None else (lambda: None)
    found = opened(str(root), f"reader-{generation}", on_damage=on_damage).load(BOTH, generation)
    return {partition: None if checkpoint is None else checkpoint.offset for partition, checkpoint in found.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of the first partition."""
    return tmp_path / "score" / "t" / "0"


def test_a_folder_that_was_moved_away_and_begun_anew_takes_nothing_from_the_others(
    tmp_path: Path, folder: Path
) -> None:
    first = opened(str(tmp_path))
    for offset in range(100, 2100, 100):
        save(first, offset)
    shutil.rmtree(folder)
    counted: list[None] = []
    assert offsets(tmp_path, 2, counted) == {A: None, B: 2000}
    anew = opened(str(tmp_path), "b")
    anew.load([A], 2)
    save(anew, 100, A, generation=2)
    assert offsets(tmp_path, 3, counted) == {A: 100, B: 2000}
    assert not counted, "nothing of what was asked for is missing"


@pytest.mark.parametrize("generation", [1, 2, 9])
def test_a_folder_restored_from_a_backup_takes_nothing_from_the_others(
    tmp_path: Path, folder: Path, generation: int
) -> None:
    first = opened(str(tmp_path))
    for offset in range(100, 2000, 100):
        save(first, offset)
    shutil.copytree(folder, tmp_path / "backup")
    for offset in range(2000, 4000, 100):
        save(first, offset)
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "backup", folder)
    assert offsets(tmp_path, generation) == {A: 1900, B: 3900}


def torn(kept: CheckpointStore, offset: int, generation: int) -> None:
    """A crash between the manifest of the first partition and that of the second."""
    with crash_after(kept, 1):
        save(kept, offset, generation=generation)


def test_crash_upon_crash_all_go_back_to_the_moment_that_all_have(tmp_path: Path) -> None:
    save(opened(str(tmp_path)), 10)
    for generation in (2, 3, 4):
        worker = opened(str(tmp_path), f"w{generation}")
        assert [told(found) for found in worker.load(BOTH, generation).values()] == [(10, [{"at": 10}])] * 2
        torn(worker, 10 * generation, generation)
        assert offsets(tmp_path, generation + 1) == {A: 10, B: 10}


def test_what_has_no_moment_left_is_had_alone_and_told(tmp_path: Path, folder: Path) -> None:
    """The last moment is torn, and the one before it lost: better a state without its siblings' than none."""
    kept = opened(str(tmp_path))
    save(kept, 10)
    torn(kept, 20, 1)
    for manifest in folder.glob("manifest-*-0000000001-a.json"):
        manifest.write_bytes(b"damaged")
    counted: list[None] = []
    assert offsets(tmp_path, 2, counted) == {A: 20, B: 10}
    assert len(counted) == 2


def test_saves_that_fail_half_way_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = opened(str(tmp_path))
    save(kept, 10)

    def files() -> set[Path]:
        return {path for path in tmp_path.rglob("*") if path.is_file()}

    real = kept._files.write
    for paths in (("t/1/more", "t/1/whole"), ("t/0/more", "t/0/whole"), ("t/0/manifest",), ("t/1/manifest",)):
        save(kept, 20)
        before = files()

        def full(path: str, payload: bytes, paths: tuple[str, ...] = paths) -> None:
            if path.startswith(paths):
                raise OSError(errno.ENOSPC, "no space left on device")
            real(path, payload)

        with monkeypatch.context() as failing:
            failing.setattr(kept._files, "write", full)
            for _ in range(2):  # the changes, then the whole state
                with pytest.raises(CheckpointError, match="no space left"):
                    save(kept, 30)
                assert files() == before
        assert offsets(tmp_path, 2) == {A: 20, B: 20}
    save(kept, 40)
    assert offsets(tmp_path, 3) == {A: 40, B: 40}


def test_what_can_not_be_taken_back_is_still_no_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = opened(str(tmp_path))
    save(kept, 10)
    real = kept._files.write

    def away(path: str, payload: bytes = b"") -> None:
        if not payload or path.startswith("t/1/manifest"):
            raise OSError("the store is away")
        real(path, payload)

    with monkeypatch.context() as failing:
        failing.setattr(kept._files, "write", away)
        failing.setattr(kept._files, "remove", away)
        with pytest.raises(CheckpointError, match="the store is away"):
            save(kept, 20)
    assert offsets(tmp_path, 2) == {A: 10, B: 10}
    save(kept, 30)
    assert offsets(tmp_path, 3) == {A: 30, B: 30}
    assert not list(tmp_path.rglob("*0000000002-a.*")), "the next that works tidies up"
