"""Event time as it passes: the ticks by which scoring tells correlation that nothing older is to come."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

SECONDS: Final = 60.0

# A partition whose ticks fall this far behind the others' has gone quiet and no longer holds time back.
LEFT_BEHIND: Final = 600.0


class Tick(msgspec.Struct, frozen=True, tag="tick"):
    """Event time (unix seconds) that the partitions named have passed."""

    time: float
    partitions: tuple[tuple[str, int], ...]


class Ticker:
    """Makes a tick at each full minute of event time, while there is something for it to end.

    Args:
        attention: Seconds after a finding for which ticks are made; the longest time in which an incident
            can end by itself.
    """

    def __init__(self, attention: float) -> None:
        self.attention = attention
        self._last = float("-inf")
        self._until = float("-inf")

    def found(self, time: float) -> None:
        """A finding was made at `time`."""
        self._until = max(self._until, time + self.attention)

    def heard(self, time: float) -> float | None:
        """Another process made a finding at `time`; the last minute told or passed over here, if it is later."""
        self.found(time)
        return self._last if self._last > time else None

    def cross(self, time: float) -> float | None:
        """The full minute that `time` has passed since the last call, if anybody is waiting for it.

        The first one past the end of attention is told too, however long after it: it is what ends things.
        """
        boundary, before = time // SECONDS * SECONDS, self._last
        if boundary <= before:
            return None
        self._last = boundary
        return boundary if before <= self._until and self._until > float("-inf") else None

    def snapshot(self) -> list[Any]:
        """[last boundary, end of attention]; None for never."""
        return [None if abs(t) == float("inf") else t for t in (self._last, self._until)]

    def restore(self, state: list[Any]) -> None:
        """Take over a snapshot, or the later of two."""
        last, until = (float("-inf") if t is None else t for t in state)
        self._last, self._until = max(self._last, last), max(self._until, until)


class Watermarks:
    """The time that all partitions have passed, from the ticks of each."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, int], float] = {}

    def tick(self, time: float, partitions: Iterable[tuple[str, int]]) -> float:
        """Take in a tick; returns the time (unix seconds) that every partition still ticking has passed."""
        for partition in partitions:
            self._times[partition] = max(time, self._times.get(partition, float("-inf")))
        newest = max(self._times.values())
        return min(t for t in self._times.values() if t >= newest - LEFT_BEHIND)

    def snapshot(self) -> list[Any]:
        """[[topic, partition, time], …]."""
        return [[topic, partition, time] for (topic, partition), time in self._times.items()]

    def restore(self, state: list[Any]) -> None:
        """Take over a snapshot."""
        self._times = {(topic, partition): time for topic, partition, time in state}
