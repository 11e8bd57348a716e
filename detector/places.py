"""The one order of event time over all partitions: where a signal stands in it, and how far a process has come."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

Partition = tuple[str, int]
ByTopic = Mapping[str, tuple[int, ...]]
"""Partitions: their numbers, by topic."""


class Place(msgspec.Struct, frozen=True, order=True):
    """A place in the order by which one process would merge all partitions.

    `time` is the latest event time (unix seconds) that the partition had brought up to there; of an event from the
    future it is that of its arrival. So what is late in event time stands where it came, behind what came before it.
    """

    time: float
    topic: str
    partition: int


EVERYWHERE: Final = Place(float("inf"), "", 0)
"""Behind every place that there is."""


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """How far a process has come: what `partitions` still bring stands at `place` or behind it.

    Without a place they have been read to their ends, and were when its sender had seen the log of signals up to the
    offset `seen`; None if that is up to this word. Without partitions it says only that time has passed.
    """

    partitions: ByTopic = {}
    place: Place | None = None
    seen: int | None = None


def by_topic(partitions: Iterable[Partition]) -> ByTopic:
    """Partitions by topic, all in order.

    >>> by_topic([("events", 1), ("more", 0), ("events", 0)])
    {'events': (0, 1), 'more': (0,)}
    """
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    for topic, number in sorted(partitions):
        numbers[topic].append(number)
    return {topic: tuple(found) for topic, found in numbers.items()}


def each(partitions: ByTopic) -> Iterator[Partition]:
    """The partitions that are listed by topic, one by one."""
    return ((topic, number) for topic, numbers in partitions.items() for number in numbers)
