"""How a quantity differs from its flat baseline at this hour of the week."""

from array import array
from typing import Any, Final, Self

DAY: Final = 86400.0
_THURSDAY: Final = 3  # the weekday, Monday 0, of the first day of unix time


class HourOfWeek:
    """Offsets by hour of day, for working days and for weekends, that shrink to 0 while data is short.

    A full profile of 168 hours needs many weeks before it says anything. Here an hour leans first on the
    same hour of all days and that on the flat baseline, so that one day already tells night from noon, and
    Saturdays differ as soon as Saturdays did. Hours are UTC. Memory is fixed; updates and look-ups are O(1).

    Args:
        slots: Parts that a day is cut into: 24 for hours.
        half_life: Visits of an hour after which a visit counts half.
        pull: How many visits of an hour the flat baseline counts for; the same hour of all days counts for
            three times as many.

    Example:
        >>> season = HourOfWeek()
        >>> for hour in range(14 * 24):
        ...     season.learn_one(5.0 if hour % 24 == 2 else 0.0, hour * 3600.0)
        >>> round(season.offset(14 * 86400 + 2 * 3600.0), 1), round(season.offset(14 * 86400 + 12 * 3600.0), 1)
        (4.6, 0.0)
    """

    __slots__ = ("_cells", "_half_life", "_pull", "_slots")

    def __init__(self, slots: int = 24, half_life: float = 7.0, pull: float = 2.0) -> None:
        self._slots, self._half_life, self._pull = slots, half_life, pull
        # Single precision: there may be a profile for each channel of each principal.
        self._cells = array("f", bytes(4 * 4 * slots))

    def offset(self, time: float) -> float:
        """Expected difference from the flat baseline at `time` (unix seconds)."""
        here, other = self._places(time)
        cells, pull = self._cells, self._pull
        weight, other_weight = cells[here], cells[other]
        if weight == 0.0 and other_weight == 0.0:
            return 0.0
        own = weight * cells[here + 1]
        daily = (own + other_weight * cells[other + 1]) / (weight + other_weight + pull)
        return (own + 3.0 * pull * daily) / (weight + 3.0 * pull)

    def learn_one(self, difference: float, time: float, visits: float = 1.0) -> None:
        """Learn a difference from the flat baseline, seen for so many `visits` (0..1) of its hour."""
        here, _ = self._places(time)
        cells = self._cells
        weight = cells[here] * 2.0 ** (-visits / self._half_life) + visits
        if weight > 0.0:
            cells[here + 1] += (difference - cells[here + 1]) * visits / weight
            cells[here] = weight

    def _places(self, time: float) -> tuple[int, int]:
        """Where the weight of this hour lies, and that of the same hour of the other kind of day."""
        day, second = divmod(time, DAY)
        place = 2 * int(second * self._slots / DAY)
        half = 2 * self._slots
        return (place + half, place) if (day + _THURSDAY) % 7 >= 5 else (place, place + half)

    def snapshot(self) -> list[Any]:
        """Weight and offset of each slot, working days first."""
        return list(self._cells)

    def restore(self, state: list[Any]) -> Self:
        """Take over a snapshot of as many slots."""
        if len(state) != len(self._cells):
            raise ValueError(f"{len(state)} numbers for {len(self._cells) // 4} slots a day")
        self._cells = array("f", state)
        return self
