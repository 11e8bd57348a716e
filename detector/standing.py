"""How far a scoring process is in the one order of event time, and when it says so. Pure: time is given."""

from collections.abc import Iterable
from typing import Any, Final

from detector.places import EVERYWHERE, ByTopic, Partition, Place, Progress, by_topic

# Seconds between two words: at least, while others wait and it gets on, and while others wait and it does not.
SOON: Final = 0.1
MOVING: Final = 0.25
STILL: Final = 2.0

START: Final = 0.0


class Standing:
    """The places of the partitions that a process has, and who else waits for it.

    It says nothing by itself. Who sends a signal asks those who have the other partitions; they answer once they
    are past its place or have read all, and until then tell that they are alive. Who gets partitions is asked at
    once: nobody knows whom its predecessor left waiting.
    """

    def __init__(self) -> None:
        self._furthest: dict[Partition, tuple[float, float]] = {}
        """By partition: event time that it brought, and that was scored."""
        self._all: set[Partition] = set()
        self.beside: ByTopic = {}
        """The partitions that the process does not have, by topic."""
        self.own: ByTopic = {}
        # The furthest place that somebody waits at; the last place that was told.
        self._asked: Place | None = None
        self._seen: int | None = None
        self._said: Place | None = None
        self._said_at = float("-inf")

    @property
    def alone(self) -> bool:
        """Whether the process has all partitions."""
        return not self.beside

    @property
    def is_quiet(self) -> bool:
        """Whether nobody waits for it."""
        return self._asked is None

    @property
    def place(self) -> Place:
        """The furthest that the process has come."""
        return max(map(self.at, self._furthest))

    def open(self, partition: Partition, saved: list[Any] | None = None) -> Place:
        """Begin, or go on from what was saved of the partition; where it is."""
        brought, scored = saved or (START, START)
        self._furthest[partition] = brought, scored
        self._asked = EVERYWHERE
        self._look()
        return self.at(partition)

    def close(self, partition: Partition) -> None:
        """The partition is another's."""
        self._furthest.pop(partition, None)
        self._look()

    def save(self, partition: Partition) -> list[float]:
        """What `open` takes."""
        return list(self._furthest[partition])

    def among(self, partitions: set[Partition]) -> None:
        """Those that there are, as far as it is known: they never get fewer."""
        if not partitions <= self._all:
            self._all |= partitions
            self._look()

    def _look(self) -> None:
        self.own = by_topic(self._furthest)
        self.beside = by_topic(self._all - self._furthest.keys())

    def at(self, partition: Partition) -> Place:
        """Where the partition is."""
        return Place(self._furthest[partition][0], *partition)

    def bring(self, partition: Partition, time: float) -> None:
        """It is the turn of a partition's next item, of this event time."""
        brought, scored = self._furthest[partition]
        if time > brought:
            self._furthest[partition] = time, scored

    def score(self, partition: Partition, time: float) -> float:
        """An event of this time was scored: the latest time scored of the partition."""
        brought, scored = self._furthest[partition]
        if time > scored:
            self._furthest[partition] = brought, time
        return max(time, scored)

    def see(self, offset: int) -> None:
        """The log of signals was overheard up to an offset."""
        self._seen = offset

    def ask(self, place: Place = EVERYWHERE) -> None:
        """Somebody waits for what may come before `place`; at `EVERYWHERE`, for all."""
        if self._asked is None or place > self._asked:
            self._asked = place

    def concerns(self, beside: ByTopic) -> bool:
        """Whether the process has one of these partitions."""
        return any(not set(numbers).isdisjoint(self.own.get(topic, ())) for topic, numbers in beside.items())

    def word(self, ahead: Iterable[tuple[Partition, float | None]], now: float) -> Progress | None:
        """What to say of its progress, if it is time to.

        Args:
            ahead: The partitions that may still bring something, with the time of the next item, if it is known.
            now: Seconds, of any clock that only goes forward.
        """
        if self._asked is None or not self._furthest or now - self._said_at < SOON:
            return None
        nexts = [self.at(p) if time is None else Place(time, *p) for p, time in ahead]
        place = min(nexts, default=None)
        answered = place is None or place > self._asked
        if not answered and (self.alone or now - self._said_at < (STILL if place == self._said else MOVING)):
            return None
        self._said, self._said_at = place, now
        if answered:
            self._asked = None
        return Progress(self.own, place, self._seen if place is None else None)
