"""A place of checkpoints, seen from outside, and short ways to save and to load."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import fsspec
import pytest

from detector.checkpoints import Checkpoint, CheckpointStore, Piece

PARTITION: Final = ("agent-events", 3)
HOME: Final = "score/agent-events/3"


class Crash(BaseException):
    """The end of a process."""


class Home:
    """The files of the partition, as the system sees them."""

    def __init__(self, url: str) -> None:
        self.files, root = fsspec.core.url_to_fs(url)
        self.folder = f"{root.rstrip('/')}/{HOME}"

    def names(self, kind: str = "") -> list[str]:
        """Names of files, the oldest first."""
        there = (name.rpartition("/")[2] for name in self.files.ls(self.folder, detail=False))
        return sorted((name for name in there if name.startswith(kind)), key=lambda name: name.partition("-")[2])

    def read(self, name: str) -> bytes:
        """The bytes of a file."""
        payload: bytes = self.files.cat_file(f"{self.folder}/{name}")
        return payload

    def write(self, name: str, payload: bytes | None) -> None:
        """Put bytes in a file's place, or nothing."""
        if payload is None:
            self.files.rm_file(f"{self.folder}/{name}")
        else:
            self.files.pipe_file(f"{self.folder}/{name}", payload)


def opened(url: str, writer: str = "a", **more: Any) -> CheckpointStore:
    """Checkpoints of the stage, as one process has them."""
    return CheckpointStore(url, "score", writer=writer, **more)


def save(
    checkpoints: CheckpointStore, offset: int, *rows: bytes, whole: bool = True, generation: int = 1, **head: Any
) -> None:
    """Save one piece."""
    piece = Piece(head, whole=whole)
    piece.add(rows)
    checkpoints.save({PARTITION: (offset, piece)}, generation)


def more(checkpoints: CheckpointStore, offset: int, *rows: bytes, **more: Any) -> None:
    """Save what changed."""
    save(checkpoints, offset, *rows, whole=False, **more)


def load(url: str, generation: int = 1, **options: Any) -> Checkpoint | None:
    """As a process would that begins now."""
    return opened(url, "reader", **options).load([PARTITION], generation)[PARTITION]


def told(checkpoint: Checkpoint | None) -> tuple[int, list[Any]] | None:
    """Offset and heads."""
    return None if checkpoint is None else (checkpoint.offset, [part.head for part in checkpoint.parts])


@contextmanager
def crash_after(kept: CheckpointStore, manifests: int) -> Iterator[None]:
    """The block's save ends with a crash, when it has written so many of its manifests."""
    real, written = kept._make_valid, 0

    def make_valid(*args: Any) -> None:
        nonlocal written
        if written == manifests:
            raise Crash
        written += 1
        real(*args)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(kept, "_make_valid", make_valid)
        with pytest.raises(Crash):
            yield
    assert written == manifests
