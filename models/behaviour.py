"""How unusual is an hour of a principal, all its numbers together, among the hours of its peers."""

import math
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Values are kept in thousandths, so that a sample is small and the same wherever it is added up.
_UNIT: Final = 1000
_MISSING: Final = -1

# Smallest standard deviation of a feature: a value that never changed may move by this much.
_FLOOR_SD: Final = 0.02

_FOLDS: Final = 4
# Mean distance (in standard deviations) up to which a vector is never in the tail: a sample may repeat itself.
_NEAR: Final = 1.0

# Log excesses assumed before any is seen: a small sample has not met every mode, and must not promise a short tail.
_WIDE_EXCESS: Final = 0.5
_WIDE_WEIGHT: Final = 4.0
_SHORTEST_TAIL: Final = 0.1


class SampleParams(msgspec.Struct, frozen=True):
    """What a `VectorSample` keeps.

    Attributes:
        span: Hours of one stratum of age.
        strata: Strata kept: the newest of those met.
        size: Vectors kept of each stratum.
    """

    span: int = 168
    strata: int = 4
    size: int = 128


class VectorSample:
    """A bounded sample of vectors that is the same in whatever order, and by however many, it was gathered.

    Of each stratum of age the vectors with the smallest hashes of (principal, hour) are kept: a uniform
    sample without chance, so that samples of partitions merge into the one that a single partition would
    have drawn. Each value is a number in 0..1, cut to it and kept in thousandths; NaN and missing values
    are kept as missing.

    Don't use it to count: a vector added twice is kept once (of two different vectors of the same principal
    and hour, the larger).

    Args:
        features: Names of the features, in any order.
        params: What is kept.

    Example:
        >>> one, two = VectorSample(["bytes", "errors"]), VectorSample(["errors", "bytes"])
        >>> one.add("agent-1", 480_000, {"bytes": 0.5, "errors": 0.25})
        >>> two.add("agent-2", 480_000, {"bytes": 0.7, "errors": float("nan")})
        >>> one.merge(two)
        >>> one.snapshot()
        [['bytes', 'errors'], [[2857, [[79596093676710, [700, -1]], [191803234239745, [500, 250]]]]]]

    References:
        Cohen and Kaplan (2007), Summarizing data using bottom-k sketches.
    """

    __slots__ = ("_bounds", "_strata", "features", "params")

    def __init__(self, features: Iterable[str], params: SampleParams | None = None) -> None:
        self.features = tuple(sorted(set(features)))
        self.params = params or SampleParams()
        self._strata: dict[int, dict[int, array[int]]] = {}
        # By stratum, once it is full: the hash from which a vector is not kept. Derived, so no part of the snapshot.
        self._bounds: dict[int, int] = {}

    def __len__(self) -> int:
        return sum(map(len, self._strata.values()))

    def add(self, principal: str, hour: int, vector: Mapping[str, float] | Callable[[], Mapping[str, float]]) -> None:
        """Offer the vector of one principal's `hour` (whole hours since 1970), or what makes it if it is to be kept."""
        digest = blake2b(f"{hour}\n{principal}".encode("utf-8", "surrogatepass"), digest_size=6).digest()
        key, stratum = int.from_bytes(digest, "big"), hour // self.params.span
        if key >= self._bounds.get(stratum, math.inf):
            return
        named = vector() if callable(vector) else vector
        self._put(stratum, {key: array("h", (_thousandths(named.get(name)) for name in self.features))})

    def merge(self, other: "VectorSample") -> None:
        """Add another sample of the same features.

        Raises:
            ValueError: The other sample has other features.
        """
        if other.features != self.features:
            raise ValueError(f"a sample of {other.features} does not merge into one of {self.features}")
        for stratum, vectors in other._strata.items():
            self._put(stratum, vectors)

    def _put(self, stratum: int, vectors: Mapping[int, "array[int]"]) -> None:
        kept = self._strata.setdefault(stratum, {})
        for key, values in vectors.items():
            kept[key] = max(kept[key], values) if key in kept else values
        over = len(kept) - self.params.size
        if over > 0:
            for key in (max(kept),) if over == 1 else sorted(kept)[-over:]:
                del kept[key]
            self._bounds[stratum] = max(kept) + 1
        if len(self._strata) > self.params.strata:
            oldest = min(self._strata)
            del self._strata[oldest]
            self._bounds.pop(oldest, None)

    def matrix(self) -> Floats:
        """The vectors in order of their hashes, one a row, features in order of their names; NaN is missing."""
        rows = sorted((key, stratum, values) for stratum, kept in self._strata.items() for key, values in kept.items())
        table = np.array([values for _, _, values in rows], dtype=np.float64).reshape(len(rows), len(self.features))
        return np.where(table == _MISSING, np.nan, table / _UNIT)

    def snapshot(self) -> list[Any]:
        """[features, [[stratum, [[hash, [thousandths or -1, ...]], ...]], ...]], in order."""
        strata = sorted(self._strata.items())
        return [
            list(self.features),
            [[stratum, [[key, list(kept[key])] for key in sorted(kept)]] for stratum, kept in strata],
        ]

    def restore(self, state: list[Any]) -> Self:
        """Take over a snapshot; features that it did not have are missing, those it alone has are dropped."""
        names, strata = state
        if any(len(values) != len(names) for _, rows in strata for _, values in rows):
            raise ValueError(f"a vector of the saved sample has not {len(names)} values, one for each feature")
        places = [names.index(name) if name in names else None for name in self.features]
        self._strata, self._bounds = {}, {}
        for stratum, rows in strata:
            self._put(stratum, {key: _placed(values, places) for key, values in rows})
        return self


