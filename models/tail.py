"""How often is a score at least this strange: raw scores in, tail probabilities out."""

import math
from bisect import bisect_left
from itertools import accumulate
from typing import Any, Final, Self

import msgspec

from models.base import log10_surprise
from models.pareto import ExcessTail

# Magnitudes are told apart between these; smaller ones count as 0, larger ones as the largest.
_TINY: Final = 2.0**-32
_HUGE: Final = 2.0**64
_OFFSET: Final = 31  # makes the first magnitude's place on the grid 1
_FINEST: Final = 12  # bins in an octave at first, as a power of two

_FADES: Final = 32  # in one half-life
_FORGOTTEN: Final = 0.01  # part of a draw at which a faded bin is dropped

_RANKED: Final = 50.0  # ranks are believed as far out as so many draws are left
_LEAST_PEAKS: Final = 30.0
_LEAST_BINS: Final = 10  # that hold the peaks
_LEAST_P: Final = 1e-300


class TailParams(msgspec.Struct, frozen=True):
    """How a `Tail` counts.

    Attributes:
        capacity: Bins kept, at least 256; past it the whole grid is made coarser by two.
        half_life: Draws after which a draw counts half, at least 1,000; infinite for never. Where several
            partitions are merged, use `Tail.fade` at common times instead: each would fade at its own pace.
        doubted: Share of the strangest draws, 0..0.05, whose size is not believed: they count as no more than
            stranger than the rest, and the far tail is drawn from the rest. Attacks that were learnt can
            then not raise the threshold by more than their number does; but what is honestly strange as
            rarely as this may be flagged more often than `alpha`.
    """

    capacity: int = 512
    half_life: float = math.inf
    doubted: float = 0.0


class FittedTail:
    """The tail at one moment, read-only; made by `Tail.fit`.

    Attributes:
        draws: Draws it stands on.
        anchor: The score past which the fitted tail is used; infinite while there are too few peaks.
    """

    __slots__ = ("_above", "_at_anchor", "_excess", "_from", "_keys", "_resolution", "anchor", "draws")

    def __init__(self, counts: dict[int, float], resolution: int, top: float, doubted: float) -> None:
        self._keys = sorted(counts)
        self._resolution = resolution
        left = [*accumulate(counts[key] for key in reversed(self._keys))][::-1]
        self.draws = left[0] if left else 0.0
        # The score that is judged counts as a draw too: so a rank is a valid p-value, and never 0.
        self._above = [(count + 1.0) / (self.draws + 1.0) for count in [*left, 0.0]]
        self.anchor = math.inf
        first = self._first_peak(left, doubted)
        if first < len(left) and left[first] >= _LEAST_PEAKS:
            self._fit(first, counts, left, top, doubted)

    def _first_peak(self, left: list[float], doubted: float) -> int:
        """The bin from which draws are peaks: n ** (2/3) of n draws or a tenth, more where bins are too few."""
        most = max(min(self.draws / 10.0, self.draws ** (2.0 / 3.0)), 4.0 * doubted * self.draws)
        first = bisect_left(left, -most, key=lambda count: -count)
        lowest = bisect_left(left, -self.draws / 5.0, key=lambda count: -count)
        return max(lowest, min(first, len(left) - _LEAST_BINS))

    def _fit(self, first: int, counts: dict[int, float], left: list[float], top: float, doubted: float) -> None:
        taken = self._keys[first:]
        edges = [_lower(key, self._resolution) for key in taken]
        ends = [*edges[1:], top if top > edges[-1] else _lower(taken[-1] + 1, self._resolution)]
        # A bin's draws are spread up to the next bin taken: on a lattice, half a step to the safe side.
        peaks = [(a - edges[0], b - edges[0], counts[key]) for a, b, key in zip(edges, ends, taken, strict=True)]
        lattice = sum(counts[key] for key in taken if key + 1 not in counts) > left[first] / 2.0
        unsure = max(_RANKED, min(doubted * self.draws, left[first] / 2.0))
        last = max(sum(count >= unsure for count in left[first:]) - 1, 0)
        believed = last if doubted and last else len(peaks)
        limit = edges[last] - edges[0]
        censored = sum(count for *_, count in peaks[believed:])
        self._excess = ExcessTail(peaks[:believed], censored, limit, bounded=not lattice)
        self._from = edges[0]
        self.anchor = _smallest(taken[last], self._resolution)
        self._at_anchor = self._above[first + last] / max(self._excess.survival(limit), _LEAST_P)

    def p_value(self, score: float) -> float:
        """Probability of a score at least this big, in (0, 1]; 1 for NaN."""
        if score > self.anchor:
            return max(self._at_anchor * self._excess.survival(score - self._from), _LEAST_P)
        if math.isnan(score):
            return 1.0
        return self._above[bisect_left(self._keys, _bin(score, self._resolution))]

    def seen(self, score: float) -> float:
        """Draws at least this big, to the bin: what was counted, where `p_value` may be what is extrapolated."""
        return self._above[bisect_left(self._keys, _bin(score, self._resolution))] * (self.draws + 1.0) - 1.0

    def score_one(self, score: float) -> float:
        """-log10 of the p-value."""
        return log10_surprise(self.p_value(score))

    def threshold(self, alpha: float) -> float:
        """The smallest score whose p-value is at most `alpha`; infinite while none is known to be so rare."""
        if alpha >= 1.0:
            return -math.inf
        if self.anchor < math.inf and alpha < self.p_value(self.anchor):
            return self._beyond(alpha)
        rank = next((i for i, p in enumerate(self._above) if p <= alpha), 0)
        return _smallest(self._keys[rank - 1] + 1, self._resolution) if rank else math.inf

    def _beyond(self, alpha: float) -> float:
        step = 1.0
        while self.p_value(self.anchor + step) > alpha:
            step *= 2.0
            if step > 1e300:
                return math.inf
        low, high = self.anchor, self.anchor + step
        while low < (middle := (low + high) / 2.0) < high:
            low, high = (middle, high) if self.p_value(middle) > alpha else (low, middle)
        return high


