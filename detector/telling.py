"""What a scoring process tells correlation: what it found and when, with the place of each, and how far it is."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from detector.findings import Finding
from detector.places import Partition, Place, each
from detector.signals import Sent, Signal
from detector.sources.overheard import Overheard
from detector.standing import Standing
from detector.ticks import SECONDS, Tick, Ticker


class Telling:
    """Makes the signals of one scoring process, and overhears those of others that wait for its word.

    Args:
        ticker: Tells correlation of passing time.
        overheard: What other workers send; None where there can be none.
        clock: Monotonic seconds.
    """

    def __init__(
        self, ticker: Ticker, overheard: Overheard | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.ticker = ticker
        self._overheard = overheard
        self._clock = clock
        self._standing = Standing()
        # The last minute that was told before something; told once, it is past for all that comes behind it.
        self._minute = float("-inf")
        # The minute that is past where another's finding was overheard, and the last that was told for that.
        self._passed: float | None = None
        self._told: float | None = None

    def open(self, partition: Partition, heads: Sequence[dict[str, Any]]) -> float:
        """Begin with a partition, or go on from what was saved of it, the last of it last; the event time it is at."""
        for head in heads:
            self.ticker.restore(head["ticker"])
        self._minute = float("-inf")
        return self._standing.open(partition, heads[-1].get("standing") if heads else None).time

    def close(self, partition: Partition) -> None:
        """The partition is another's."""
        self._standing.close(partition)

    def save(self, partition: Partition) -> dict[str, Any]:
        """What `open` takes."""
        return {"ticker": self.ticker.snapshot(), "standing": self._standing.save(partition)}

    def bring(self, partition: Partition, now: float) -> None:
        """It is the turn of a partition's next item, of this event time."""
        self._standing.bring(partition, now)

    def tell(self, partition: Partition, now: float, findings: Sequence[Finding]) -> list[Sent]:
        """What to send of an event that was scored: what was found, and before it the minute that is past, if it is.

        Beside other workers that minute is told before a finding in any case: what they found may have to end
        before it, and nobody but correlation knows of all.
        """
        boundary, reached = self.ticker.cross(now), self._standing.score(partition, now)
        if boundary is None and findings and not self._standing.alone:
            past = reached // SECONDS * SECONDS
            boundary = past if past > self._minute else None
        if boundary is None and not findings:
            return []
        place = self._standing.at(partition)
        ticks = []
        if boundary is not None:
            self._minute = boundary
            ticks.append(self._tick(boundary, place))
        if findings:
            self.ticker.found(now)
        return [*ticks, *(Sent(finding, place, self._standing.beside) for finding in findings)]

    def overhear(self, partitions: set[Partition]) -> None:
        """See who waits for this process.

        Args:
            partitions: Those that there are, whoever has them.
        """
        self._standing.among(partitions)
        if self._overheard is None:
            return
        if not self._standing.alone:
            self._overheard.begin()
        for offset, sent in self._overheard.take():
            self._standing.see(offset)
            if sent is None:
                self._standing.ask()
            elif self._standing.concerns(sent.beside):
                self._standing.ask(sent.place)
                if isinstance(sent.signal, Finding):
                    self._passed = self.ticker.heard(sent.signal.time.timestamp()) or self._passed

    def answer(self, ahead: Iterable[tuple[Partition, float | None]]) -> list[Signal]:
        """What to say to those who wait: the minute that is past for a finding of before it, and how far it is.

        Args:
            ahead: The partitions that may still bring something, with the time of the next item, if it is known.
        """
        said: list[Signal] = []
        if self._passed is not None and self._passed != self._told:
            self._told = self._passed
            said.append(self._tick(self._passed, self._standing.place))
        self._passed = None
        word = self._standing.word(ahead, self._clock())
        return said if word is None else [*said, word]

    def _tick(self, boundary: float, place: Place) -> Sent:
        return Sent(Tick(boundary, tuple(each(self._standing.own))), place, self._standing.beside)
