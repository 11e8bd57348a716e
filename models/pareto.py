"""Generalised Pareto tails of excesses over a threshold, weighed by what the excesses say of each."""

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

# Shapes that are weighed (0: exponential, below: bounded, above: heavy), and what is believed of them
# before the first peak: mean and standard deviation.
_SHAPES: Final = [i / 16 for i in range(-20, 25)]
_BELIEVED: Final = 0.1
_BELIEVED_SD: Final = 0.3
# Second and third looks are taken this close (standard deviations of the shape) or closer.
_LOOKS: Final = (0.02, 0.002)


class ExcessTail:
    """Posterior predictive of generalised Pareto excesses, counted in bins.

    A tail is (1 + theta x) ** -eta. For a given theta, eta has a gamma posterior and the predictive is in
    closed form; thetas are weighed on a grid. So no search can fail, few peaks give a wide tail rather than
    a wrong one, and the exponential is one of the thetas (0).

    Args:
        peaks: (from, to, count) of each bin, in order: `count` excesses spread evenly between the two.
        censored: Further excesses of which only this is known: they passed `limit`.
        limit: See `censored`.
        bounded: Whether tails with an end are considered; scores on a lattice mimic one.

    Example:
        >>> import math
        >>> edges = [i / 4 for i in range(29)]  # a thousand exponential excesses, none past 7
        >>> bins = [(a, b, 1000 * (math.exp(-a) - math.exp(-b))) for a, b in zip(edges, edges[1:])]
        >>> tail = ExcessTail(bins)
        >>> [f"{tail.survival(x):.1e}" for x in (0.0, 1.0, 5.0, 10.0)]
        ['1.0e+00', '3.7e-01', '6.0e-03', '4.2e-05']

    References:
        Balkema and de Haan (1974), Pickands (1975): excesses over a high threshold are generalised Pareto;
        Zhang and Stephens (2009), A new and efficient estimation method for the generalized Pareto
        distribution (the likelihood weighed on a grid of theta).
    """

    __slots__ = ("_count", "_limited", "_median", "_peaks", "_tails")

    def __init__(
        self,
        peaks: Sequence[tuple[float, float, float]],
        censored: float = 0.0,
        limit: float = 0.0,
        *,
        bounded: bool = True,
    ) -> None:
        self._peaks = peaks
        self._limited = (censored, limit)
        self._count = sum(count for *_, count in peaks)
        seen = accumulate(count for *_, count in peaks)
        self._median = next((a + b) / 2.0 for (a, b, _), n in zip(peaks, seen, strict=True) if n >= self._count / 2.0)
        self._tails: list[tuple[float, float, float]] = []
        least = _SHAPES[0] if bounded else 0.0
        mean, sd = self._weigh([shape for shape in _SHAPES if shape >= least])
        for closest in _LOOKS:
            close = [mean + max(sd, closest) * step / 4.0 for step in range(-12, 13)]
            mean, sd = self._weigh([shape for shape in close if shape >= least])

    def _weigh(self, shapes: Sequence[float]) -> tuple[float, float]:
        """Weigh one tail for each shape; returns the shapes' posterior mean and standard deviation."""
        censored, limit = self._limited
        reached = max(self._peaks[-1][1], limit)
        found = []
        for shape in shapes:
            theta = math.expm1(shape * math.log(2.0)) / self._median  # all have the peaks' median
            if theta * reached > 1.0 / self._count - 1.0:
                seen = sum(count * _mean_stretched(theta, a, b) for a, b, count in self._peaks)
                total = seen + censored * _stretched(theta, limit)
                evidence = -self._count * math.log(total) - theta * seen
                found.append((evidence - 0.5 * ((shape - _BELIEVED) / _BELIEVED_SD) ** 2, shape, theta, total))
        best = max(found)[0]
        weights = [math.exp(evidence - best) for evidence, *_ in found]
        scale = sum(weights)
        self._tails = [(w / scale, theta, total) for w, (_, _, theta, total) in zip(weights, found, strict=True)]
        mean = sum(w * shape for w, (_, shape, _, _) in zip(weights, found, strict=True)) / scale
        square = sum(w * (shape - mean) ** 2 for w, (_, shape, _, _) in zip(weights, found, strict=True)) / scale
        return mean, math.sqrt(square)

    def survival(self, excess: float) -> float:
        """Probability that the next peak's excess is at least this (not negative); 0 past a certain end."""
        return sum(
            weight * (1.0 + _stretched(theta, excess) / total) ** -self._count for weight, theta, total in self._tails
        )


def _stretched(theta: float, excess: float) -> float:
    """log(1 + theta x) / theta: x itself for an exponential tail, infinite past a bounded tail's end."""
    if theta == 0.0:
        return excess
    grown = theta * excess
    return math.log1p(grown) / theta if grown > -1.0 else math.inf


def _mean_stretched(theta: float, low: float, high: float) -> float:
    """The mean of `_stretched` over excesses spread evenly between two."""
    a, b = 1.0 + theta * low, 1.0 + theta * high
    if abs(b - a) < 1e-3 * a:
        return _stretched(theta, (low + high) / 2.0)
    return ((b * math.log(b) - a * math.log(a)) / (b - a) - 1.0) / theta
