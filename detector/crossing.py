"""How partitions come from one version of the peers' knowledge to the next: by themselves, or with all workers'."""

from collections.abc import Mapping, Sequence
from math import inf
from typing import Final

from detector.budget import BudgetSettings
from detector.exchange import Exchange, notice_of
from detector.knowledge import Knowledge
from detector.partitions import PartitionState
from detector.peers import PeerSummary

DAY: Final = 86400.0


class Crossing:
    """Publishes the partitions' sums at boundaries of event time, and puts their merger into force.

    Without an exchange the partitions are all there are, and cross together at the first event past a boundary
    (`at_once`). With one they cross (`to`) when the partitions of all workers have said what they add.

    Args:
        every: Seconds of event time from one boundary to the next.
        budget: How many false alerts a day are looked at.
        channels: Of each detector that has some.
        exchange: With the other workers; None: there are none.
    """

    def __init__(
        self,
        every: float,
        budget: BudgetSettings,
        channels: Mapping[str, Sequence[str]],
        exchange: Exchange | None = None,
    ) -> None:
        self._every, self._budget, self._channels = every, budget, channels
        self.exchange = exchange
        self.partitions: dict[tuple[str, int], PartitionState] = {}
        self._fresh: list[tuple[tuple[str, int], PartitionState]] = []
        self.in_force = Knowledge.nothing(budget, channels)
        """The newest that any partition is judged by."""
        self.due_at_once = self._due_at_once()
        """The event time from which on `at_once` is due; never with an exchange."""
        self.cut = 0
        """Sums that were too large to be published in full."""

    def take_over(self, other: "Crossing") -> None:
        """Go on where another stands, by this one's budget and detectors; the other is not to be used again."""
        self.exchange, self.partitions, self.cut = other.exchange, other.partitions, other.cut
        made = {id(other.in_force): other.in_force.under(self._budget, self._channels)}
        for state in self.partitions.values():
            if id(state.knowledge) not in made:
                made[id(state.knowledge)] = state.knowledge.under(self._budget, self._channels)
            state.knowledge = made[id(state.knowledge)]
        self.in_force = made[id(other.in_force)]
        self.due_at_once = self._due_at_once()

    def _due_at_once(self) -> float:
        return self.boundary(self.in_force.version) + self._every if self.exchange is None else inf

    def open(self, partition: tuple[str, int], state: PartitionState) -> None:
        """Take a partition in; after a round of these, `settle`."""
        self.partitions[partition] = state
        if self.exchange is not None:
            self.exchange.own(partition)
            if state.restored_version is None:
                self._fresh.append((partition, state))

    def close(self, partition: tuple[str, int]) -> None:
        """Forget a partition; what it published goes on to count until the next boundary."""
        self.partitions.pop(partition, None)
        if self.exchange is not None:
            self.exchange.disown(partition)

    @property
    def oldest(self) -> float:
        """The boundary (unix seconds) of the oldest knowledge that any partition is or will be judged by."""
        states = self.partitions.values()
        versions = [s.knowledge.version if s.restored_version is None else s.restored_version for s in states]
        return min(versions, default=self.in_force.version)

    def settle(self) -> None:
        """Take what the restored partitions had published into force, and with an exchange what the others had."""
        restored = {s.restored_version for s in self.partitions.values() if s.restored_version is not None}
        if self.exchange is None:
            self._merge(max(self.in_force.version, *restored, 0.0), daily=True)
        for version in sorted(restored) if self.exchange is not None else ():
            known = self._known(version)
            for state in self.partitions.values():
                if state.restored_version == version:
                    known = known or self._as_of(version)
                    state.knowledge = known
        self.in_force = max([self.in_force, *(s.knowledge for s in self.partitions.values())], key=_version)
        for partition, state in self._fresh:
            state.knowledge = self.in_force
            if self.exchange is not None and self.in_force.version:  # who is behind need not wait for it
                nothing, _ = notice_of(partition, 0.0, self.in_force.version, PeerSummary())
                self.exchange.publish(nothing)
        self._fresh.clear()
        for state in self.partitions.values():
            state.restored_version = None

    def _known(self, version: float) -> Knowledge | None:
        """Knowledge of a version that a partition is judged by already; what was known before the first event, too."""
        held = (s.knowledge for s in self.partitions.values() if s.restored_version is None)
        return next((one for one in (*held, self.in_force) if one.version == version), None)

    def _as_of(self, version: float) -> Knowledge:
        """What was in force from a boundary on, from what was published then."""
        assert self.exchange is not None  # noqa: S101 - asked by who has one
        own = {p: s.published for p, s in self.partitions.items() if s.restored_version == version}
        summaries = self.exchange.sums(version, own, daily=True)
        return self.in_force.renewed(version, summaries, self._budget, self._channels, daily=True)

    def at_once(self, now: float) -> None:
        """Publish every partition's sums and take their merger into force until the next boundary.

        Tests and habits are published daily: reading them out costs milliseconds, and neither should flutter.
        """
        boundary = self.boundary(now)
        before = self.in_force.version
        days = boundary // DAY - before // DAY
        for state in self.partitions.values():
            if days:
                state.accumulating.tests.age(1.0 if before else 0.0)  # days without events are none
            state.published = state.accumulating.published(None if days else state.published)
        self._merge(boundary, daily=days > 0)

    def _merge(self, version: float, *, daily: bool) -> None:
        published = [state.published for _, state in sorted(self.partitions.items())]
        self.in_force = self.in_force.renewed(version, published, self._budget, self._channels, daily=daily)
        for state in self.partitions.values():
            state.knowledge = self.in_force
        self.due_at_once = self._due_at_once()

    def boundary(self, time: float) -> float:
        """The last boundary up to an event time."""
        return time // self._every * self._every

    def due(self, partition: tuple[str, int] | None = None) -> float:
        """The event time from which on a partition, or the first of all, is past the boundary it stands at."""
        states = self.partitions.values() if partition is None else [self.partitions[partition]]
        version = min((state.knowledge.version for state in states), default=0.0)
        return self.boundary(version) + self._every

    def to(self, boundary: float, *, overdue: bool = False) -> bool:
        """Bring all partitions to a boundary before which they have nothing more, as far as the others let them.

        What they add is published first, so that nobody waits for who waits.

        Args:
            boundary: The boundary, in unix seconds.
            overdue: Whether to go on without those who have not said yet what they add to the next one.

        Returns:
            Whether the partitions are there, and what lies behind it can be judged; else ask again.
        """
        exchange = self.exchange
        assert exchange is not None  # noqa: S101 - asked by who has one
        while behind := [p for p, s in sorted(self.partitions.items()) if s.knowledge.version < boundary]:
            version = min(self.partitions[p].knowledge.version for p in behind)
            standing = [p for p in behind if self.partitions[p].knowledge.version == version]
            for partition in standing:
                self._publish(partition, boundary)
            promised = min(self.partitions[p].promised for p in standing)
            reached, overdue = exchange.next(version, overdue=overdue), False
            if reached is None:
                return promised > boundary  # it comes late to a boundary that was promised meanwhile
            if reached > boundary:
                return True
            self._move(standing, version, reached)
        return True

    def _publish(self, partition: tuple[str, int], until: float) -> None:
        """Say what a partition adds, unless it is said already."""
        state, since = self.partitions[partition], self.partitions[partition].knowledge.version
        if state.notice is not None and state.notice.covers(since):
            return
        daily = until // DAY > since // DAY
        sums = state.accumulating.published(None if daily else state.published)
        if daily:
            sums.tests.age(1.0 if since else 0.0)  # days without events are none
        notice, cut = notice_of(partition, since, until, sums)
        self.cut += cut
        assert self.exchange is not None  # noqa: S101 - asked by who has one
        self.exchange.publish(notice)
        if cut:  # all judge by the same
            said = self.exchange.sums_of(partition, until, daily=daily)
            sums = sums if said is None else said.with_daily_of(said if daily else sums)
        state.notice, state.promise = notice, sums

    def _move(self, standing: Sequence[tuple[str, int]], version: float, boundary: float) -> None:
        """Put what all published for a boundary into force for the partitions that stand before it."""
        assert self.exchange is not None  # noqa: S101 - asked by who has one
        daily = boundary // DAY > version // DAY
        own: dict[tuple[str, int], PeerSummary] = {}
        for partition in standing:
            state = self.partitions[partition]
            if daily:
                state.accumulating.tests.age(1.0 if version else 0.0)
            assert state.promise is not None  # noqa: S101 - it was published
            own[partition] = state.published = state.promise.with_daily_of(state.promise if daily else state.published)
        known = self._known(boundary)
        if known is None:
            before, summaries = self.partitions[standing[0]].knowledge, self.exchange.sums(boundary, own, daily=daily)
            known = before.renewed(boundary, summaries, self._budget, self._channels, daily=daily)
        for partition in standing:
            self.partitions[partition].knowledge = known
        self.in_force = max(self.in_force, known, key=_version)
        self.exchange.forget(min(state.knowledge.version for state in self.partitions.values()))


def _version(knowledge: Knowledge) -> float:
    return knowledge.version
