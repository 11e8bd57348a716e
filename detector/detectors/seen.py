"""The endpoints that one principal has met: those that count as known, those reported, those on trial."""

import math
from typing import Any, Final, Self

import msgspec

from detector.endpoints import Endpoint
from models.novelty import Novelty, NoveltyParams

# How long a flagged endpoint stays reported: it is not learnt, and not said again within this time.
REPORTED_FOR: Final = 86400.0
REPORTED_MOST: Final = 64


def endpoint_key(endpoint: Endpoint) -> str:
    """The name that an endpoint is remembered by."""
    return f"{endpoint.namespace} {endpoint.name}"


class Trial(msgspec.Struct, array_like=True):
    """A new outside endpoint on trial: since when (unix seconds), how surprising it was, bytes sent since."""

    since: float
    p_value: float
    sent: float


class Seen:
    """Endpoints counted by namespace; by key those that were reported (when, p-value) and those on trial."""

    __slots__ = ("names", "reported", "trials")

    def __init__(self) -> None:
        self.names: dict[str, Novelty] = {}
        self.reported: dict[str, tuple[float, float]] = {}
        self.trials: dict[str, Trial] = {}

    def is_familiar(self, endpoint: Endpoint) -> bool:
        """Whether an endpoint counts as known, and there is no more to be said of it."""
        seen = self.names.get(endpoint.namespace)
        if seen is None or endpoint.name not in seen:
            return False
        if not (self.reported or self.trials):
            return True
        key = endpoint_key(endpoint)
        return key not in self.reported and key not in self.trials

    def told(self, key: str, now: float) -> float | None:
        """The p-value that the endpoint was reported with, while that holds; None if it was not, or long ago."""
        since, p = self.reported.get(key, (-math.inf, 1.0))
        return p if now - since < REPORTED_FOR else None

    def remember(self, key: str, now: float, p: float) -> None:
        """Take down that an endpoint was reported, unless it is down already."""
        if self.told(key, now) is None:
            self.reported.pop(key, None)
            self.reported[key] = now, p
        if len(self.reported) > REPORTED_MOST:
            del self.reported[next(iter(self.reported))]

    def try_out(self, key: str, trial: Trial) -> None:
        """Put an endpoint on trial; past the bound the oldest trial ends."""
        self.trials[key] = trial
        if len(self.trials) > REPORTED_MOST:
            del self.trials[next(iter(self.trials))]

    def dump(self) -> list[Any]:
        """[{namespace: novelty}, {reported endpoint: [when, p-value]}, {endpoint on trial: trial}]."""
        names = {n: novelty.snapshot() for n, novelty in self.names.items()}
        return [names, dict(self.reported), msgspec.to_builtins(self.trials)]

    def load(self, data: Any, params: NoveltyParams) -> Self:
        """Take over what `dump` gave."""
        names, reported, trials = data
        self.trials = msgspec.convert(trials, dict[str, Trial])
        self.names = {n: Novelty(params).restore(novelty) for n, novelty in names.items()}
        self.reported = {key: (since, p) for key, (since, p) in reported.items()}
        return self
