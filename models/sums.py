"""How improbable is this much, this fast: decayed sums judged against their own peaks."""

import math
from array import array
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final, Self

import msgspec
from scipy.special import stdtr

from models.anchor import SlowAnchor
from models.base import log10_surprise
from models.season import profiles_of

# Places in the state of one half-life.
_ALL, _CLEAN, _BLOCK, _PEAK, _WEIGHT, _MEAN, _SQUARES = range(7)
_FIELDS: Final = 7

# Below this many scales above the baseline nothing is ever reported, so the tail is not computed.
_NEGLIGIBLE: Final = 1.5

_PULL: Final = 3.0  # the prior's mean counts as much as this many blocks of one's own
_SPREAD_PULL: Final = 4.0  # and its variance as this many
_LARGEST: Final = 1e280
_UNASKED: Final = array("d")
_LOG_MOST: Final = 700.0


class RateParams(msgspec.Struct, frozen=True):
    """How decayed sums look at a stream of transfers.

    Attributes:
        half_lives: Seconds after which an amount counts half, shortest first: one decayed sum each.
        blocks: Seconds over which one peak of each sum is taken; as many as half-lives.
        memory: Active blocks after which a block's weight in the baseline is halved.
        floor_sd: Smallest standard deviation of a log peak (0.35: a factor of 1.4 is never strange).
        clip: Standard deviations at which a peak is cut before it is learnt.
        season: Whether the baseline differs by hour of day and kind of day, as far as that is known.
        anchor: Whether the longest sum is also judged by its peaks of four weeks ago and before.
    """

    half_lives: tuple[float, ...] = (60.0, 1800.0, 43200.0)
    blocks: tuple[float, ...] = (3600.0, 21600.0, 86400.0)
    memory: float = 30.0
    floor_sd: float = 0.35
    clip: float = 3.0
    season: bool = True
    anchor: bool = True


class Prior(msgspec.Struct, frozen=True):
    """What peers' log peaks look like for one half-life: mean, standard deviation, and over how many."""

    mean: float
    sd: float
    count: float


# Where there are no peers and the unit is not known: anything between tens and tens of millions.
IGNORANT: Final = Prior(mean=8.0, sd=3.0, count=2.0)


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


class Usual(msgspec.Struct, frozen=True):
    """What is usual of one decayed sum at some time.

    `half_life` in seconds; `peak` is the median of a block's peak, in the stream's unit, and `factor` how peaks vary.
    `blocks` is how many of its own blocks that stands on, `own` their share (0..1) beside what the prior says.
    """

    half_life: float
    peak: float
    factor: float
    blocks: float
    own: float