def _thousandths(value: float | None) -> int:
    if value is None or math.isnan(value):
        return _MISSING
    return round(_UNIT * min(max(value, 0.0), 1.0))


def _placed(values: Sequence[int], places: Sequence[int | None]) -> "array[int]":
    return array("h", (_MISSING if place is None else values[place] for place in places))


class Deviation(msgspec.Struct, frozen=True):
    """A feature that is not as usual.

    `value` is what it is, `usual` the sample's median, `expected` what the vector's other features let
    expect, and `z` how many standard deviations (of what those leave open) lie between.
    """

    feature: str
    value: float
    usual: float
    expected: float
    z: float


class BehaviourParams(msgspec.Struct, frozen=True):
    """How a `Behaviour` judges.

    Attributes:
        neighbours: Nearest vectors of the sample whose mean distance is the score.
        shrinkage: 0..1: how far correlations are drawn to none.
        least: Vectors below which nothing is judged.
    """

    neighbours: int = 3
    shrinkage: float = 0.02
    least: int = 100


class Behaviour:
    """Distance of a vector to its nearest neighbours in a sample, after the sample's correlations are taken out.

    A pure function of the sample: whoever has the same sample judges alike, and nothing but the sample is
    ever saved. The p-value is conformal: the share of the sample's own vectors that lie as far from a model
    made without them, with a Pareto tail (Hill's estimate) where few or none do. River's half-space trees
    and LODA and scikit-learn's isolation forest were measured on the same data and found fewer at one false
    alarm in a hundred, above all where values are usual one by one and not together.

    Don't use it for fewer than `least` vectors (every p-value is 1), for categories coded as numbers, or to
    judge a thing that comes often: each judgement is another test.

    Args:
        sample: What is usual.
        params: How it is judged.

    Example:
        >>> sample = VectorSample(["bytes", "reads"])
        >>> for hour in range(200):
        ...     reads = 0.3 + 0.02 * (hour % 17)
        ...     sample.add(f"agent-{hour % 5}", hour, {"reads": reads, "bytes": reads + 0.01 * (hour % 3)})
        >>> usual = Behaviour(sample)
        >>> usual.p_value({"reads": 0.4, "bytes": 0.41}) > 0.1
        True
        >>> odd = {"reads": 0.35, "bytes": 0.6}  # usual alone, not together
        >>> round(usual.score_one(odd), 1), f"{usual.p_value(odd):.0e}"
        (11.0, '4e-12')
        >>> usual.explain(odd, most=1)
        [Deviation(feature='bytes', value=0.6, usual=0.47, expected=0.362, z=11.48)]

    References:
        Angiulli and Pizzuti (2002), Fast outlier detection in high dimensional spaces (mean of distances);
        Vovk, Gammerman and Shafer (2005), Algorithmic learning in a random world (conformal p-values);
        Hill (1975), A simple general approach to inference about the tail of a distribution.
    """

    def __init__(self, sample: VectorSample, params: BehaviourParams | None = None) -> None:
        self.features = sample.features
        self.params = params or BehaviourParams()
        table = sample.matrix()
        self.size = len(table)
        self.ready = self.size >= max(self.params.least, 2 * self.params.neighbours) and bool(self.features)
        if not self.ready:
            return
        self._median = np.array([_median(column) for column in table.T])
        table = np.where(np.isnan(table), self._median, table)
        self._mean = table.mean(axis=0)
        self._metric = _whitening(table, self.params.shrinkage)
        self._points = table @ self._metric
        held_out = np.sort(self._held_out(table))
        self._rising: list[float] = held_out.tolist()
        self._tail = max(self.size // 10, 5)
        self._threshold = max(self._rising[-self._tail - 1], _NEAR)
        excess = float(np.log(np.maximum(held_out[-self._tail :], self._threshold) / self._threshold).sum())
        self._index = max((excess + _WIDE_EXCESS * _WIDE_WEIGHT) / (self._tail + _WIDE_WEIGHT), _SHORTEST_TAIL)

    def _held_out(self, table: Floats) -> Floats:
        """Each vector's score by a model of the other folds; rows are in order of hashes, so folds are random."""
        fold = np.arange(self.size) % _FOLDS
        scores = np.empty(self.size)
        for i in range(_FOLDS):
            metric = _whitening(table[fold != i], self.params.shrinkage)
            points = table[fold != i] @ metric
            for row in np.flatnonzero(fold == i):
                scores[row] = self._distance(points, table[row] @ metric)
        return scores

    def _distance(self, points: Floats, point: Floats) -> float:
        apart = points - point
        squares = np.einsum("ij,ij->i", apart, apart)
        squares.partition(self.params.neighbours - 1)
        nearest: list[float] = squares[: self.params.neighbours].tolist()
        return sum(map(math.sqrt, nearest)) / len(nearest)

    def _filled(self, vector: Mapping[str, float]) -> Floats:
        values = np.array([_thousandths(vector.get(name)) for name in self.features], dtype=np.float64)
        return np.where(values == _MISSING, self._median, values / _UNIT)

    def score_one(self, vector: Mapping[str, float]) -> float:
        """Mean distance (in standard deviations) to the nearest neighbours; 0 while the sample is too small."""
        return self._distance(self._points, self._filled(vector) @ self._metric) if self.ready else 0.0

    def p_value(self, vector: Mapping[str, float]) -> float:
        """Probability that a usual vector scores as high; never 0, and 1 while the sample is too small."""
        if not self.ready:
            return 1.0
        score = self.score_one(vector)
        if score > self._threshold:
            share = (self._tail + 1.0) / (self.size + 1.0)
            return max(math.exp(math.log(share) - math.log(score / self._threshold) / self._index), 1e-300)
        return (1.0 + self.size - bisect_left(self._rising, score)) / (self.size + 1.0)

    def explain(self, vector: Mapping[str, float], most: int = 3) -> list[Deviation]:
        """At most so many features that agree least with the others, the worst first."""
        if not self.ready:
            return []
        values = self._filled(vector)
        precision = self._metric @ self._metric.T
        spread = 1.0 / np.sqrt(np.diag(precision))
        z = precision @ (values - self._mean) * spread
        expected = np.clip(values - z * spread, 0.0, 1.0)
        worst = sorted(range(len(z)), key=lambda i: (-abs(z[i]), i))[:most]
        return [
            Deviation(
                feature=self.features[i],
                value=round(float(values[i]), 3),
                usual=round(float(self._median[i]), 3),
                expected=round(float(expected[i]), 3),
                z=round(float(z[i]), 2),
            )
            for i in worst
        ]


def _median(column: Floats) -> float:
    known = column[~np.isnan(column)]
    return float(np.median(known)) if known.size else 0.0


def _whitening(table: Floats, shrinkage: float) -> Floats:
    """The matrix that makes the table's columns uncorrelated, each with a standard deviation of about 1."""
    deviation = np.maximum(table.std(axis=0), _FLOOR_SD)
    centred = (table - table.mean(axis=0)) / deviation
    correlation = (centred.T @ centred) / len(table)
    correlation *= 1.0 - shrinkage
    np.fill_diagonal(correlation, 1.0)
    inverse: Floats = np.linalg.inv(np.linalg.cholesky(correlation)).T / deviation[:, None]
    return inverse
