"""From a budget of false alerts a day to thresholds: scores against what the fleet's own scores have been.

A *test* is one principal's hour on one channel (the highest score of the hour counts), so calls in a loop are
no further tests, and more principals are more tests: the correction for their number is in the count.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from models.base import log10_surprise
from models.tail import FittedTail, Tail, TailParams

PARAMS: Final = TailParams()
ROLES_MOST: Final = 200
HALF_LIFE_DAYS: Final = 14.0

# Tests after which a measured tail is believed; a role has one of its own from then on.
TRUSTED: Final = 1000.0

# How far above its starting threshold a role's may be raised (-log10 of the p-value): what is a hundred times rarer
# than where the detector began to speak is told whatever the tests say, so that nobody can talk it into silence.
MOST_RAISED: Final = 2.0

# An alert is at least this improbable by its model (-log10 of the p-value), however small the fleet.
LEAST_SCORE: Final = 3.0


class BudgetSettings(BaseModel):
    """How many false alerts people are willing to look at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    measured: bool = Field(
        True, description="Whether thresholds follow from measured tests; else the starting ones hold for ever."
    )
    alerts_per_day: float = Field(
        0.2, gt=0, description="False alerts a day that all statistical detectors together may raise."
    )
    detectors: dict[str, float] = Field(
        {}, description="The same for single detectors, by name; the others share what is left."
    )


class Limit(msgspec.Struct, frozen=True):
    """From which raw score a test is a finding, and where that comes from.

    `alpha` is the share of tests that may reach it and `tests_per_day` their measured number; None while
    too little is measured, and the detector's starting threshold holds.
    """

    score: float
    alpha: float | None = None
    tests_per_day: float | None = None


class PastScores:
    """Scores of past tests, by role and channel: adds up over partitions, fades with age.

    `days` is the time they come from, faded likewise, so that draws by days is the number of tests a day.
    """

    __slots__ = ("days", "tails")

    def __init__(self) -> None:
        self.days = 0.0
        self.tails: dict[str, dict[str, Tail]] = {}

    def learn(self, role: str, channel: str, score: float) -> None:
        """Count one test; roles past the bound count as none."""
        name = role if role in self.tails or len(self.tails) < ROLES_MOST else ""
        channels = self.tails.setdefault(name, {})
        tail = channels.get(channel)
        if tail is None:
            tail = channels[channel] = Tail(PARAMS)
        tail.learn_one(score)

    def merge(self, other: "PastScores") -> None:
        """Add another partition's tests of the same time."""
        self.days = max(self.days, other.days)
        for role, channels in sorted(other.tails.items()):
            mine = self.tails.setdefault(role, {})
            for channel, tail in channels.items():
                mine.setdefault(channel, Tail(PARAMS)).merge(tail)

    def age(self, days: float) -> None:
        """Let `days` pass: what was counted before counts less, and what hardly counts is forgotten."""
        kept = 2.0 ** (-days / HALF_LIFE_DAYS)
        self.days = self.days * kept + days
        for role, channels in list(self.tails.items()):
            for channel, tail in list(channels.items()):
                tail.fade(kept)
                if tail.draws < 1.0:
                    del channels[channel]
            if not channels:
                del self.tails[role]

    def snapshot(self) -> list[Any]:
        """[days, {role: {channel: tail}}]."""
        tails = {role: {name: tail.snapshot() for name, tail in own.items()} for role, own in self.tails.items()}
        return [self.days, tails]

    def restore(self, state: list[Any]) -> Self:
        """Take over a snapshot."""
        self.days, tails = state
        self.tails = {
            role: {name: Tail(PARAMS).restore(tail) for name, tail in own.items()} for role, own in tails.items()
        }
        return self


class Thresholds:
    """What holds between two boundaries: read-only.

    Args:
        budget: Alerts a day.
        channels: By detector the channels that it tests.
        tests: Those of all partitions, as of one boundary.
    """

    def __init__(
        self, budget: BudgetSettings, channels: Mapping[str, Iterable[str]], tests: Iterable[PastScores] = ()
    ) -> None:
        self._budget, self._channels = budget, {name: tuple(parts) for name, parts in channels.items()}
        self._measured = budget.measured
        self._alerts_per_day = shares(budget, channels)
        self._tests = PastScores()
        for counted in tests:
            self._tests.merge(counted)
        self._fleet: dict[str, Tail] = {}
        for _, own in sorted(self._tests.tails.items()):
            for channel, tail in own.items():
                self._fleet.setdefault(channel, Tail(PARAMS)).merge(tail)
        self._limits: dict[tuple[str, str, float], Limit] = {}

    def under(self, budget: BudgetSettings, channels: Mapping[str, Iterable[str]]) -> "Thresholds":
        """What the same tests say under another budget, or of other detectors."""
        if (budget, {name: tuple(parts) for name, parts in channels.items()}) == (self._budget, self._channels):
            return self
        return Thresholds(budget, channels, [self._tests])

    def limit(self, role: str, channel: str, starting_p: float) -> Limit:
        """What a test of the role must pass.

        That is `starting_p` until enough is measured. Where the fleet keeps the budget at that, the limit comes
        down to what the budget allows, but not below `LEAST_SCORE`. Where more tests than the budget allows did
        pass it (a tail drawn further than the tests reach is no reason), it goes up for the roles that are the
        cause, by `MOST_RAISED` at most.
        """
        key = role, channel, starting_p
        limit = self._limits.get(key)
        if limit is None:
            limit = self._limits[key] = self._limit(role, channel, log10_surprise(starting_p))
        return limit

    def _limit(self, role: str, channel: str, start: float) -> Limit:
        fleet = _trusted(self._fleet.get(channel))
        if fleet is None or not self._measured or self._tests.days <= 0.0:
            return Limit(start)
        tests_per_day = fleet.draws / self._tests.days
        alpha = min(0.5, self._alerts_per_day.get(channel, 0.0) / tests_per_day)
        if fleet.p_value(start) <= alpha:
            return Limit(max(LEAST_SCORE, min(start, fleet.threshold(alpha))), alpha, tests_per_day)
        if fleet.seen(start) <= alpha * fleet.draws:
            return Limit(start, alpha, tests_per_day)
        own = _trusted(self._tests.tails.get(role, {}).get(channel)) or fleet
        raised = own.threshold(alpha)
        raised = raised if raised < math.inf else start
        return Limit(min(max(start, raised), start + MOST_RAISED), alpha, tests_per_day)


def _trusted(tail: Tail | None) -> FittedTail | None:
    """A tail that stands on enough tests to be believed."""
    return tail.fit() if tail is not None and tail.draws >= TRUSTED else None


def shares(budget: BudgetSettings, channels: Mapping[str, Iterable[str]]) -> dict[str, float]:
    """Alerts a day by channel: a detector's own budget or an equal part of the rest, over its channels alike.

    >>> budget = BudgetSettings(alerts_per_day=1.0, detectors={"new_endpoint": 0.4})
    >>> shares(budget, {"new_endpoint": ["host"], "transfer_rate": ["out", "in"]})
    {'host': 0.4, 'out': 0.3, 'in': 0.3}
    """
    named = {name: budget.detectors[name] for name in channels if name in budget.detectors}
    rest = max(0.0, budget.alerts_per_day - sum(named.values()))
    others = max(1, len(list(channels)) - len(named))
    by_channel = {}
    for detector, of_detector in channels.items():
        parts = list(of_detector)
        for channel in parts:
            by_channel[channel] = named.get(detector, rest / others) / len(parts)
    return by_channel
