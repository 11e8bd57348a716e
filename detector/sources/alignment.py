"""Event-time alignment: several partitions, each in offset order, merged into one order of event time.

A Kafka client hands over one partition's fetched messages before the next one's, so that while a consumer
catches up, partitions are seen hours or days apart in event time. What compares principals (peers' priors,
correlation) would then depend on the order of fetching. Here a partition's next item waits until no other
partition can bring an earlier one, so that the order is that of the events.
"""

from collections import deque
from collections.abc import Iterator
from heapq import heapify, heappop, heappush, heapreplace
from math import inf
from typing import Generic, TypeVar

Partition = tuple[str, int]
T = TypeVar("T")


class Aligner(Generic[T]):
    """Merges the partitions that are assigned. Pure: no clock, no I/O, no threads.

    An item comes out when it has the smallest (time, partition) of all heads, and every assigned partition
    either has an item queued or is caught up, which is to say that nothing earlier can be on its way.
    Within a partition the order is always that of `push`: an item that is late in event time is neither
    moved forward nor held back. Items must not be None.

    >>> aligner = Aligner[str]()
    >>> a, b = ("events", 0), ("events", 1)
    >>> aligner.assign(a), aligner.assign(b)
    (None, None)
    >>> aligner.push(a, 20.0, "second")
    >>> aligner.pop() is None  # b may yet bring something earlier
    True
    >>> aligner.push(b, 10.0, "first")
    >>> aligner.pop()
    'first'
    >>> aligner.set_caught_up(b, True)
    >>> list(aligner.ready())
    ['second']
    """

    def __init__(self) -> None:
        self._queues: dict[Partition, deque[tuple[float, T]]] = {}
        self._heads: list[tuple[float, Partition]] = []
        self._caught_up: set[Partition] = set()
        # Partitions that everybody waits for: nothing queued, and not caught up.
        self._awaited: set[Partition] = set()

    def assign(self, partition: Partition) -> None:
        """Begin to wait for a partition. One that is assigned already is left as it is."""
        if partition not in self._queues:
            self._queues[partition] = deque()
            self._awaited.add(partition)

    def revoke(self, partition: Partition) -> int:
        """Drop a partition with all that is queued of it; the number of items dropped."""
        dropped = self._queues.pop(partition, None)
        self._caught_up.discard(partition)
        self._awaited.discard(partition)
        if dropped:
            self._heads = [head for head in self._heads if head[1] != partition]
            heapify(self._heads)
        return len(dropped) if dropped else 0

    def push(self, partition: Partition, time: float, item: T) -> None:
        """Queue the next item of an assigned partition.

        `time` is its event time in seconds. Bound it by the time of arrival: an item from the future holds
        back its own partition until all the others have nothing left.

        Raises:
            KeyError: the partition is not assigned.
        """
        queue = self._queues[partition]
        queue.append((time, item))
        if len(queue) == 1:
            heappush(self._heads, (time, partition))
            self._awaited.discard(partition)

    def set_caught_up(self, partition: Partition, caught_up: bool) -> None:
        """Say whether an assigned partition's reader has reached the end of its log, so that none need wait.

        Raises:
            KeyError: the partition is not assigned.
        """
        queue = self._queues[partition]
        if caught_up:
            self._caught_up.add(partition)
            self._awaited.discard(partition)
        else:
            self._caught_up.discard(partition)
            if not queue:
                self._awaited.add(partition)

    def pop(self) -> T | None:
        """Take the next item; None when there is none, or an earlier one may be on its way."""
        if self._awaited or not self._heads:
            return None
        partition = self._heads[0][1]
        queue = self._queues[partition]
        item = queue.popleft()[1]
        if queue:
            heapreplace(self._heads, (queue[0][0], partition))
        else:
            heappop(self._heads)
            if partition not in self._caught_up:
                self._awaited.add(partition)
        return item

    def head(self) -> tuple[float, Partition, T] | None:
        """Time, partition and item that `pop` will take next; None when it will give none."""
        if self._awaited or not self._heads:
            return None
        time, partition = self._heads[0]
        return time, partition, self._queues[partition][0][1]

    @property
    def idle(self) -> bool:
        """Whether nothing is queued, and nothing known to be on its way."""
        return not self._heads and not self._awaited

    def ready(self, before: float = inf) -> Iterator[T]:
        """Take items until the next one would have to wait, or is not `before` that time (seconds)."""
        while not self._awaited and self._heads and self._heads[0][0] < before:
            item = self.pop()
            assert item is not None  # noqa: S101 - there is one
            yield item

    def ahead(self) -> Iterator[tuple[Partition, float | None]]:
        """The partitions that may still bring something, each with the time of its next item, if one is queued."""
        for partition, queue in self._queues.items():
            if queue:
                yield partition, queue[0][0]
            elif partition not in self._caught_up:
                yield partition, None

    def depth(self, partition: Partition) -> int:
        """Number of items queued of a partition; 0 when it is not assigned."""
        return len(self._queues.get(partition, ()))

    def full(self, limit: int) -> list[Partition]:
        """Partitions with `limit` items or more queued: those whose fetching should pause."""
        return [partition for partition, queue in self._queues.items() if len(queue) >= limit]

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))
