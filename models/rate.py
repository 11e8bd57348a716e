"""How strange is this much, now: one front for streams of transfers and for plain metric series."""

import math
from collections.abc import Sequence
from typing import Any, Final, Self

from models.levels import LevelParams, LevelSeries
from models.sums import DecayedSums, Judgement, Prior, RateParams

__all__ = ["DecayedRate", "Judgement", "LevelParams", "Prior", "RateParams"]

_GAPS: Final = 32.0  # half-life of the habit that tells samples from events
_ALIKE: Final = 1.25  # gaps that differ by no more than this factor are alike: a sampler's clock jitters
_WHOLE: Final = 0.1  # how near a multiple of its neighbour a gap must be where samples are missing
_MULTIPLE_MOST: Final = 12.5


class DecayedRate(DecayedSums):
    """Surprise of an amount in a stream of (time, amount), bigger is stranger.

    With parameters it is `DecayedSums`: amounts are transfers that add up, arrive whenever they do, and are
    strange when too large, too many or too long; a prior from peers judges newcomers. So detectors use it.

    Without parameters it takes a stream as it comes, and no prior is needed. While the times are those of
    a sampler (gaps mostly alike or whole multiples of each other), or any amount is negative, amounts are
    levels: `LevelSeries` looks at both sides, steps, stillness, drift and the week's rhythm. Otherwise they
    are transfers, and looked at as above. Both are -log10 of a tail probability. Give the parameters
    where you know that amounts are transfers: a job that sends every five minutes is a sampler by its times.

    Args:
        params: Half-lives and baseline settings of the sums, shared by all streams; None for any stream.
        levels: How it looks at levels, where no parameters are given.

    Example:
        A series that is sampled every five minutes and stops moving up and down:

        >>> rate = DecayedRate()
        >>> for n in range(2000):
        ...     _ = rate.learn_one(50.0 + 10.0 * (n // 12 % 24 >= 12) + n % 7, n * 300.0)
        >>> noon = 2016 * 300.0 + 43200.0
        >>> round(rate.score_one(63.0, noon), 1), round(rate.score_one(20.0, noon), 1)
        (0.5, 6.8)

        Bytes sent by an agent, with what its peers send (natural log of the peaks: mean, sd, count):

        >>> rate = DecayedRate(RateParams())
        >>> prior = (Prior(9.0, 1.0, 50.0),) * 3
        >>> for hour in range(48):
        ...     _ = rate.learn_one(20_000 + 1_000 * (hour % 5), hour * 3600.0, prior)
        >>> round(rate.score_one(21_000, 48 * 3600.0, prior), 2)
        0.97
        >>> round(rate.score_one(50_000_000, 48 * 3600.0, prior), 2)
        23.2
    """

    __slots__ = ("_gap", "_levels", "_negative", "_regular", "_time")

    def __init__(self, params: RateParams | None = None, levels: LevelParams | None = None) -> None:
        super().__init__(params or RateParams())
        self._levels = LevelSeries(levels) if params is None else None
        self._time = self._gap = 0.0
        self._regular = 1.0
        self._negative = False

    @property
    def sampled(self) -> bool:
        """Whether amounts are taken for levels."""
        return self._levels is not None and (self._negative or self._regular >= 0.5)

    def score_one(self, amount: float, time: float, prior: Sequence[Prior] | None = None) -> float:
        """Surprise of `amount` at `time` (unix seconds): 0 or more, and finite."""
        if self._levels is not None and (self.sampled or amount < 0.0):
            return self._levels.score_one(amount, time)
        return super().score_one(amount, time, prior)

    def learn_one(
        self, amount: float, time: float, prior: Sequence[Prior] | None = None, *, flagged: bool = False
    ) -> Sequence[tuple[int, float]]:
        """Learn an amount; a flagged one counts in the sums but in no baseline. What is no number is passed over."""
        if self._levels is not None:
            if not (math.isfinite(amount) and math.isfinite(time)):
                return ()
            self._levels.learn_one(amount, time, flagged=flagged)
            self._watch_times(amount, time)
        return super().learn_one(amount, time, prior, flagged=flagged)

    def _watch_times(self, amount: float, time: float) -> None:
        """Keep the share of gaps that are like the gap before, or a whole multiple of it, or it of them."""
        gap, self._time = time - self._time, time
        self._negative = self._negative or amount < 0.0
        if gap <= 0.0:
            return
        if self._gap > 0.0:
            ratio = max(gap, self._gap) / min(gap, self._gap)
            regular = ratio <= _ALIKE or (ratio <= _MULTIPLE_MOST and abs(ratio - round(ratio)) <= _WHOLE)
            self._regular += (regular - self._regular) * (1.0 - 2.0 ** (-1.0 / _GAPS))
        self._gap = gap

    def snapshot(self) -> list[Any]:
        """The sums' state; without parameters also that of the levels and of the times."""
        state = super().snapshot()
        if self._levels is None:
            return state
        return [*state, self._levels.snapshot(), [self._time, self._gap, self._regular, self._negative]]

    def restore(self, state: list[Any]) -> Self:
        """Take over a snapshot of a rate made with like parameters."""
        super().restore(state[:4])
        if self._levels is not None:
            _, _, _, _, levels, (self._time, self._gap, self._regular, self._negative) = state
            self._levels.restore(levels)
        return self
