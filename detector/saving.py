"""A checkpoint in the making: taken at one moment, encoded bit by bit between events, written by a thread.

It becomes valid only once all that was made before its moment is durable; the thread waits for that, not the stream.
"""

import gc
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, wait
from typing import Any, Final, Protocol

import msgspec

from detector.checkpoints import CheckpointError, CheckpointStore, Piece
from detector.sources.alignment import Partition

# Rows that are encoded and compressed at once: about 20 ms.
ROWS: Final = 256


class Rows(Protocol):
    """What is too much to be saved at one moment: it stays as it was at that moment until it was taken."""

    def take(self, most: int) -> list[bytes]:
        """The next rows, `most` at most; none when all were taken."""


class Captured(msgspec.Struct, frozen=True):
    """A partition's state as of one moment: plain data of it, and rows still to be taken, if there are any."""

    head: dict[str, Any]
    rows: Rows | None = None


class NotDurable(CheckpointError):  # noqa: N818 - a state of the sinks, not a mistake
    """A sink did not take in time what was made before the checkpoint's moment."""


class Saving:
    """Saves the partitions of one stage together.

    Args:
        store: Where to.
        marks: What each partition's state stands for; the first of it is the offset, the next one to read.
        captured: The states.
        whole: Which of them are whole states, and not changes of the one before.
        generation: Of the consumer group.
        durable: Waits until what the states stand for is durable; whether it is.
        background: Runs the waiting and the writing; none: they are done at once, in `go_on`.
    """

    def __init__(
        self,
        store: CheckpointStore,
        marks: Mapping[Partition, tuple[int, float]],
        captured: Mapping[Partition, Captured],
        *,
        whole: set[Partition],
        generation: int,
        durable: Callable[[], bool],
        background: Executor | None,
    ) -> None:
        self.marks = dict(marks)
        self.began_at = time.perf_counter()
        self._store, self._generation, self._background = store, generation, background
        self._durable = durable
        self._waits = True
        self._pieces = {p: Piece(taken.head, whole=p in whole) for p, taken in captured.items()}
        self._rows = {p: taken.rows for p, taken in captured.items() if taken.rows is not None}
        self._written: Future[int] | None = None

    @property
    def encoding(self) -> bool:
        """Whether there is something to do in this thread."""
        return bool(self._rows)

    @property
    def waits(self) -> bool:
        """Whether all is encoded and nothing is written yet, for want of what must be durable before."""
        return self._waits and not self._rows

    def forget(self, partition: Partition) -> None:
        """Don't save a partition, unless it is being written already."""
        if self._waits:
            self.marks.pop(partition, None)
            self._pieces.pop(partition, None)
            self._rows.pop(partition, None)

    def go_on(self, seconds: float) -> bool:
        """Encode for so many seconds, then let it be written; whether it is."""
        if self._rows:
            self._encode(time.perf_counter() + seconds)
        if not self._rows and self._written is None:
            self._written = self._write()
        return self.done

    def _encode(self, until: float) -> None:
        # What is made here dies at once, without cycles. Looking for some would mean going through all principals.
        collecting = gc.isenabled()
        gc.disable()
        try:
            while self._rows and time.perf_counter() < until:
                partition, rows = next(iter(self._rows.items()))
                taken = rows.take(ROWS)
                if taken:
                    self._pieces[partition].add(taken)
                else:
                    del self._rows[partition]
        finally:
            if collecting:
                gc.enable()

    def _write(self) -> Future[int]:
        drafts = {p: (self.marks[p][0], piece) for p, piece in self._pieces.items()}
        if self._background is not None:
            return self._background.submit(self._save, drafts)
        written: Future[int] = Future()
        _fulfil(written, lambda: self._save(drafts))
        return written

    def _save(self, drafts: Mapping[Partition, tuple[int, Piece]]) -> int:
        if not self._durable():
            self._store.start_over(drafts)
            raise NotDurable("a sink is not durable yet")
        self._waits = False
        return self._store.save({p: draft for p, draft in drafts.items() if p in self.marks}, self._generation)

    @property
    def done(self) -> bool:
        """Whether it is written, or has failed."""
        return self._written is not None and self._written.done()

    def wait(self, seconds: float) -> bool:
        """Encode what is left, then wait so many seconds for it to be written; whether it is.

        What takes longer goes on in the background: it is saved before anything else is, or never.
        """
        self.go_on(float("inf"))
        assert self._written is not None  # noqa: S101 - all is encoded
        return bool(wait([self._written], seconds).done)

    def result(self) -> int:
        """The bytes that were written, when it is `done`.

        Raises:
            NotDurable: It was not to be written yet.
            CheckpointError: It could not be written.
        """
        assert self._written is not None  # noqa: S101 - it is done
        return self._written.result(0.0)


def _fulfil(future: Future[int], work: Callable[[], int]) -> None:
    try:
        future.set_result(work())
    except Exception as error:  # noqa: BLE001 - raised again by `result`
        future.set_exception(error)
