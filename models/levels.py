"""How strange is the next value of a sampled series: a gauge, a counter's rate, a price."""

import math
from typing import Any, Final, Self

import msgspec

from models.anchor import SlowAnchor
from models.base import log10_surprise
from models.ranks import Ranks
from models.season import DAY, HourOfWeek

HOUR: Final = 3600.0
_FARTHEST: Final = 1e37
_QUIETEST: Final = 0.02  # of the usual step: below that a series counts as standing still


class LevelParams(msgspec.Struct, frozen=True):
    """How a `LevelSeries` looks at a series; all but `pull` in samples.

    Attributes:
        level: Half-life of the level that the season is told from.
        short: Half-life over which distances and steps are averaged: how long strangeness must last to be
            told although no single value is strange.
        window: Distances against which the next one is ranked.
        rest: Half-life of what was last strange: until it has faded only what is stranger is told in full.
        pull: Hours that the flat level counts for, in the season's profile.
    """

    level: float = 2000.0
    short: float = 12.0
    window: int = 4000
    rest: float = 400.0
    pull: float = 0.2


def _bounded(value: float) -> float:
    """A value whose distances fit in single precision."""
    return min(max(value, -_FARTHEST), _FARTHEST)


class _State(msgspec.Struct):
    """Where a series stands: sums and averages that fade with every sample, and the day in progress."""

    level: float = 0.0
    weight: float = 0.0  # samples behind the level
    last: float = 0.0
    stretch: float = 0.0  # average distance of late
    moved: float = 0.0  # average step of late
    steps: float = 0.0  # sum of steps, over `weight` samples
    apart: float = 0.0  # sum of distances, over `weight` samples
    strange: float = 0.0  # the greatest score of late, fading
    drift: float = 0.0  # score of the day before
    time: float = 0.0
    day: float = -1e18
    day_sum: float = 0.0
    day_count: float = 0.0


