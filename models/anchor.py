"""A baseline as it was some weeks ago, so that slow growth can't carry it along."""

import math
from array import array
from typing import Any, Final, Self

from scipy.special import stdtr

_DELAY: Final = 28  # blocks that a value waits before it is learnt
_MEMORY: Final = 90.0  # blocks after which one counts half
_LEAST: Final = 14.0  # blocks before it says anything
_CLIP: Final = 3.0  # scales at which a value is cut before it is learnt
_FREEDOM_MOST: Final = 30.0
_NOTHING: Final = array("d", (0.0, 0.0, 0.0))  # it is replaced, never changed: one for all


class SlowAnchor:
    """Student-t baseline of one value a block, learnt four weeks late.

    A baseline that forgets follows whoever moves it slowly enough: the boiled frog. This one still stands
    where the values stood four weeks ago, and forgets over a quarter. Against it, growth that began since
    then is told. Growth that has always been there is in its variance as well as in its lag, so a business
    that grows steadily is not strange; nor is one that stepped up, once the four weeks are over.

    Don't use it for what is weeks old only: it says nothing until 42 blocks have passed.

    Example:
        >>> anchor = SlowAnchor()
        >>> for day in range(60):
        ...     anchor.learn_one(10.0 + 0.3 * (day % 3), 0.3)
        >>> for day in range(28):
        ...     anchor.learn_one(10.3 + 0.05 * day, 0.3)
        >>> round(anchor.p_above(10.6, 0.3), 2), anchor.p_above(11.7, 0.3) < 1e-3
        (0.17, True)
    """

    __slots__ = ("_moments", "_waiting")

    def __init__(self) -> None:
        self._waiting = array("f")
        self._moments = _NOTHING  # weight, mean, sum of squares

    @property
    def ready(self) -> bool:
        """Whether enough old blocks are known for it to say anything."""
        return self._moments[0] >= _LEAST

    @property
    def mean(self) -> float:
        """Where the values stood."""
        return self._moments[1]

    def scale(self, floor: float) -> float:
        """Usual distance of the next value, at least `floor`."""
        weight, _, squares = self._moments
        return math.sqrt(max(squares / weight, floor * floor) * (1.0 + 1.0 / weight)) if weight else math.inf

    def p_above(self, value: float, floor: float) -> float:
        """Tail probability of a value as high as this; 1 while it is not ready."""
        if not self.ready:
            return 1.0
        return float(stdtr(min(self._moments[0], _FREEDOM_MOST), (self.mean - value) / max(self.scale(floor), 1e-300)))

    def learn_one(self, value: float, floor: float) -> None:
        """Queue the value of a block; the one queued four weeks ago is learnt."""
        self._waiting.append(value)
        if len(self._waiting) <= _DELAY:
            return
        value = self._waiting.pop(0)
        weight, mean, squares = self._moments
        if self.ready:
            reach = _CLIP * self.scale(floor)
            value = min(max(value, mean - reach), mean + reach)
        keep = 2.0 ** (-1.0 / _MEMORY)
        weight = weight * keep + 1.0
        step = value - mean
        mean += step / weight
        self._moments = array("d", (weight, mean, squares * keep + step * (value - mean)))

    def snapshot(self) -> list[Any]:
        """[weight, mean, squares, the waiting values, oldest first]."""
        return [*self._moments, list(self._waiting)]

    def restore(self, state: list[Any]) -> Self:
        """Take over a snapshot."""
        if len(state) != 4 or len(state[3]) > _DELAY:
            raise ValueError("not the state of a slow anchor")
        *moments, waiting = state
        self._moments = array("d", moments) if any(moments) else _NOTHING
        self._waiting = array("f", waiting)
        return self
