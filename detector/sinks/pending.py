"""The queue before a sink: bounded by items and bytes, and cut into batches of a good size to write."""

from collections import deque

from detector.sinks.base import Batch


class Pending:
    """Batches that were put and are not yet durable, in order. Not thread-safe: the runner holds the lock.

    Args:
        max_items: how many items may be pending, those being written included.
        max_batch: batches are joined up to so many items; one that is larger by itself is not cut.
        linger: seconds to wait for more, counted from the oldest batch in the queue.
        max_bytes: how many bytes of messages may be pending: few items can be large.
    """

    def __init__(self, *, max_items: int, max_batch: int, linger: float, max_bytes: int = 1 << 62) -> None:
        if min(max_items, max_batch, max_bytes) < 1 or linger < 0:
            raise ValueError("max_items, max_batch and max_bytes must be at least 1, and linger not negative")
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._bytes = 0
        self._bytes_taken = 0
        self._max_batch = max_batch
        self._linger = linger
        self._queue: deque[tuple[float, Batch]] = deque()
        self._queued = 0
        self._hurried = 0
        self.put_count = 0
        """Items ever put."""
        self.settled_count = 0
        """Items of those that are durable or refused."""

    def __len__(self) -> int:
        return self.put_count - self.settled_count

    def put(self, batch: Batch, now: float) -> bool:
        """Append a batch; False when it doesn't fit. One larger than the whole queue fits an empty one."""
        size = _bytes_of(batch)
        full = len(self) + len(batch) > self._max_items or self._bytes + size > self._max_bytes
        if len(self) and full:
            return False
        self._bytes += size
        self._queue.append((now, batch))
        self._queued += len(batch)
        self.put_count += len(batch)
        return True

    def hurry(self, count: int) -> None:
        """Don't linger over the first so many items that were ever put."""
        self._hurried = max(self._hurried, count)

    def due_in(self, now: float) -> float | None:
        """Seconds until `take` should be called: 0 for now, None while there is nothing to take."""
        if not self._queue:
            return None
        taken = self.put_count - self._queued
        full = self._queued >= self._max_batch or len(self) >= self._max_items
        if full or taken < self._hurried:
            return 0.0
        return max(0.0, self._queue[0][0] + self._linger - now)

    def take(self) -> Batch:
        """The oldest batches joined, at least one. They stay pending until `settle`."""
        taken = Batch().extend(self._queue.popleft()[1])
        while self._queue and len(taken) + len(self._queue[0][1]) <= self._max_batch:
            taken.extend(self._queue.popleft()[1])
        self._queued -= len(taken)
        self._bytes_taken += _bytes_of(taken)
        return taken

    def settle(self, items: int) -> None:
        """So many items, all that were taken, are durable or refused."""
        self.settled_count += items
        self._bytes -= self._bytes_taken
        self._bytes_taken = 0


def _bytes_of(batch: Batch) -> int:
    """Of the original messages; what is made of them is small."""
    return sum(len(envelope.raw) for envelope, _ in batch.events) + sum(len(r.reject.raw) for r in batch.rejects)