class LevelSeries:
    """Surprise of a level, two-sided, by five plain distances, each ranked among its own last values.

    - value: how far from what is usual at this hour of the week; spikes, dips, steps, a missing cycle;
    - stretch: the same, averaged over a dozen samples; what is odd for long but never much;
    - step: how far from the sample before; spikes on a level that wanders;
    - stillness: how little it has moved of late; a sensor that hangs;
    - drift: how far the day before stood from where days stood weeks ago (see `SlowAnchor`).

    The scores are -log10 tail probabilities and comparable between series, whatever their unit, sign and
    spread, because each distance is judged by its own past only. The greatest counts. It is halved while
    something as strange was seen lately, so that one long incident is told once, and again when it worsens.

    Args:
        params: Half-lives and windows, shared by all series.

    Example:
        >>> series = LevelSeries()
        >>> for n in range(2000):
        ...     series.learn_one(50.0 + 10.0 * (n // 12 % 24 >= 12) + n % 7, n * 300.0)
        >>> noon = 2016 * 300.0 + 43200.0
        >>> round(series.score_one(63.0, noon), 1), round(series.score_one(20.0, noon), 1)
        (0.5, 6.8)
    """

    __slots__ = ("_anchor", "_ranks", "_season", "_state", "params")

    def __init__(self, params: LevelParams | None = None) -> None:
        self.params = params or LevelParams()
        self._state = _State()
        self._season = HourOfWeek(pull=self.params.pull)
        self._anchor = SlowAnchor()
        self._ranks = [Ranks(self.params.window) for _ in range(4)]

    def score_one(self, value: float, time: float) -> float:
        """Surprise of `value` at `time` (unix seconds), 0 or more; 0 for what is no number."""
        if not (math.isfinite(value) and math.isfinite(time)):
            return 0.0
        score = self._surprise(self._distances(_bounded(value), time))
        return score if score > self._state.strange else score / 2.0

    def learn_one(self, value: float, time: float, *, flagged: bool = False) -> None:
        """Learn a sample; a flagged one leaves every baseline as it is. What is no number is passed over."""
        if not (math.isfinite(value) and math.isfinite(time)):
            return
        state, value = self._state, _bounded(value)
        if state.weight == 0.0:
            state.level = state.last = value
        distances = self._distances(value, time)
        state.strange = max(state.strange * 2.0 ** (-1.0 / self.params.rest), self._surprise(distances))
        if not flagged:
            for ranks, distance in zip(self._ranks, distances, strict=True):
                ranks.learn_one(distance)
            self._close_day(value, time)
            self._follow(value, time, distances)
        state.time = time

    def _surprise(self, distances: tuple[float, ...]) -> float:
        """The strangest distance; yesterday's drift stands all day."""
        score = self._state.drift
        for ranks, distance in zip(self._ranks, distances, strict=True):
            score = max(score, ranks.score_one(distance))
        return score

    def _distances(self, value: float, time: float) -> tuple[float, float, float, float]:
        """How far off are the value, its last stretch, its step, and how still it stands."""
        state = self._state
        if state.weight == 0.0:
            return 0.0, 0.0, 0.0, 0.0
        fresh = 1.0 - 2.0 ** (-1.0 / self.params.short)
        distance = abs(value - state.level - self._season.offset(time))
        step = abs(value - state.last)
        usual = state.steps / state.weight
        moved = state.moved + fresh * 0.5 * (step - state.moved)
        still = usual / (moved + _QUIETEST * usual) if usual > 0.0 else 0.0
        return distance, state.stretch + fresh * (distance - state.stretch), step, still

    def _follow(self, value: float, time: float, distances: tuple[float, ...]) -> None:
        """Move level, season and averages."""
        state = self._state
        distance, state.stretch, step, _ = distances
        fresh, keep = 1.0 - 2.0 ** (-1.0 / self.params.short), 2.0 ** (-1.0 / self.params.level)
        state.moved += fresh * 0.5 * (step - state.moved)
        # A sample stands for the time since the one before, so that the season is the same at any pace.
        self._season.learn_one(value - state.level, time, min(max(time - state.time, 0.0) / HOUR, 1.0))
        state.weight = state.weight * keep + 1.0
        state.level += (value - state.level) / state.weight
        state.steps = state.steps * keep + step
        state.apart = state.apart * keep + distance
        state.last = value

    def _close_day(self, value: float, time: float) -> None:
        """Add to the day's mean; at its end judge it against the anchor and learn it there."""
        state = self._state
        day = time // DAY
        if not state.day - 1.0 <= day <= state.day:  # a late sample belongs to the day in progress
            if state.day_count > 0.0:
                mean, usual = state.day_sum / state.day_count, state.apart / max(state.weight, 1.0)
                above = self._anchor.p_above(mean, usual)
                state.drift = log10_surprise(min(1.0, 2.0 * min(above, 1.0 - above))) if self._anchor.ready else 0.0
                self._anchor.learn_one(mean, usual)
            state.day, state.day_sum, state.day_count = day, 0.0, 0.0
        state.day_sum += value
        state.day_count += 1.0

    def snapshot(self) -> list[Any]:
        """[numbers, season, anchor, ranks of each distance]."""
        ranks = [ranks.snapshot() for ranks in self._ranks]
        return [list(msgspec.structs.astuple(self._state)), self._season.snapshot(), self._anchor.snapshot(), ranks]

    def restore(self, state: list[Any]) -> Self:
        """Take over a snapshot of a series with the same parameters."""
        numbers, season, anchor, ranks = state
        if len(numbers) != len(_State.__struct_fields__) or len(ranks) != len(self._ranks):
            raise ValueError("not the state of a level series")
        self._state = _State(*numbers)
        self._season.restore(season)
        self._anchor.restore(anchor)
        for own, theirs in zip(self._ranks, ranks, strict=True):
            own.restore(theirs)
        return self
