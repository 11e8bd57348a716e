"""How a quantity differs from its flat baseline at this hour of the week."""

from array import array
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, Final, Self

DAY: Final = 86400.0
_THURSDAY: Final = 3  # the weekday, Monday 0, of the first day of unix time


class Profiles:
    """Profiles over the parts of a day, for working days and for weekends, all of one stream in one array.

    An array holds a weight and an offset for each part of a working day, of one profile after the other, and behind
    them those of weekends once anything happened on one: many never work then. Single precision, since there may be
    an array for each channel of each principal. The object is shared; what it says is told of an array.

    Args:
        slots: Parts that each profile's day is cut into.
        half_life: Visits of an hour after which a visit counts half.
        pull: How many visits of an hour the flat baseline counts for; the same hour of all days counts for
            three times as many.
    """

    __slots__ = ("_half_life", "_places", "_pull", "_width")

    def __init__(self, slots: Sequence[int], half_life: float = 7.0, pull: float = 2.0) -> None:
        starts = [0, *accumulate(2 * count for count in slots)]
        self._places = tuple(zip(starts, slots, strict=False))
        self._width = starts[-1]
        self._half_life, self._pull = half_life, pull

    def new(self) -> "array[float]":
        """An array of which nothing is known."""
        return array("f", bytes(4 * self._width))

    def offset(self, cells: "array[float]", profile: int, time: float) -> float:
        """Expected difference from the flat baseline at `time` (unix seconds), by the profile of this number."""
        here, other = self._find(profile, time)
        if len(cells) == self._width:
            weekend = here > other
            weight, own = (0.0, 0.0) if weekend else (cells[here], cells[here + 1])
            other_weight, others = (cells[other], cells[other + 1]) if weekend else (0.0, 0.0)
        else:
            weight, own, other_weight, others = cells[here], cells[here + 1], cells[other], cells[other + 1]
        if weight == 0.0 and other_weight == 0.0:
            return 0.0
        pull, own = self._pull, weight * own
        daily = (own + other_weight * others) / (weight + other_weight + pull)
        return (own + 3.0 * pull * daily) / (weight + 3.0 * pull)

    def learn_one(
        self, cells: "array[float]", profile: int, difference: float, time: float, visits: float = 1.0
    ) -> None:
        """Learn a difference from the flat baseline, seen for so many `visits` (0..1) of its hour."""
        if not visits:
            return
        here, _ = self._find(profile, time)
        if here >= len(cells):
            cells.extend(self.new())
        weight = cells[here] * 2.0 ** (-visits / self._half_life) + visits
        if weight > 0.0:
            cells[here + 1] += (difference - cells[here + 1]) * visits / weight
            cells[here] = weight

    def _find(self, profile: int, time: float) -> tuple[int, int]:
        """Where the weight of this hour lies, and that of the same hour of the other kind of day."""
        day, second = divmod(time, DAY)
        start, slots = self._places[profile]
        place = start + 2 * int(second * slots / DAY)
        return (place + self._width, place) if (day + _THURSDAY) % 7 >= 5 else (place, place + self._width)

    def snapshot(self, cells: "array[float]") -> list[list[float]]:
        """Weight and offset of each slot by profile, working days first."""
        both = cells.tolist() if len(cells) > self._width else cells.tolist() + [0.0] * self._width
        weekends = self._width
        return [
            both[start : start + 2 * slots] + both[weekends + start : weekends + start + 2 * slots]
            for start, slots in self._places
        ]

    def restore(self, states: Sequence[Sequence[float]]) -> "array[float]":
        """An array out of a snapshot of profiles like these.

        Raises:
            ValueError: They have other numbers of slots.
        """
        cells: list[float] = []
        weekends: list[float] = []
        for state, (_, slots) in zip(states, self._places, strict=True):
            if len(state) != 4 * slots:
                raise ValueError(f"{len(state)} numbers for {slots} slots a day")
            cells += state[: 2 * slots]
            weekends += state[2 * slots :]
        return array("f", cells + weekends if any(weekends) else cells)


@lru_cache(maxsize=64)
def profiles_of(blocks: tuple[float, ...]) -> Profiles:
    """Profiles for blocks of such lengths in seconds, one each."""
    return Profiles([max(1, round(DAY / length)) for length in blocks])


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

    __slots__ = ("_cells", "_profiles")

    def __init__(self, slots: int = 24, half_life: float = 7.0, pull: float = 2.0) -> None:
        self._profiles = Profiles((slots,), half_life, pull)
        self._cells = self._profiles.new()

    def offset(self, time: float) -> float:
        """Expected difference from the flat baseline at `time` (unix seconds)."""
        return self._profiles.offset(self._cells, 0, time)

    def learn_one(self, difference: float, time: float, visits: float = 1.0) -> None:
        """Learn a difference from the flat baseline, seen for so many `visits` (0..1) of its hour."""
        self._profiles.learn_one(self._cells, 0, difference, time, visits)

    def snapshot(self) -> list[Any]:
        """Weight and offset of each slot, working days first."""
        return self._profiles.snapshot(self._cells)[0]

    def restore(self, state: list[Any]) -> Self:
        """Take over a snapshot of as many slots."""
        self._cells = self._profiles.restore([state])
        return self
