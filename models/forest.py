"""How unlike everything in the history is this vector: scikit-learn's isolation forest, as plain arrays."""

import math
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

LEAF: Final = -1
TAIL_MOST: Final = 10_000
_EULER: Final = 0.5772156649015329


class ForestParams(msgspec.Struct, frozen=True):
    """How a forest is grown.

    Attributes:
        trees: How many; more make the score smoother and slower.
        sample: Rows that each tree sees. Few are enough: an anomaly is what few cuts set apart.
        contamination: Share of the training rows, 0..0.5, beyond which a score counts as abnormal.
        seed: Of all draws.
    """

    trees: int = 100
    sample: int = 256
    contamination: float = 0.001
    seed: int = 0


class Nodes(msgspec.Struct, frozen=True):
    """The nodes of all trees, one tree after another, a list a field.

    `feature` is the index of the feature that a node cuts, `LEAF` for a leaf; a value at most `threshold`
    goes to node `left`, any other to `right` (indices into these lists, always after the node's own);
    `length` is a leaf's path length: its depth, and the depth that its rows would have added.
    """

    roots: list[int]
    feature: list[int]
    threshold: list[float]
    left: list[int]
    right: list[int]
    length: list[float]

    def fault(self, features: int) -> str:
        """Why these are not trees over so many features; "" if they are. Walking them then always ends."""
        count = len(self.feature)
        if len({count, len(self.threshold), len(self.left), len(self.right), len(self.length)}) != 1:
            return "the lists of nodes differ in length"
        if not self.roots or not all(0 <= root < count for root in self.roots):
            return "a root is not among the nodes"
        if not all(map(math.isfinite, self.length)):
            return "a path length is not a number"
        for node, (feature, left, right) in enumerate(zip(self.feature, self.left, self.right, strict=True)):
            if feature != LEAF and not (
                0 <= feature < features and node < min(left, right) <= max(left, right) < count
            ):
                return f"node {node} leads nowhere"
        return ""


class Standing(msgspec.Struct, frozen=True):
    """A feature that a vector stands out by.

    `low` and `high` are its 5th and 95th percentile in training; `weight` is by how much the score falls
    when the feature is put back to the training median.
    """

    name: str
    value: float
    low: float
    high: float
    weight: float


