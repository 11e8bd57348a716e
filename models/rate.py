"""How improbable is this much, this fast: decayed sums judged against their own peaks."""

import math
from array import array
from collections.abc import Sequence
from typing import Any, Final, Self

import msgspec
from scipy.special import stdtr

from models.base import log10_surprise

# Places in the state of one half-life.
_ALL, _CLEAN, _BLOCK, _PEAK, _WEIGHT, _MEAN, _SQUARES = range(7)
_FIELDS: Final = 7

# Below this many scales above the baseline nothing is ever reported, so the tail is not computed.
_NEGLIGIBLE: Final = 1.5


class RateParams(msgspec.Struct, frozen=True):
    """How a `DecayedRate` looks at a stream.

    Attributes:
        half_lives: Seconds after which an amount counts half, shortest first: one decayed sum each.
        blocks: Seconds over which one peak of each sum is taken; as many as half-lives.
        memory: Active blocks after which a block's weight in the baseline is halved.
        floor_sd: Smallest standard deviation of a log peak (0.35: a factor of 1.4 is never strange).
        clip: Standard deviations at which a peak is cut before it is learnt.
    """

    half_lives: tuple[float, ...] = (60.0, 1800.0, 43200.0)
    blocks: tuple[float, ...] = (3600.0, 21600.0, 86400.0)
    memory: float = 30.0
    floor_sd: float = 0.35
    clip: float = 3.0


class Prior(msgspec.Struct, frozen=True):
    """What peers' log peaks look like for one half-life: mean, standard deviation, and over how many."""

    mean: float
    sd: float
    count: float


class Judgement(msgspec.Struct, frozen=True):
    """The numbers behind a score.

    `half_life` in seconds; `total` is the decayed sum with the new amount, `expected` its usual peak (the
    baseline's median), both in the stream's unit; `spread` the usual factor between peaks; `blocks` how
    many of the stream's own blocks the baseline stands on; `p_value` for all half-lives together.
    """

    half_life: float
    total: float
    expected: float
    spread: float
    blocks: float
    p_value: float


