"""What the peers' sums say, merged over partitions: one version of it is in force between two boundaries."""

from detector.budget import Thresholds
from detector.habits import HabitPriors
from detector.peers import Priors


class Knowledge:
    """Read-only: priors (renewed hourly), thresholds and habits (daily)."""

    __slots__ = ("habits", "priors", "thresholds")

    def __init__(self, priors: Priors, thresholds: Thresholds, habits: HabitPriors) -> None:
        self.priors = priors
        self.thresholds = thresholds
        self.habits = habits

    @property
    def version(self) -> float:
        """Event time (unix seconds) of the boundary that it was taken at."""
        return self.priors.version
