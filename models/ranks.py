"""How rare is a magnitude among the last few thousand of its own kind."""

import math
from array import array
from bisect import bisect_left
from typing import Any, Final, Self

_LEAST: Final = 20  # magnitudes before anything is called rare
_SHARE: Final = 0.01  # of the largest, that the tail is drawn from, and at least so many:
_PEAKS_LEAST: Final = 10
_TAIL_INDEX: Final = 0.15  # assumed before any peak is seen, as if of so many peaks:
_TAIL_WEIGHT: Final = 5.0
_NOTHING: Final = -100.0  # the logarithm of what is too small to be told from 0


class Ranks:
    """-log10 of the tail probability of a magnitude: its rank, and past the largest ones a Pareto tail.

    The tail's index is Hill's mean log excess of the largest 1 %, drawn to a light tail while they are few,
    so that a stream that is always spiky needs a far greater spike than a calm one. It is exact over a
    sliding window, unlike `models.tail.Tail`, which merges and keeps no order; it costs the window's memory.

    Args:
        capacity: Magnitudes in the window.

    Example:
        >>> ranks = Ranks()
        >>> for n in range(1, 1001):
        ...     ranks.learn_one(n % 100)
        >>> round(ranks.score_one(50), 2), round(ranks.score_one(99), 2), round(ranks.score_one(300), 2)
        (0.3, 2.04, 10.52)

    References:
        Hill (1975), A simple general approach to inference about the tail of a distribution.
        Vovk, Gammerman, Shafer (2005), Algorithmic learning in a random world: p-values from ranks.
    """

    __slots__ = ("_capacity", "_next", "_ring", "_sorted")

    def __init__(self, capacity: int = 4000) -> None:
        self._capacity = capacity
        self._ring = array("d")
        self._sorted = array("d")
        self._next = 0

    def score_one(self, magnitude: float) -> float:
        """-log10 of the probability of one as large; 0 for a magnitude of 0 and while there are too few."""
        ordered = self._sorted
        count = len(ordered)
        if count < _LEAST or magnitude <= 0.0:
            return 0.0
        level = math.log(magnitude)
        peaks = max(_PEAKS_LEAST, int(count * _SHARE))
        start = ordered[count - peaks - 1]
        if level <= start or start <= _NOTHING:
            above = count - bisect_left(ordered, level)
            # Where nearly all were 0 there is no tail to draw: the largest yet is ten times rarer than its rank.
            return math.log10((count + 1) / (above + 1)) + (above == 0 and start <= _NOTHING)
        excess = sum(ordered[count - peaks :]) - peaks * start
        index = (excess + _TAIL_WEIGHT * _TAIL_INDEX) / (peaks + _TAIL_WEIGHT)
        return math.log10((count + 1) / (peaks + 1)) + (level - start) / (index * math.log(10.0))

    def learn_one(self, magnitude: float) -> None:
        """Take a magnitude into the window; the oldest leaves it."""
        level = max(math.log(magnitude), _NOTHING) if magnitude > 0.0 else _NOTHING
        ordered = self._sorted
        if len(self._ring) < self._capacity:
            self._ring.append(level)
        else:
            del ordered[bisect_left(ordered, self._ring[self._next])]
            self._ring[self._next] = level
        self._next = (self._next + 1) % self._capacity
        ordered.insert(bisect_left(ordered, level), level)

    def snapshot(self) -> list[Any]:
        """[place of the next, log magnitudes]."""
        return [self._next, list(self._ring)]

    def restore(self, state: list[Any]) -> Self:
        """Take over a snapshot of a window of the same capacity."""
        following, levels = state
        if len(levels) > self._capacity:
            raise ValueError(f"{len(levels)} magnitudes for a window of {self._capacity}")
        self._next, self._ring = following, array("d", levels)
        self._sorted = array("d", sorted(self._ring))
        return self