class Tail:
    """Turns a raw score (any real number, bigger is stranger) into the probability of one at least as big.

    Ranks judge the body, a generalised Pareto over the peaks the far tail. Draws are counted in bins of a
    fixed grid (equal parts of octaves), as fine as the capacity allows, and a score takes the p-value of its
    whole bin, so ties err on the safe side. Counts add up: merged partitions, in any order, judge to the last
    bit as one stream of all their draws would (with fading, to within rounding).

    Trust it for `alpha` from about 10 / `alpha` draws on: then the measured rate is within a factor of 2, on
    the average over streams. With a tenth of that it is mostly too low (single streams: 0 to 4 times `alpha`);
    below, it is a guess. With fewer than 30 peaks it gives bare ranks: no p-value below 1 / (draws + 1), and
    an infinite threshold for a smaller `alpha`, so a caller needs a threshold of its own until then.

    Learning is cheap; judging anew after each draw is not, since the tail is fitted again (milliseconds).
    Judge a stream by the tail that `fit` gave, and fit now and then. Memory: two numbers a bin, `capacity`
    bins. Don't use it where what is usual drifts within the memory.

    Leave out what is gross (p < `alpha` / 100), not all that is flagged: a tail that never learns what passes
    its threshold draws that in, and flags 2 to 7 times too much. See also `TailParams.doubted`.

    Args:
        params: Counting rules; tails that are to be merged share them.

    Example:
        >>> tail = Tail(TailParams())
        >>> for i in range(20_000):
        ...     tail.learn_one(-math.log10((i + 0.5) / 20_000))  # honest p-values keep their meaning
        >>> [float(f"{tail.p_value(score):.2g}") for score in (0.0, 1.0, 2.0, 4.0, 6.0)]
        [1.0, 0.1, 0.01, 0.00011, 2.6e-06]
        >>> round(tail.threshold(1e-2), 2), round(tail.threshold(1e-4), 2)
        (2.06, 4.07)

    References:
        Siffer, Fouque, Termier and Largouet (2017), Anomaly detection in streams with extreme value theory
        (SPOT), KDD; Vovk, Gammerman and Shafer (2005), Algorithmic learning in a random world (conformal
        ranks); Epicoco et al. (2020), UDDSketch (uniform collapse of bins).
    """

    __slots__ = ("_counts", "_fitted", "_fresh", "_level", "_resolution", "_top", "params")

    def __init__(self, params: TailParams) -> None:
        if params.capacity < 256:
            raise ValueError("capacity: must be at least 256")
        if not params.half_life >= 1000.0:
            raise ValueError("half_life: must be at least 1000 draws, or infinite")
        if not 0.0 <= params.doubted <= 0.05:
            raise ValueError("doubted: must be a share of the draws, at most 0.05")
        self.params = params
        self._counts: dict[int, float] = {}
        self._level, self._resolution = _FINEST, 1 << _FINEST
        self._top = -math.inf
        self._fresh = 0
        self._fitted: FittedTail | None = None

    @property
    def draws(self) -> float:
        """Draws learnt, faded by age; without a fit, which costs milliseconds."""
        return math.fsum(self._counts.values())  # exact, so that the order of the bins makes no difference

    def learn_one(self, score: float) -> None:
        """Count one draw; NaN is none."""
        if math.isnan(score):
            return
        counts, key = self._counts, _bin(score, self._resolution)
        if key in counts:
            counts[key] += 1
        else:
            counts[key] = 1
            self._fit_in()
        if score > self._top:
            self._top = min(score, _HUGE)
        self._fitted = None
        self._fresh += 1
        if self._fresh * _FADES >= self.params.half_life:
            self.fade(2.0 ** (-self._fresh / self.params.half_life))

    def fit(self) -> FittedTail:
        """The tail of the draws up to now."""
        if self._fitted is None:
            self._fitted = FittedTail(self._counts, self._resolution, self._top, self.params.doubted)
        return self._fitted

    def p_value(self, score: float) -> float:
        """Probability of a score at least this big, in (0, 1]; 1 for NaN."""
        return self.fit().p_value(score)

    def score_one(self, score: float) -> float:
        """-log10 of the p-value: 0 to 300, bigger is stranger."""
        return self.fit().score_one(score)

    def threshold(self, alpha: float) -> float:
        """The smallest score whose p-value is at most `alpha`; infinite while none is known to be so rare."""
        return self.fit().threshold(alpha)

    def merge(self, other: "Tail") -> None:
        """Add another partition's draws to this one's.

        Raises:
            ValueError: The other counts by other rules.
        """
        if other.params != self.params:
            raise ValueError("tails that count by different rules can't be merged")
        self._coarsen_to(min(self._level, other._level))
        for key, count in sorted(other._counts.items()):
            coarse = _coarser(key, other._level - self._level)
            self._counts[coarse] = self._counts.get(coarse, 0) + count
        self._top = max(self._top, other._top)
        self._fresh += other._fresh
        self._fit_in()
        self._fitted = None

    def fade(self, kept: float) -> None:
        """Let all draws up to now count as this share of what they did, above 0 and at most 1.

        Called at the same event times by every partition, it gives a half-life in time.
        """
        faded = ((key, count * kept) for key, count in self._counts.items())
        self._counts = {key: count for key, count in faded if count >= _FORGOTTEN}
        end = _lower(max(self._counts) + 1, self._resolution) if self._counts else -math.inf
        self._top = min(self._top, end)
        self._fresh = 0
        self._fitted = None

    def _fit_in(self) -> None:
        while len(self._counts) > self.params.capacity:
            self._coarsen_to(self._level - 1)

    def _coarsen_to(self, level: int) -> None:
        finer, self._counts = self._counts, {}
        for key, count in sorted(finer.items()):  # a restored tail has its bins in order
            coarse = _coarser(key, self._level - level)
            self._counts[coarse] = self._counts.get(coarse, 0) + count
        self._level, self._resolution = level, 1 << level

    def snapshot(self) -> list[Any]:
        """[level, draws since the last fading, top, steps from one bin to the next, counts of the bins]."""
        keys = sorted(self._counts)
        steps = [b - a for a, b in zip([0, *keys], keys, strict=False)]
        return [self._level, self._fresh, self._top, steps, [self._counts[key] for key in keys]]

    def restore(self, state: list[Any]) -> Self:
        """Take over a snapshot.

        Raises:
            ValueError: The state has another shape than a tail's.
        """
        if len(state) != 5 or len(state[3]) != len(state[4]):
            raise ValueError("a tail's state has 5 parts, the last two of one length")
        self._level, self._fresh, self._top, steps, counts = state
        self._resolution = 1 << self._level
        self._counts = dict(zip(accumulate(steps), counts, strict=True))
        self._fitted = None
        return self


def _bin(score: float, resolution: int) -> int:
    """A score's place on the grid; exact arithmetic, so the same on every machine."""
    if -_TINY < score < _TINY:
        return 0
    mantissa, exponent = math.frexp(min(abs(score), _HUGE))
    key = (exponent + _OFFSET) * resolution + int(2.0 * mantissa * resolution)
    return key if score > 0.0 else -key


def _coarser(key: int, levels: int) -> int:
    return key >> levels if key >= 0 else -(-key >> levels)


def _lower(key: int, resolution: int) -> float:
    """A bin's lower edge."""
    if key <= 0:
        return -_lower(1 - key, resolution)
    octave, part = divmod(max(key, resolution), resolution)
    return math.ldexp(1.0 + part / resolution, octave - _OFFSET - 2)


def _smallest(key: int, resolution: int) -> float:
    """The smallest number in a bin: its edge, but for those below 0, which hold their upper edge."""
    edge = _lower(key, resolution)
    return edge if key > 0 else math.nextafter(edge, math.inf)
