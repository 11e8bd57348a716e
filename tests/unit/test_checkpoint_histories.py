"""Random histories of writers, zombies among them, that crash and fail anywhere: no memory is lost, none mixed."""

import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from detector.checkpoints import Checkpoint, CheckpointError, CheckpointFenced, CheckpointStore, Piece, store
from tests.support.checkpoints import Crash

Partition = tuple[str, int]

PARTITIONS: list[Partition] = [("t", 0), ("t", 1), ("t", 2)]


class Memory:
    """Files in memory; `fault` is called before and after each change of one."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.fault: Callable[[], None] = lambda: None

    def read(self, path: str) -> bytes | None:
        return self.files.get(path)

    def write(self, path: str, payload: bytes) -> None:
        self.fault()
        self.files[path] = payload
        self.fault()

    def names(self, folder: str) -> list[str]:
        return sorted(path.rpartition("/")[2] for path in self.files if path.rpartition("/")[0] == folder)

    def remove(self, path: str) -> None:
        self.fault()
        self.files.pop(path, None)

    def where(self, path: str) -> str:
        return path


class Worker:
    """Holds partitions. The state of each is the numbers up to its offset; changes name what they change."""

    def __init__(self, kept: CheckpointStore, partitions: Sequence[Partition], generation: int) -> None:
        self.kept, self.generation = kept, generation
        self.offsets: dict[Partition, int] = {}
        for partition, checkpoint in kept.load(partitions, generation).items():
            self.offsets[partition] = restored(checkpoint)
        self.captured = dict(self.offsets)

    def save(self, partitions: Sequence[Partition], rng: random.Random) -> None:
        """Go on a little, then save."""
        pieces = {}
        for partition in partitions:
            self.offsets[partition] += rng.randrange(1, 3)
            offset, whole = self.offsets[partition], self.kept.wants_whole(partition)
            after = 0 if whole else self.captured[partition]
            pieces[partition] = offset, Piece({"after": after, "numbers": list(range(after, offset))}, whole=whole)
            self.captured[partition] = offset
        self.kept.save(pieces, self.generation)


def restored(checkpoint: Checkpoint | None) -> int:
    """The offset; the state must be what was read up to it."""
    numbers: list[int] = []
    for part in checkpoint.parts if checkpoint is not None else ():
        assert part.head["after"] == len(numbers), "changes of another state"
        numbers += part.head["numbers"]
    offset = checkpoint.offset if checkpoint is not None else 0
    assert numbers == list(range(offset))
    return offset


class History:
    """One consumer group and its checkpoints."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.memory = Memory()
        self.acknowledged = dict.fromkeys(PARTITIONS, 0)
        self.generation = self.workers = 0
        self.owners: list[Worker] = []
        self.zombies: list[Worker] = []
        self.seen: Counter[str] = Counter()

    def join(self, partitions: Sequence[Partition]) -> None:
        """A new process takes partitions over, and must find all that was acknowledged."""
        self.workers += 1
        worker = Worker(CheckpointStore("memory", "score", writer=f"w{self.workers}"), partitions, self.generation)
        for partition, offset in worker.offsets.items():
            assert offset >= self.acknowledged[partition]
        self.owners.append(worker)

    def rebalance(self, generation: int) -> None:
        """Partitions are dealt out anew; some of those who had them don't hear of it."""
        if self.rng.random() < 0.6:
            self.zombies += self.owners
        self.generation, self.owners = generation, []
        dealt = self.rng.sample(PARTITIONS, 3)
        cut = self.rng.choice([1, 2, 3])
        for share in filter(None, (dealt[:cut], dealt[cut:])):
            self.join(share)

    def save(self, worker: Worker) -> None:
        """As a stage does: who must prove to be a member asks the group, which knows its owners only."""
        partitions = [p for p in worker.offsets if self.rng.random() < 0.8] or list(worker.offsets)
        if worker.kept.unproved(partitions):
            if worker in self.zombies:
                return
            worker.kept.prove(worker.kept.unproved(partitions))
        self.memory.fault = self.fault() if self.rng.random() < 0.4 else lambda: None
        try:
            worker.save(partitions, self.rng)
        except Crash:
            self.end(worker)
        except CheckpointFenced:
            assert worker in self.zombies
            self.zombies.remove(worker)
            self.seen["fenced"] += 1
        except CheckpointError:
            self.seen["failed"] += 1
        else:
            self.seen["saved"] += 1
            if worker in self.owners:
                self.acknowledged |= {p: max(self.acknowledged[p], worker.offsets[p]) for p in partitions}
        finally:
            self.memory.fault = lambda: None

    def fault(self) -> Callable[[], None]:
        """Something happens in a while, and then no more."""
        left, error = self.rng.randrange(14), self.rng.choice([Crash, OSError])

        def strike() -> None:
            nonlocal left
            left -= 1
            if left == -1:
                raise error

        return strike

    def end(self, worker: Worker) -> None:
        """A process is gone; another takes its partitions over."""
        self.memory.fault = lambda: None
        self.seen["crashed"] += 1
        if worker in self.zombies:
            self.zombies.remove(worker)
        else:
            self.owners.remove(worker)
            self.generation += 1
            self.join(list(worker.offsets))

    def step(self) -> None:
        """Mostly a checkpoint."""
        what = self.rng.random()
        if what < 0.65:
            self.save(self.rng.choice([*self.owners, *self.zombies]))
        elif what < 0.85:
            self.rebalance(self.generation + 1)
        else:  # the group was forgotten, and with it all generations; of its members none is there any more
            self.owners, self.zombies = [], []
            self.rebalance(self.rng.randrange(1, 3))


@pytest.mark.parametrize("first", range(0, 600, 100))
def test_whatever_happens_no_memory_is_lost_or_mixed(monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    seen: Counter[str] = Counter()
    for seed in range(first, first + 100):
        history = History(seed)
        monkeypatch.setattr(store, "open_storage", lambda *_, memory=history.memory: memory)
        monkeypatch.setattr(store, "MORE_MOST", history.rng.choice([1, 2, 4]))
        history.rebalance(1)
        for _ in range(history.rng.randrange(3, 25)):
            history.step()
        seen += history.seen
    assert min(seen[what] for what in ("saved", "failed", "crashed", "fenced")) > 5, seen