class DecayedSums:
    """Tail probability of exponentially decayed sums under a baseline of their own log peaks.

    For each half-life a decayed sum follows the stream. Time is cut into blocks; the peak of the sum in
    each active block is one draw of the baseline, so calls in a loop do not count as evidence of normality
    and the number of tests a day is known. Log peaks are modelled as normal with unknown mean and variance
    and a conjugate prior from the peers, so the tail is Student's: wide while there is little history,
    judged by the peers while there is none. The mean differs by hour of day and between working days and
    weekends as far as these are known: the nightly backup is usual at night only. A burst shows in the
    short sum and a slow leak in the long one, both as soon as the sum passes what is usual, not at the end
    of a window; what grows slowly enough to carry the baseline along shows against the `SlowAnchor`.

    Don't use it for quantities that fall when something breaks: it looks only upwards.

    Args:
        params: Half-lives and baseline settings, shared by all streams.

    Raises:
        ValueError: There are not as many blocks as half-lives, or they do not fit into each other.

    References:
        Murphy (2007), Conjugate Bayesian analysis of the Gaussian distribution, section 3 (normal-inverse-
        gamma posterior predictive).
    """

    __slots__ = ("_anchor", "_last", "_seasons", "_state", "_usual", "_usual_block", "_usual_prior", "params")

    def __init__(self, params: RateParams) -> None:
        if len(params.half_lives) != len(params.blocks):
            raise ValueError("blocks: give one block length for each half-life")
        if any(length % params.blocks[0] for length in params.blocks):
            raise ValueError("blocks: each must be a multiple of the first")
        self.params = params
        self._last = -math.inf
        self._state = array("d", [0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0] * len(params.half_lives))
        # Made when the first block closes: most principals of a large fleet are seen only once.
        self._seasons: array[float] | None = None
        self._anchor: SlowAnchor | None = None
        # What is usual in the block in progress: derived, so no part of the snapshot, and made when first asked for.
        self._usual = _UNASKED
        self._usual_block = math.nan
        self._usual_prior: Sequence[Prior] | None = None

    def stays_below(self, least: float, amount: float, time: float) -> bool:
        """Whether none of the sums with `amount` at `time` can reach `least`: tells cheaply what is too little."""
        # What has faded is no more than what was there.
        return self._state[-_FIELDS] + max(0.0, amount) < least or self.largest(amount, time) < least

    def largest(self, amount: float, time: float) -> float:
        """The largest of the sums with `amount` at `time`, or a little more."""
        before = self._state[len(self._state) - _FIELDS]
        age = time - self._last
        return (before * 2.0 ** (-age / self.params.half_lives[-1]) if age > 0.0 else before) + max(0.0, amount)

    def judge(self, amount: float, time: float, prior: Sequence[Prior] | None = None) -> Judgement:
        """The least probable half-life, its p-value corrected for looking at all of them."""
        half_lives, state = self.params.half_lives, self._state
        usual = self._expect(prior, time)
        age = time - self._last
        amount = min(max(0.0, amount), _LARGEST)
        lowest, worst, tests = 2.0, (0, 0.0, 0.0, 1.0), len(half_lives)
        total = log_total = 0.0
        for i, half_life in enumerate(half_lives):
            before = state[i * _FIELDS]
            if age >= 0.0:
                total = before * 2.0 ** (-age / half_life) + amount
            else:
                total = before + amount * 2.0 ** (age / half_life)
            log_total = math.log1p(total)
            at = 3 * i
            distance = (log_total - usual[at]) / usual[at + 1]
            p = float(stdtr(usual[at + 2], -distance)) if distance > _NEGLIGIBLE else 1.0
            if p < lowest:
                lowest, worst = p, (i, total, usual[at], usual[at + 1])
        if self._anchor is not None and self._anchor.ready:
            tests += 1
            p = self._anchor.p_above(log_total, self.params.floor_sd)
            if p < lowest:
                scale = self._anchor.scale(self.params.floor_sd)
                lowest, worst = p, (len(half_lives) - 1, total, self._anchor.mean, scale)
        i, total, mean, scale = worst
        expected, spread = math.expm1(min(mean, _LOG_MOST)), math.exp(min(scale, _LOG_MOST))
        blocks = state[i * _FIELDS + _WEIGHT]
        return Judgement(half_lives[i], total, expected, spread, blocks, min(1.0, lowest * tests))

    def usual(self, time: float, prior: Sequence[Prior] | None = None) -> list[Usual]:
        """What is usual at `time` (unix seconds), for each half-life; changes nothing."""
        found = []
        for i, half_life in enumerate(self.params.half_lives):
            offset = self._offset(i, time)
            mean, scale, _ = self._predictive(i, IGNORANT if prior is None else prior[i], offset)
            weight = self._state[i * _FIELDS + _WEIGHT]
            peak, factor = math.expm1(min(mean, _LOG_MOST)), math.exp(min(scale, _LOG_MOST))
            found.append(Usual(half_life, peak, factor, weight, weight / (_PULL + weight)))
        return found

    def score_one(self, amount: float, time: float, prior: Sequence[Prior] | None = None) -> float:
        """-log10 of the tail probability of the sums with `amount` at `time` (unix seconds)."""
        return log10_surprise(self.judge(amount, time, prior).p_value) if math.isfinite(time) else 0.0

    def learn_one(
        self, amount: float, time: float, prior: Sequence[Prior] | None = None, *, flagged: bool = False
    ) -> Sequence[tuple[int, float]]:
        """Add `amount`; a flagged one counts in the sums but never in the baseline.

        Returns:
            The peaks of blocks that ended before, as `close_blocks` gives them.
        """
        if not math.isfinite(time):
            return ()
        closed: Sequence[tuple[int, float]] = ()
        if self.ends_block(time):
            closed = self.close_blocks(time, prior)
            for i, length in enumerate(self.params.blocks):
                at = i * _FIELDS + _BLOCK
                self._state[at] = max(self._state[at], time // length)
        state, age, log1p = self._state, time - self._last, math.log1p
        amount = min(max(0.0, amount), _LARGEST)
        clean = 0.0 if flagged else amount
        at = 0
        for half_life in self.params.half_lives:
            if age >= 0.0:
                fade = 2.0 ** (-age / half_life)
                state[at] = state[at] * fade + amount
                state[at + _CLEAN] = kept = state[at + _CLEAN] * fade + clean
            else:  # a late amount has faded already
                fade = 2.0 ** (age / half_life)
                state[at] += amount * fade
                state[at + _CLEAN] = kept = state[at + _CLEAN] + clean * fade
            if not flagged and (level := log1p(kept)) > state[at + _PEAK]:
                state[at + _PEAK] = level
            at += _FIELDS
        if age > 0.0:
            self._last = time
        return closed

    def ends_block(self, time: float) -> bool:
        """Whether `time` lies in a later block than all amounts so far; if not, no peak is to be learnt."""
        return time // self.params.blocks[0] > self._state[_BLOCK]

    def close_blocks(self, time: float, prior: Sequence[Prior] | None = None) -> list[tuple[int, float]]:
        """Learn the peaks of blocks that ended before `time`; returns them as (half-life index, log peak)."""
        closed = []
        state = self._state
        for i, length in enumerate(self.params.blocks):
            at = i * _FIELDS
            peak = state[at + _PEAK]
            if peak > 0.0 and 0.0 <= state[at + _BLOCK] < time // length:
                self._learn_peak(i, peak, IGNORANT if prior is None else prior[i])
                state[at + _PEAK] = 0.0
                closed.append((i, peak))
        return closed

    def _learn_peak(self, i: int, peak: float, prior: Prior) -> None:
        state, at, params = self._state, i * _FIELDS, self.params
        self._usual_block = math.nan
        time = state[at + _BLOCK] * params.blocks[i]
        if params.anchor and i == len(params.blocks) - 1:
            self._anchor = self._anchor or SlowAnchor()
            self._anchor.learn_one(peak, params.floor_sd)
        if params.season and self._seasons is None:
            self._seasons = profiles_of(params.blocks).new()
        offset = self._offset(i, time)
        if state[at + _WEIGHT] >= _SPREAD_PULL:
            mean, scale, _ = self._predictive(i, prior, offset)
            peak = min(max(peak, mean - params.clip * scale), mean + params.clip * scale)
        level = peak - offset
        keep = 2.0 ** (-1.0 / params.memory)
        weight = state[at + _WEIGHT] * keep + 1.0
        step = level - state[at + _MEAN]
        state[at + _MEAN] += step / weight
        state[at + _SQUARES] = state[at + _SQUARES] * keep + step * (level - state[at + _MEAN])
        state[at + _WEIGHT] = weight
        if self._seasons is not None:
            profiles_of(params.blocks).learn_one(self._seasons, i, peak - state[at + _MEAN], time)

    def _offset(self, i: int, time: float) -> float:
        """How far the block's hour of the week lies from the baseline."""
        return 0.0 if self._seasons is None else profiles_of(self.params.blocks).offset(self._seasons, i, time)

    def _expect(self, prior: Sequence[Prior] | None, time: float) -> "array[float]":
        """The predictive of each half-life, one after the other; it changes with the block and with the prior only."""
        block = time // self.params.blocks[0]
        if block != self._usual_block or prior is not self._usual_prior:
            each = [
                self._predictive(i, IGNORANT if prior is None else prior[i], self._offset(i, time))
                for i in range(len(self.params.half_lives))
            ]
            self._usual = array("d", chain.from_iterable(each))
            self._usual_block, self._usual_prior = block, prior
        return self._usual

    def _predictive(self, i: int, prior: Prior, offset: float) -> tuple[float, float, float]:
        """Location, scale and degrees of freedom of a log peak in a block whose season is so far from the baseline."""
        state, at, floor = self._state, i * _FIELDS, self.params.floor_sd
        weight, own, theirs, sd = state[at + _WEIGHT], state[at + _MEAN], prior.mean, prior.sd
        total = _PULL + weight
        mean = (_PULL * theirs + weight * own) / total
        squares = _SPREAD_PULL * sd * sd + state[at + _SQUARES]
        if weight:
            apart = own - theirs
            squares += _PULL * weight / total * apart * apart / (1.0 + weight)
        variance = max(squares / (_SPREAD_PULL + weight), floor * floor)
        freedom = min(max(prior.count / 4.0, 3.0), 16.0) + weight
        return mean + offset, math.sqrt(variance * (1.0 + 1.0 / total)), freedom

    def snapshot(self) -> list[Any]:
        """[time of the last amount or None, numbers of all half-lives, seasons, anchor or None]."""
        last = None if math.isinf(self._last) else self._last
        seasons = [] if self._seasons is None else profiles_of(self.params.blocks).snapshot(self._seasons)
        return [last, list(self._state), seasons, self._anchor.snapshot() if self._anchor else None]

    def restore(self, state: list[Any]) -> Self:
        """Take over a snapshot of sums with as many half-lives."""
        if len(state) != 4:
            raise ValueError(f"{len(state)} parts: not the state of sums over {len(self.params.half_lives)} half-lives")
        last, numbers, seasons, anchor = state
        if len(numbers) != len(self._state) or len(seasons) not in {0, len(self.params.blocks)}:
            raise ValueError(f"{len(numbers)} numbers for {len(self.params.half_lives)} half-lives")
        self._last = -math.inf if last is None else last
        self._state = array("d", numbers)
        self._seasons = profiles_of(self.params.blocks).restore(seasons) if seasons else None
        self._anchor = SlowAnchor().restore(anchor) if anchor is not None else None
        self._usual_block = math.nan
        return self