class DecayedRate:
    """Tail probability of exponentially decayed sums under a baseline of their own log peaks.

    For each half-life a decayed sum follows the stream. Time is cut into blocks; the peak of the sum in
    each active block is one draw of the baseline, so calls in a loop do not count as evidence of normality
    and the number of tests a day is known. Log peaks are modelled as normal with unknown mean and variance
    and a conjugate prior from the peers, so the tail is Student's: wide while there is little history,
    judged by the peers while there is none. A burst shows in the short sum and a slow leak in the long one,
    both as soon as the sum passes what is usual, not at the end of a window.

    Don't use it for quantities that fall when something breaks: it looks only upwards.

    Args:
        params: Half-lives and baseline settings, shared by all streams.

    Example:
        >>> rate = DecayedRate(RateParams())
        >>> prior = (Prior(9.0, 1.0, 50.0),) * 3
        >>> for hour in range(48):
        ...     rate.learn_one(20_000 + 1_000 * (hour % 5), hour * 3600.0, prior)
        >>> round(rate.score_one(21_000, 48 * 3600.0, prior), 2)
        0.97
        >>> round(rate.score_one(50_000_000, 48 * 3600.0, prior), 2)
        23.27

    References:
        Murphy (2007), Conjugate Bayesian analysis of the Gaussian distribution, section 3 (normal-inverse-
        gamma posterior predictive).
    """

    __slots__ = ("_last", "_state", "params")

    def __init__(self, params: RateParams) -> None:
        if len(params.half_lives) != len(params.blocks):
            raise ValueError("blocks: give one block length for each half-life")
        self.params = params
        self._last = -math.inf
        self._state = array("d", [0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0] * len(params.half_lives))

    def score_one(self, amount: float, time: float, prior: Sequence[Prior]) -> float:
        """-log10 of the tail probability of the sums with `amount` at `time` (unix seconds)."""
        return log10_surprise(self.judge(amount, time, prior).p_value)

    def judge(self, amount: float, time: float, prior: Sequence[Prior]) -> Judgement:
        """The least probable half-life, its p-value corrected for looking at all of them."""
        lowest, worst = 2.0, (0, 0.0, 0.0, 1.0)
        for i in range(len(self.params.half_lives)):
            total = self._decayed(i, _ALL, amount, time)
            mean, scale, freedom = self._predictive(i, prior[i])
            distance = (math.log1p(total) - mean) / scale
            p = float(stdtr(freedom, -distance)) if distance > _NEGLIGIBLE else 1.0
            if p < lowest:
                lowest, worst = p, (i, total, mean, scale)
        i, total, mean, scale = worst
        return Judgement(
            half_life=self.params.half_lives[i],
            total=total,
            expected=math.expm1(mean),
            spread=math.exp(scale),
            blocks=self._state[i * _FIELDS + _WEIGHT],
            p_value=min(1.0, lowest * len(self.params.half_lives)),
        )

    def learn_one(self, amount: float, time: float, prior: Sequence[Prior], *, flagged: bool = False) -> None:
        """Add `amount`; a flagged one counts in the sums but never in the baseline."""
        self.close_blocks(time, prior)
        state = self._state
        for i in range(len(self.params.half_lives)):
            at = i * _FIELDS
            state[at + _ALL] = self._decayed(i, _ALL, amount, time)
            state[at + _CLEAN] = self._decayed(i, _CLEAN, 0.0 if flagged else amount, time)
            state[at + _BLOCK] = max(state[at + _BLOCK], time // self.params.blocks[i])
            if not flagged:
                state[at + _PEAK] = max(state[at + _PEAK], math.log1p(state[at + _CLEAN]))
        self._last = max(self._last, time)

    def close_blocks(self, time: float, prior: Sequence[Prior]) -> list[tuple[int, float]]:
        """Learn the peaks of blocks that ended before `time`; returns them as (half-life index, log peak)."""
        closed = []
        for i, length in enumerate(self.params.blocks):
            at = i * _FIELDS
            if 0 <= self._state[at + _BLOCK] < time // length and self._state[at + _PEAK] > 0.0:
                peak = self._state[at + _PEAK]
                self._learn_peak(i, peak, prior[i])
                self._state[at + _PEAK] = 0.0
                closed.append((i, peak))
        return closed

    def _learn_peak(self, i: int, peak: float, prior: Prior) -> None:
        state, at, params = self._state, i * _FIELDS, self.params
        mean, scale, _ = self._predictive(i, prior)
        if state[at + _WEIGHT] >= 4.0:
            peak = min(max(peak, mean - params.clip * scale), mean + params.clip * scale)
        keep = 2.0 ** (-1.0 / params.memory)
        weight = state[at + _WEIGHT] * keep + 1.0
        step = peak - state[at + _MEAN]
        state[at + _MEAN] += step / weight
        state[at + _SQUARES] = state[at + _SQUARES] * keep + step * (peak - state[at + _MEAN])
        state[at + _WEIGHT] = weight

    def _predictive(self, i: int, prior: Prior) -> tuple[float, float, float]:
        """Location, scale and degrees of freedom of the next log peak."""
        at = i * _FIELDS
        weight, own = self._state[at + _WEIGHT], self._state[at + _MEAN]
        pull = 3.0  # the peers' mean counts as much as this many blocks of one's own
        mean = (pull * prior.mean + weight * own) / (pull + weight)
        shift = pull * weight / (pull + weight) * (own - prior.mean) ** 2 if weight else 0.0
        variance = (4.0 * prior.sd**2 + self._state[at + _SQUARES] + shift / (1.0 + weight)) / (4.0 + weight)
        scale = math.sqrt(max(variance, self.params.floor_sd**2) * (1.0 + 1.0 / (pull + weight)))
        return mean, scale, min(max(prior.count / 4.0, 3.0), 16.0) + weight

    def _decayed(self, i: int, place: int, amount: float, time: float) -> float:
        """A decayed sum with `amount` of `time` added; a late amount has decayed already."""
        before = self._state[i * _FIELDS + place]
        age, half_life = time - self._last, self.params.half_lives[i]
        if age >= 0.0:
            return float(before * 2.0 ** (-age / half_life)) + amount
        return float(before + amount * 2.0 ** (age / half_life))

    def snapshot(self) -> list[Any]:
        """[time of the last amount or None, numbers of all half-lives]."""
        return [None if math.isinf(self._last) else self._last, list(self._state)]

    def restore(self, state: list[Any]) -> Self:
        """Take over a snapshot of a rate with as many half-lives."""
        last, numbers = state
        if len(numbers) != len(self._state):
            raise ValueError(f"{len(numbers)} numbers for {len(self.params.half_lives)} half-lives")
        self._last = -math.inf if last is None else last
        self._state = array("d", numbers)
        return self