class Forest:
    """An isolation forest over vectors of named numbers, with a held-out tail that turns scores into p-values.

    Random cuts set a strange row apart sooner than a usual one: the score is 2 to the minus mean path length
    over the usual one, near 1 for what a few cuts isolate, below 0.5 for the crowd. It is the negative of
    scikit-learn's `score_samples`, to the last bits; a row takes tens of microseconds instead of its
    milliseconds, since the trees are kept as plain lists and walked here.

    The p-value is the conformal rank among held-out scores: with n of them never less than 1 / (n + 1), and
    honest as long as today is like the held-out days. Don't use the forest alone: it knows no principal's own
    habits, it is blind to features that never varied in training, and it never learns after that.

    Args:
        names: The features, in the order of the vectors.

    Example:
        >>> rows = np.random.default_rng(1).normal(0.5, 0.05, (2000, 3))
        >>> forest = Forest.fit(rows[:1600], ("acts", "bytes", "hosts")).calibrate(rows[1600:])
        >>> round(forest.score_one([0.5, 0.5, 0.5]), 2), round(forest.score_one([0.5, 0.9, 0.9]), 2)
        (0.39, 0.68)
        >>> round(forest.p_value(forest.score_one([0.5, 0.9, 0.9])), 4)
        0.005
        >>> [standing.name for standing in forest.standing_out([0.5, 0.9, 0.9])]
        ['bytes', 'hosts']

    References:
        Liu, Ting and Zhou (2008), Isolation Forest; Vovk, Gammerman and Shafer (2005), Algorithmic Learning
        in a Random World (conformal p-values).
    """

    __slots__ = ("_nodes", "_norm", "_ranges", "_tail", "held_out", "names", "threshold")

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.threshold = 1.0
        self.held_out = 0
        self._nodes = Nodes([0], [LEAF], [0.0], [LEAF], [LEAF], [0.0])
        self._norm = 1.0
        self._ranges: list[list[float]] = [[0.0, 0.0, 0.0] for _ in self.names]
        self._tail: list[float] = []

    @classmethod
    def fit(cls, matrix: NDArray[np.float64], names: Sequence[str], params: ForestParams | None = None) -> Self:
        """Grow a forest over rows of features, one row a line; same rows and seed, same forest.

        Raises:
            ValueError: The matrix is empty, not finite, or has another number of columns than names.
        """
        # A second of import, that the service should not pay for what only training needs.
        from sklearn.ensemble import IsolationForest  # noqa: PLC0415

        params = params or ForestParams()
        if matrix.ndim != 2 or matrix.shape[1] != len(names):
            raise ValueError(f"a matrix of {len(names)} columns is wanted, not one of shape {matrix.shape}")
        if not len(matrix) or not np.isfinite(matrix).all():
            raise ValueError("the matrix is empty, or a value in it is not finite")
        grown = IsolationForest(
            n_estimators=params.trees,
            max_samples=min(params.sample, len(matrix)),
            contamination=params.contamination,
            random_state=params.seed,
        ).fit(matrix)
        forest = cls(names)
        forest._take(grown)
        percentiles = np.percentile(matrix, (5.0, 50.0, 95.0), axis=0)
        forest._ranges = percentiles.T.tolist()
        return forest

    def _take(self, grown: Any) -> None:
        """The nodes of a fitted scikit-learn forest over all features."""
        nodes = Nodes([], [], [], [], [], [])
        for estimator in grown.estimators_:
            tree, first = estimator.tree_, len(nodes.feature)
            leaf = tree.children_left == -1
            nodes.roots.append(first)
            nodes.feature.extend(np.where(leaf, LEAF, tree.feature).tolist())
            nodes.threshold.extend(np.where(leaf, 0.0, tree.threshold).tolist())
            nodes.left.extend(np.where(leaf, LEAF, tree.children_left + first).tolist())
            nodes.right.extend(np.where(leaf, LEAF, tree.children_right + first).tolist())
            depths = _depths(tree.children_left, tree.children_right)
            rest = [_usual_length(int(rows)) for rows in tree.n_node_samples]
            nodes.length.extend(np.where(leaf, depths + np.array(rest), 0.0).tolist())
        self._nodes = nodes
        self._norm = len(nodes.roots) * _usual_length(grown.max_samples_)
        self.threshold = -float(grown.offset_)

    def calibrate(self, matrix: NDArray[np.float64]) -> Self:
        """Take rows that the forest has not seen as what is normal: their scores are the p-values' yardstick."""
        scores = np.sort(self.scores(matrix))
        self.held_out = len(scores)
        self._tail = scores[-TAIL_MOST:].tolist()
        return self

    def score_one(self, vector: Sequence[float]) -> float:
        """How strange the vector is, 0..1: bigger is stranger. It must have a finite value for each name."""
        feature, threshold = self._nodes.feature, self._nodes.threshold
        left, right, length = self._nodes.left, self._nodes.right, self._nodes.length
        values = array("f", vector).tolist()  # the trees were grown on single precision
        total = 0.0
        for root in self._nodes.roots:
            node = root
            cut = feature[node]
            while cut >= 0:
                node = left[node] if values[cut] <= threshold[node] else right[node]
                cut = feature[node]
            total += length[node]
        return float(2.0 ** (-total / self._norm))

    def scores(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """`score_one` of each row of a matrix."""
        nodes = self._nodes
        feature, threshold = np.array(nodes.feature), np.array(nodes.threshold)
        left, right, length = np.array(nodes.left), np.array(nodes.right), np.array(nodes.length)
        values = matrix.astype(np.float32).astype(np.float64)
        rows, total = np.arange(len(values)), np.zeros(len(values))
        for root in nodes.roots:
            at = np.full(len(values), root)
            while (inner := feature[at] >= 0).any():
                here = at[inner]
                low = values[rows[inner], feature[here]] <= threshold[here]
                at[inner] = np.where(low, left[here], right[here])
            total += length[at]
        return np.asarray(2.0 ** (-total / self._norm))

    def p_value(self, score: float) -> float:
        """Probability of a score at least as high on a normal day: its rank among the held-out ones.

        Exact for the `TAIL_MOST` highest held-out scores; 1 below them, and while nothing is held out.
        """
        higher = len(self._tail) - bisect_left(self._tail, score)
        if higher == len(self._tail):
            return 1.0
        return (1 + higher) / (1 + self.held_out)

    def standing_out(self, vector: Sequence[float], most: int = 3) -> list[Standing]:
        """The features that make the vector strange, the weightiest first; those that don't are left out."""
        score = self.score_one(vector)
        found = []
        for i, (name, (low, median, high)) in enumerate(zip(self.names, self._ranges, strict=True)):
            if not low <= vector[i] <= high:
                usual = [*vector[:i], median, *vector[i + 1 :]]
                found.append(Standing(name, vector[i], low, high, score - self.score_one(usual)))
        found.sort(key=lambda standing: -standing.weight)
        return [standing for standing in found[:most] if standing.weight > 0.0]

    def snapshot(self) -> list[Any]:
        """[names, threshold, held-out rows, norm, ranges, tail, lists of the nodes]."""
        nodes = [getattr(self._nodes, name) for name in Nodes.__struct_fields__]
        return [list(self.names), self.threshold, self.held_out, self._norm, self._ranges, self._tail, nodes]

    def restore(self, state: list[Any]) -> Self:
        """Take over a snapshot, which may come from anywhere: what does not fit together is refused."""
        try:
            names, threshold, held_out, norm, ranges, tail, lists = msgspec.convert(state, _State)
        except msgspec.ValidationError as error:
            raise ValueError(f"it has another shape than a forest: {error}") from None
        nodes = Nodes(*lists)
        if tuple(names) != self.names:
            raise ValueError(f"it looks at {', '.join(names)}, not at {', '.join(self.names)}")
        if len(ranges) != len(names) or not all(len(three) == 3 for three in ranges):
            raise ValueError(f"{len(ranges)} ranges for {len(names)} features")
        if not all(map(math.isfinite, chain([threshold, norm], tail, *ranges))):
            raise ValueError("a number in it is not finite")
        if not (norm > 0.0 and tail == sorted(tail) and len(tail) == min(held_out, TAIL_MOST)):
            raise ValueError("its scale or its held-out scores make no sense")
        if fault := nodes.fault(len(names)):
            raise ValueError(fault)
        self.threshold, self.held_out, self._norm = threshold, held_out, norm
        self._ranges, self._tail, self._nodes = ranges, tail, nodes
        return self


_Lists = tuple[list[int], list[int], list[float], list[int], list[int], list[float]]
_State = tuple[list[str], float, int, float, list[list[float]], list[float], _Lists]


def _depths(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float64]:
    """Cuts above each node of one tree, whose children come after their parent."""
    depths = np.zeros(len(left))
    for node in np.flatnonzero(left >= 0):
        depths[left[node]] = depths[right[node]] = depths[node] + 1.0
    return depths


def _usual_length(rows: int) -> float:
    """Mean path length of an unsuccessful search among so many rows, by which path lengths are measured."""
    if rows <= 2:
        return float(max(rows, 1) - 1)
    return 2.0 * (math.log(rows - 1.0) + _EULER) - 2.0 * (rows - 1.0) / rows
