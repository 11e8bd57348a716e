"""How surprising is a value never seen before, given how often new ones come and what peers use."""

from sys import intern
from typing import Any, Final, Self

import msgspec

from models.base import log10_surprise


class NoveltyParams(msgspec.Struct, frozen=True):
    """How a `Novelty` counts.

    Attributes:
        discount: Pitman-Yor discount, 0..1: the share of one draw that each distinct value gives to new ones.
        concentration: Pitman-Yor concentration: draws of novelty assumed before the first.
        thinning: Seconds in which repeats of a value count as one draw.
        half_life: Seconds after which draws count half, so that yesterday's habits fade.
        capacity: Values remembered; the one not seen for longest is forgotten first.
    """

    discount: float = 0.5
    concentration: float = 1.0
    thinning: float = 3600.0
    half_life: float = 30 * 86400.0
    capacity: int = 256


DEFAULT: Final = NoveltyParams()


def probability_of_new(distinct: float, draws: float, params: NoveltyParams = DEFAULT, prior: float = 1.0) -> float:
    """Pitman-Yor predictive probability that the next draw is a value never seen.

    `prior` is what it is before the first draw: less than 1 where peers seldom draw new values of this kind.

    >>> probability_of_new(0, 0)
    1.0
    >>> round(probability_of_new(10, 500), 4), round(probability_of_new(250, 500), 4)
    (0.012, 0.2515)
    """
    seen = params.concentration * prior + params.discount * distinct
    return seen / (params.concentration + max(draws, distinct))


class Novelty:
    """First-seen values of one stream, with the probability that the next one is new.

    Repeats of a value within `thinning` are one draw: a loop of a thousand calls says no more about the
    next host than one call does. An agent that meets new hosts all day has a high probability of new ones,
    so a further one is no surprise. `base` brings in the peers: the probability, among those who draw a new
    value at all, of one as rare as this.

    Args:
        params: Counting rules, shared by all streams.

    Example:
        >>> hosts = Novelty(NoveltyParams())
        >>> for hour in range(200):
        ...     _ = hosts.learn_one(f"host-{hour % 4}", hour * 3600.0)
        >>> hosts.score_one("host-2"), round(hosts.score_one("host-9", base=0.1), 2)
        (0.0, 2.84)

    References:
        Pitman and Yor (1997), The two-parameter Poisson-Dirichlet distribution; Teh (2006), A hierarchical
        Bayesian language model based on Pitman-Yor processes (back-off to a base measure).
    """

    __slots__ = ("_distinct", "_draws", "_last", "_seen", "params")

    def __init__(self, params: NoveltyParams) -> None:
        self.params = params
        self._seen: dict[str, float] = {}
        self._draws = 0.0
        self._distinct = 0.0
        self._last = 0.0

    def __contains__(self, value: str) -> bool:
        return value in self._seen

    @property
    def distinct(self) -> float:
        """Distinct values met, faded by age."""
        return self._distinct

    @property
    def draws(self) -> float:
        """Thinned draws, faded by age."""
        return self._draws

    def probability_new(self, prior: float = 1.0) -> float:
        """Probability that the next draw is a value never seen by this stream; `prior` is that of the first."""
        return probability_of_new(self._distinct, self._draws, self.params, prior)

    def score_one(self, value: str, base: float = 1.0) -> float:
        """0 for a known value, else -log10 of the probability of a new one times `base`."""
        return 0.0 if value in self._seen else log10_surprise(self.probability_new() * base)

    def learn_one(self, value: str, time: float) -> bool:
        """Count a draw at `time` (unix seconds); returns whether the value was new."""
        counted = self._seen.get(value)
        if counted is not None and time - counted < self.params.thinning:
            return False
        if time > self._last:
            fade = 2.0 ** (-(time - self._last) / self.params.half_life) if self._last else 1.0
            self._draws *= fade
            self._distinct *= fade
            self._last = time
        self._draws += 1.0
        if counted is not None:
            del self._seen[value]  # put it last: the dict is kept in order of last draw
        else:
            self._distinct += 1.0
            if len(self._seen) >= self.params.capacity:
                del self._seen[next(iter(self._seen))]
        self._seen[value] = time
        return counted is None

    def snapshot(self) -> list[Any]:
        """[draws, distinct, time of the last draw, {value: its last draw}]."""
        return [self._draws, self._distinct, self._last, dict(self._seen)]

    def restore(self, state: list[Any]) -> Self:
        """Take over a snapshot."""
        if len(state) != 4:
            raise ValueError(f"a novelty state has 4 parts, not {len(state)}")
        self._draws, self._distinct, self._last, seen = state
        self._seen = {intern(value): last for value, last in seen.items()}  # others saw the same
        return self
