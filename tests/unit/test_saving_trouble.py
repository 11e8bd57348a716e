"""Checkpoints that hang, or come too late: what the stage gives up, it gives up in time and without harm."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from detector.checkpoints import CheckpointFenced, CheckpointStore, Piece
from detector.score_stage import ScoreStage
from detector.sources.alignment import Partition
from detector.sources.base import Record
from tests.support.events import sending
from tests.support.saving import PATIENCE
from tests.support.score_stage import FakeSource, record, stage_of

A, B = BOTH = [("events", 0), ("events", 1)]
OTHER = ("events", 2)


class Group(FakeSource):
    """A source whose generation is set by the test."""

    now = 1

    def generation(self) -> int:
        return self.now


class Trouble:
    """A stage with two partitions whose store can be made to hang."""

    def __init__(self, folder: Path, background: ThreadPoolExecutor) -> None:
        self.source = Group([], threading.Event(), BOTH)
        self.stage: ScoreStage = stage_of(folder, source=self.source, every=1e9)
        self.stage.shell = msgspec.structs.replace(self.stage.shell, background=background, grace=0.05)
        self.stage._source = self.source.connect(self.stage)
        self.gate, self.reached = threading.Event(), threading.Event()
        self.read: dict[Partition, int] = dict.fromkeys(BOTH, 0)
        self.gate.set()
        files = self.stage.shell.checkpoints._files
        write = files.write

        def slow(path: str, payload: bytes) -> None:
            self.reached.set()
            assert self.gate.wait(PATIENCE)
            write(path, payload)

        files.write = slow  # type: ignore[method-assign]

    def take(self, *partitions: Partition) -> None:
        """One event of each."""
        polled: Mapping[Partition, Sequence[Record]] = {
            p: [record(sending(60.0 * self.read[p], f"agent-{p[1]}"), p, self.read[p])] for p in partitions
        }
        self.stage.take(polled, {*BOTH, OTHER})
        for partition in partitions:
            self.read[partition] += 1

    def hang(self) -> None:
        """Begin a checkpoint that does not get past its first piece before the gate is opened: that of `B`."""
        self.gate.clear()
        self.reached.clear()
        self.stage._checkpoint([B, A], 1.0)
        assert self.reached.wait(PATIENCE)

    def end(self) -> None:
        """Let what hangs end."""
        self.gate.set()
        for saving in filter(None, (self.stage._overdue, self.stage._saving)):
            assert saving.wait(PATIENCE)


@pytest.fixture
def trouble(tmp_path: Path) -> Iterator[Trouble]:
    with ThreadPoolExecutor(1) as background:
        made = Trouble(tmp_path, background)
        made.take(A, B)
        yield made
        made.gate.set()


def restored(folder: Path) -> dict[Partition, tuple[int | None, dict[str, int]]]:
    """Offsets, and events counted of each principal, as a process finds them that takes over both."""
    found: dict[Partition, tuple[int | None, dict[str, int]]] = {}
    for partition, checkpoint in CheckpointStore(str(folder), "score").load(BOTH, 99).items():
        rows = [msgspec.msgpack.decode(row) for part in (checkpoint.parts if checkpoint else ()) for row in part.rows]
        found[partition] = checkpoint.offset if checkpoint else None, {row[0]: row[5] for row in rows}
    return found


def failures(trouble: Trouble) -> float | None:
    return trouble.stage.shell.metrics.registry.get_sample_value("detector_checkpoint_failures_total")


@pytest.mark.parametrize("what", ["on_revoked", "on_assigned"])
def test_a_store_that_hangs_holds_no_rebalance_up(trouble: Trouble, what: str) -> None:
    trouble.hang()
    done = threading.Event()

    def change() -> None:
        getattr(trouble.stage, what)([B] if what == "on_revoked" else [OTHER])
        done.set()

    thread = threading.Thread(target=change, daemon=True)
    thread.start()
    assert done.wait(PATIENCE / 2), "it waits for the store"
    thread.join()
    assert not trouble.gate.is_set()
    assert failures(trouble) == 1.0
    assert trouble.source.commits == []


def test_no_checkpoint_is_begun_while_one_hangs_and_the_next_holds_all(trouble: Trouble, tmp_path: Path) -> None:
    trouble.hang()
    trouble.stage.on_assigned([OTHER])
    trouble.take(A, B)
    trouble.stage._checkpoint(BOTH, 1.0)
    assert trouble.stage._saving is None
    trouble.end()
    trouble.take(A)
    trouble.stage._checkpoint(BOTH, 1.0)
    trouble.stage._finish_saving(PATIENCE)
    assert restored(tmp_path) == {A: (3, {"agent-0": 3}), B: (2, {"agent-1": 2})}
    assert trouble.source.commits == [{A: 3, B: 2}]


@pytest.mark.parametrize("ends", ["before the next checkpoint", "amid the next tenure"])
def test_what_was_given_up_does_not_end_in_a_later_tenure(trouble: Trouble, tmp_path: Path, ends: str) -> None:
    """Partitions are lost and come back while their last checkpoint hangs: it was of a state that is gone."""
    trouble.hang()
    trouble.stage.on_lost(BOTH)
    if ends == "before the next checkpoint":
        trouble.end()
    trouble.source.now = 3
    offsets = trouble.stage.on_assigned(BOTH)
    trouble.read = {p: offsets[p] or 0 for p in BOTH}
    trouble.end()
    for _ in range(2):
        trouble.take(A, B)
        trouble.stage._checkpoint(BOTH, 1.0)
        trouble.stage._finish_saving(PATIENCE)
        expected = {p: (trouble.read[p], {f"agent-{p[1]}": trouble.read[p]}) for p in BOTH}
        assert restored(tmp_path) == expected


def taken_over(folder: Path, partition: Partition, generation: int) -> None:
    """Another member saves it."""
    other = CheckpointStore(str(folder), "score", writer="other")
    other.load([partition], generation)
    other.save({partition: (9, Piece({"scoring": {}, "ticker": {}}, whole=True))}, generation)


def test_the_fence_of_a_partition_that_is_not_held_any_more_ends_nobody(trouble: Trouble, tmp_path: Path) -> None:
    trouble.hang()
    trouble.stage.on_lost([A])
    taken_over(tmp_path, A, 2)
    trouble.end()
    trouble.stage._finish_saving(PATIENCE)
    assert failures(trouble) == 1.0
    trouble.source.now = 2
    trouble.take(B)
    trouble.stage._checkpoint([B], 1.0)
    trouble.stage._finish_saving(PATIENCE)
    assert restored(tmp_path)[B] == (2, {"agent-1": 2})
    assert trouble.source.commits == [{B: 2}]


def test_a_member_that_was_lost_amid_a_checkpoint_comes_back(trouble: Trouble, tmp_path: Path) -> None:
    trouble.hang()
    trouble.stage.on_lost(BOTH)
    taken_over(tmp_path, A, 2)
    trouble.end()
    trouble.source.now = 3
    assert trouble.stage.on_assigned([B]) == {B: None}


def test_the_fence_of_a_partition_that_is_held_ends_the_stage(trouble: Trouble, tmp_path: Path) -> None:
    trouble.hang()
    taken_over(tmp_path, A, 2)
    trouble.end()
    with pytest.raises(CheckpointFenced):
        trouble.stage._finish_saving(PATIENCE)
