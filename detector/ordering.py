"""One order of what several scoring processes send: that in which one process would have sent it. Pure.

Each process sends in the order of event time over its own partitions, and says by each signal which partitions it did
not have. Here a signal waits until none of those can still bring what belongs before it: their process has said that
it is past that place, or that it has read them to their ends. All that is known comes of the log of signals, time
among it, so that whoever reads the log again gets the same order.
"""

import heapq
from collections.abc import Iterator
from typing import Any, Final, Literal, get_args

import msgspec

from detector import signals
from detector.findings import Finding
from detector.places import ByTopic, Partition, Place, Progress, each
from detector.signals import Sent
from detector.ticks import Tick

Unsure = Literal["silent", "overdue", "full"]
UNSURE: Final[tuple[Unsure, ...]] = get_args(Unsure)

WAIT: Final = 10.0
MOST: Final = 5000

# What is told late already may wait for a part of that longer: a backlog is read in order or not at all.
SHARE_OF_AGE: Final = 0.1
LONGEST: Final = 600.0


class Released(msgspec.Struct, frozen=True):
    """A signal whose turn it is, after so many seconds of the log's time.

    `unsure` says why it did not wait until it was sure that nothing precedes it: the process of a partition was
    silent, the time that it may wait was over, or too many were waiting.
    """

    signal: Finding | Tick
    beside: ByTopic
    waited: float
    unsure: Unsure | None = None


class _Waiting(msgspec.Struct, frozen=True):
    sent: Sent
    offset: int
    at: float

    @property
    def key(self) -> tuple[Place, int]:
        """At one place the log's order counts: it is of one partition, which one process at a time has."""
        return self.sent.place, self.offset


class _Known(msgspec.Struct):
    """What was said of a partition: how far it is, what was seen when it had been read to its end, and when."""

    place: Place | None = None
    ended: int = -1
    heard: float = float("-inf")
    mute: bool = False


class Ordering:
    """Merges the signals of one partition of the findings topic. Times are those of its records, in unix seconds.

    Args:
        wait: Seconds for which a partition whose process is silent is waited for, and for which anything waits at
            all; a tenth of its age when it came, if that is more, and ten minutes at most.
    """

    def __init__(self, wait: float = WAIT) -> None:
        self._wait = wait
        self._now = float("-inf")
        self._known: dict[Partition, _Known] = {}
        # Where a process that had all partitions was last: nobody is before it.
        self._past: Place | None = None
        self._waiting: dict[int, _Waiting] = {}
        self._heap: list[tuple[Place, int]] = []
        self._bounds: list[tuple[float, int]] = []
        self._taken = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def position(self) -> int:
        """The offset from which the log has to be read again: that of the first that waits."""
        return next(iter(self._waiting), self._taken)

    def take(self, offset: int, at: float, signal: Sent | Progress | None) -> list[Released]:
        """Take in the record at `offset`, appended `at`; None for one that has no part in the order.

        Returns:
            What comes out, in order.
        """
        left = self._begin_anew() if offset < self.position else []
        self._taken = offset + 1
        self._now = max(self._now, at)
        if isinstance(signal, Progress):
            self._hear(signal, offset)
        elif signal is not None:
            self._put(_Waiting(signal, offset, self._now))
        return [*left, *self._release()]

    def is_known(self, offset: int) -> bool:
        """Whether the record was taken in before: it is read again because of one that waits."""
        return self.position <= offset < self._taken

    def _begin_anew(self) -> list[Released]:
        """The log is another than that of before, a topic made anew: what waits comes out, and its offsets are void."""
        left = [self._waiting[offset] for _, offset in sorted(self._heap)]
        self._known, self._waiting, self._heap, self._bounds = {}, {}, [], []
        return [Released(one.sent.signal, one.sent.beside, self._now - one.at, "silent") for one in left]

    def _hear(self, progress: Progress, offset: int) -> None:
        for partition in each(progress.partitions):
            known = self._known.setdefault(partition, _Known())
            known.heard, known.mute = self._now, False
            if progress.place is None:
                known.ended = max(known.ended, offset if progress.seen is None else progress.seen)
            elif known.place is None or progress.place > known.place:
                known.place = progress.place

    def _put(self, waiting: _Waiting) -> None:
        place = waiting.sent.place
        if not waiting.sent.beside and (self._past is None or place > self._past):
            self._past = place
        self._waiting[waiting.offset] = waiting
        heapq.heappush(self._heap, waiting.key)
        allowed = max(self._wait, min(SHARE_OF_AGE * (waiting.at - place.time), LONGEST))
        heapq.heappush(self._bounds, (waiting.at + allowed, waiting.offset))

    def _release(self) -> Iterator[Released]:
        while self._heap:
            first = self._waiting[self._heap[0][1]]
            has_turn, unsure = self._turn(first)
            if not has_turn:
                return
            heapq.heappop(self._heap)
            del self._waiting[first.offset]
            yield Released(first.sent.signal, first.sent.beside, self._now - first.at, unsure)
        self._bounds.clear()

    def _turn(self, waiting: _Waiting) -> tuple[bool, Unsure | None]:
        """Whether it is the turn of the first of all; and if that is not sure, why it comes nevertheless."""
        place = waiting.sent.place
        unsure: Unsure | None = None
        if self._past is not None and self._past >= place:
            return True, None
        for partition in each(waiting.sent.beside):
            known = self._known.setdefault(partition, _Known())
            if known.ended >= waiting.offset or (known.place is not None and known.place > place):
                continue
            if self._now >= max(waiting.at, known.heard) + self._wait:
                known.mute = True
            if not known.mute:
                unsure = "full" if len(self._waiting) > MOST else "overdue" if self._overdue() else None
                return unsure is not None, unsure
            unsure = "silent"
        return True, unsure

    def _overdue(self) -> bool:
        """Whether the time of any is over: then all that stand before it have to come out, too."""
        while self._bounds and self._bounds[0][1] not in self._waiting:
            heapq.heappop(self._bounds)
        return bool(self._bounds) and self._bounds[0][0] <= self._now

    def snapshot(self) -> dict[str, Any]:
        """The whole state as plain data, with what waits."""
        return {
            "taken": self._taken,
            "now": None if self._now == float("-inf") else self._now,
            "past": msgspec.to_builtins(self._past),
            "known": [
                [
                    *partition,
                    msgspec.to_builtins(k.place),
                    k.ended,
                    None if k.heard == float("-inf") else k.heard,
                    k.mute,
                ]
                for partition, k in self._known.items()
            ],
            "waiting": [[w.offset, w.at, signals.encode(w.sent)] for w in self._waiting.values()],
        }

    def restore(self, data: dict[str, Any]) -> None:
        """Take over a snapshot.

        Raises:
            ValueError, KeyError, TypeError: It is of another shape.
        """
        self._taken = data["taken"]
        self._now = float("-inf") if data["now"] is None else data["now"]
        self._past = msgspec.convert(data["past"], Place | None)
        for topic, number, place, ended, heard, mute in data["known"]:
            at = float("-inf") if heard is None else heard
            self._known[topic, number] = _Known(msgspec.convert(place, Place | None), ended, at, mute)
        for offset, at, raw in data["waiting"]:
            sent = signals.decode(raw)
            if not isinstance(sent, Sent):
                raise TypeError(f"what waits at offset {offset} has no place")
            self._put(_Waiting(sent, offset, at))
