"""What the peers' sums say, merged over partitions: one version of it is in force between two boundaries."""

from collections.abc import Mapping, Sequence

from detector.budget import BudgetSettings, Thresholds
from detector.habits import HabitPriors
from detector.peers import PeerSummary, Priors


class Knowledge:
    """Read-only: priors (renewed hourly), thresholds and habits (daily)."""

    __slots__ = ("habits", "priors", "thresholds")

    def __init__(self, priors: Priors, thresholds: Thresholds, habits: HabitPriors) -> None:
        self.priors = priors
        self.thresholds = thresholds
        self.habits = habits

    @classmethod
    def nothing(cls, budget: BudgetSettings, channels: Mapping[str, Sequence[str]]) -> "Knowledge":
        """What is known before the first event."""
        return cls(Priors(), Thresholds(budget, channels), HabitPriors())

    def under(self, budget: BudgetSettings, channels: Mapping[str, Sequence[str]]) -> "Knowledge":
        """The same by another budget and other detectors."""
        return Knowledge(self.priors, self.thresholds.under(budget, channels), self.habits)

    def renewed(
        self,
        version: float,
        published: Sequence[PeerSummary],
        budget: BudgetSettings,
        channels: Mapping[str, Sequence[str]],
        *,
        daily: bool,
    ) -> "Knowledge":
        """What the partitions' published sums say; thresholds and habits only of a new day.

        Args:
            version: Event time (unix seconds) of the boundary.
            published: One of each partition, in the order of the partitions.
            budget: How many false alerts a day are looked at.
            channels: Of each detector that has some.
            daily: Whether a day has begun.
        """
        priors = Priors(version, published)
        if not daily:
            return Knowledge(priors, self.thresholds, self.habits)
        tests = Thresholds(budget, channels, (summary.tests for summary in published))
        return Knowledge(priors, tests, HabitPriors(summary.habits for summary in published))

    @property
    def version(self) -> float:
        """Event time (unix seconds) of the boundary that it was taken at."""
        return self.priors.version
