"""What peers do: summaries by role that can be added up, so that one partition or sixty-four judge alike.

Each partition adds up its own `PeerSummary`. At event-time boundaries the published sums of all partitions
are merged into `Priors`, which detectors read until the next boundary.
"""

from collections.abc import Iterable
from typing import Any, Final, Self

from river.stats import Var

from detector.budget import PastScores
from detector.habits import HabitSums
from models.novelty import probability_of_new
from models.rate import Prior

FLEET: Final = ""
CAPACITY: Final = 4096
ROLES_MOST: Final = 1000

# So many (principal, endpoint) pairs of a namespace must be known before "nobody uses it" says anything.
KNOWN_PAIRS: Final = 30

# So many active hours of a role must be known before its habits say anything about a newcomer.
KNOWN_HOURS: Final = 30

# Assumed log peaks (natural log of 1 + amount) where nobody has any history: the middle of what sessions
# move (100 kB, 100 records), and so wide that only the grossest amount is strange.
UNKNOWN_BYTES: Final = Prior(mean=11.5, sd=3.0, count=2.0)
UNKNOWN_RECORDS: Final = Prior(mean=4.6, sd=2.5, count=2.0)

# How many blocks (or hours) of data the wider knowledge counts for, when a narrower one is drawn to it.
IGNORANCE_WEIGHT: Final = 3.0
FLEET_WEIGHT: Final = 10.0


class Usage:
    """Which endpoints of one namespace a group uses: for each the number of its principals that do."""

    __slots__ = ("pairs", "users")

    def __init__(self) -> None:
        self.users: dict[str, int] = {}
        self.pairs = 0

    def add(self, name: str, count: int = 1) -> None:
        """Count `count` more principals that use `name`; the rarest are forgotten past the capacity."""
        self.pairs += count
        self.users[name] = self.users.get(name, 0) + count
        if len(self.users) > CAPACITY:
            self._forget()

    def _forget(self) -> None:
        kept = sorted(self.users.items(), key=lambda item: -item[1])[: CAPACITY * 3 // 4]
        self.users = dict(kept)

    def probability_new(self) -> float:
        """Probability that the next endpoint a principal of the group takes up is new to the group."""
        return probability_of_new(len(self.users), self.pairs)


class Group:
    """What one role (or the whole fleet) does.

    `hours` are active hours of its principals, `channel_hours` those of them in which a channel was used;
    `peaks` log peaks by channel and half-life; `usage` the endpoints by namespace.
    """

    __slots__ = ("channel_hours", "hours", "members", "peaks", "usage")

    def __init__(self) -> None:
        self.members = 0
        self.hours = 0
        self.channel_hours: dict[str, int] = {}
        self.peaks: dict[str, list[Var]] = {}
        self.usage: dict[str, Usage] = {}

    def add_peak(self, channel: str, half_life: int, log_peak: float) -> None:
        """Add one principal's log peak of one block; `half_life` is an index."""
        moments = self.peaks.setdefault(channel, [])
        while len(moments) <= half_life:
            moments.append(Var(ddof=0))
        moments[half_life].update(log_peak)

    def add_channel_hour(self, channel: str) -> None:
        """Count an hour in which one principal used a channel."""
        self.channel_hours[channel] = self.channel_hours.get(channel, 0) + 1

    def add_use(self, namespace: str, name: str) -> None:
        """Count one more principal that uses an endpoint."""
        usage = self.usage.get(namespace)
        if usage is None:
            usage = self.usage[namespace] = Usage()
        usage.add(name)

    def merge(self, other: "Group") -> None:
        """Add another group's sums to this one's."""
        self.members += other.members
        self.hours += other.hours
        for channel, hours in other.channel_hours.items():
            self.channel_hours[channel] = self.channel_hours.get(channel, 0) + hours
        for channel, moments in other.peaks.items():
            mine = self.peaks.setdefault(channel, [])
            while len(mine) < len(moments):
                mine.append(Var(ddof=0))
            for own, theirs in zip(mine, moments, strict=False):
                if theirs.n:
                    own += theirs  # noqa: PLW2901 - in place, by river's own merge
        for namespace, usage in other.usage.items():
            if usage.users:
                ours = self.usage.setdefault(namespace, Usage())
                for name, count in usage.users.items():
                    ours.add(name, count)

    def snapshot(self) -> list[Any]:
        """Plain data: members, hours, hours by channel, log peaks by channel ([n, mean, squares] each), usage."""
        return [
            self.members,
            self.hours,
            dict(self.channel_hours),
            {c: [_numbers(v) for v in moments] for c, moments in self.peaks.items()},
            {n: [u.pairs, dict(u.users)] for n, u in self.usage.items()},
        ]

    def restore(self, state: list[Any]) -> Self:
        """Take over a snapshot."""
        self.members, self.hours, channel_hours, peaks, usage = state
        self.channel_hours = dict(channel_hours)
        self.peaks = {c: [_moments(*numbers) for numbers in moments] for c, moments in peaks.items()}
        self.usage = {}
        for namespace, (pairs, users) in usage.items():
            kept = self.usage[namespace] = Usage()
            kept.pairs, kept.users = pairs, dict(users)
        return self


def _numbers(moments: Var) -> list[float]:
    # river's Var has no public way in and out of its state; a test holds these names to the pinned version.
    return [moments.n, moments.mean.get(), moments._S]


def _moments(n: float, mean: float, squares: float) -> Var:
    moments = Var(ddof=0)
    moments.mean.n, moments.mean._mean, moments._S = n, mean, squares
    return moments


class PeerSummary:
    """What one partition knows about its roles, how its tests came out, and what its principals are used to."""

    __slots__ = ("habits", "roles", "tests")

    def __init__(self) -> None:
        self.roles: dict[str, Group] = {"": Group()}
        self.tests = PastScores()
        self.habits = HabitSums()

    def role(self, name: str) -> Group:
        """The sums of a role, made when first asked for; past `ROLES_MOST` roles, those of no role."""
        group = self.roles.get(name)
        if group is None:
            if len(self.roles) >= ROLES_MOST:
                return self.roles[""]
            group = self.roles[name] = Group()
        return group

    def published(self, earlier: "PeerSummary | None") -> "PeerSummary":
        """A copy to be published; tests and habits as they were in `earlier`, if given."""
        copy = PeerSummary()
        copy.roles = {name: Group().restore(group.snapshot()) for name, group in self.roles.items()}
        if earlier is not None:
            copy.tests, copy.habits = earlier.tests, earlier.habits
        else:
            copy.tests.restore(self.tests.snapshot())
            copy.habits.restore(self.habits.snapshot())
        return copy

    def with_daily_of(self, other: "PeerSummary") -> "PeerSummary":
        """These roles' sums with the tests and habits of another summary; nothing is copied."""
        both = PeerSummary()
        both.roles, both.tests, both.habits = self.roles, other.tests, other.habits
        return both

    def snapshot(self) -> list[Any]:
        """[{role: group}, tests, habits]."""
        roles = {name: group.snapshot() for name, group in self.roles.items()}
        return [roles, self.tests.snapshot(), self.habits.snapshot()]

    def restore(self, state: list[Any]) -> Self:
        """Take over a snapshot."""
        roles, tests, habits = state
        self.roles = {name: Group().restore(group) for name, group in roles.items()}
        self.tests.restore(tests)
        self.habits.restore(habits)
        return self


class Priors:
    """The peers' knowledge in force: read-only, with the boundary (unix seconds) it was taken at."""

    def __init__(self, version: float = 0.0, published: Iterable[PeerSummary] = ()) -> None:
        self.version = version
        self._groups: dict[str, Group] = {FLEET: Group()}
        self._cache: dict[tuple[str, str, int], tuple[Prior, ...]] = {}
        self._shares: dict[tuple[str, str], float] = {}
        for summary in published:
            for role, group in sorted(summary.roles.items()):
                self._groups.setdefault(role or "-", Group()).merge(group)
                self._groups[FLEET].merge(group)

    def rate(self, role: str, channel: str, half_lives: int) -> tuple[Prior, ...]:
        """For each half-life: the role's prior, drawn to the fleet's and to ignorance while data is short."""
        key = (role, channel, half_lives)
        prior = self._cache.get(key)
        if prior is None:
            prior = self._cache[key] = tuple(self._rate(role, channel, i) for i in range(half_lives))
        return prior

    def _rate(self, role: str, channel: str, half_life: int) -> Prior:
        prior = UNKNOWN_BYTES if channel.startswith("bytes") else UNKNOWN_RECORDS
        for name, weight in ((FLEET, IGNORANCE_WEIGHT), (role or "-", FLEET_WEIGHT)):
            group = self._groups.get(name)
            moments = group.peaks.get(channel, ()) if group is not None else ()
            if half_life < len(moments) and moments[half_life].n:
                prior = _shrunk(moments[half_life], prior, weight)
        return prior

    def share_of_hours(self, role: str, channel: str) -> float:
        """In which share of its active hours a principal of the role uses a channel; half if nobody knows."""
        share = self._shares.get((role, channel))
        if share is None:
            share = self._shares[role, channel] = self._share_of_hours(role, channel)
        return share

    def _share_of_hours(self, role: str, channel: str) -> float:
        share = 0.5
        for name, weight in ((FLEET, IGNORANCE_WEIGHT), (role or "-", FLEET_WEIGHT)):
            group = self._groups.get(name)
            if group is not None:
                share = (group.channel_hours.get(channel, 0) + weight * share) / (group.hours + weight)
        return share

    def habit(self, role: str, channel: str) -> float:
        """In which share of its active hours the role itself uses a channel; 1 while the role is hardly known."""
        group = self._groups.get(role or "-")
        if group is None or group.hours < KNOWN_HOURS:
            return 1.0
        return self.share_of_hours(role, channel)

    def hours(self, role: str) -> int:
        """Active hours of the role's principals that this knowledge stands on."""
        group = self._groups.get(role or "-")
        return group.hours if group is not None else 0

    def base(self, role: str, namespace: str, name: str) -> float:
        """Probability that a new endpoint of a principal in `role` is as rare among its peers as `name`."""
        probability = 1.0
        for group_name in (role or "-", FLEET):
            group = self._groups.get(group_name)
            usage = group.usage.get(namespace) if group is not None else None
            if group is None or usage is None:
                continue
            users = usage.users.get(name, 0)
            if users:
                return probability * max(users / max(group.members, users), 0.05)
            probability *= usage.probability_new()
        return probability

    def knows(self, namespace: str, name: str) -> bool:
        """Whether anybody in the fleet uses the endpoint, or too little is known to tell."""
        usage = self._groups[FLEET].usage.get(namespace)
        return usage is None or usage.pairs < KNOWN_PAIRS or name in usage.users

    def users(self, role: str, namespace: str, name: str) -> tuple[int, int]:
        """How many principals of the role use the endpoint, and how many in the whole fleet."""
        counts = []
        for group_name in (role or "-", FLEET):
            group = self._groups.get(group_name)
            usage = group.usage.get(namespace) if group is not None else None
            counts.append(usage.users.get(name, 0) if usage is not None else 0)
        return counts[0], counts[1]


def _shrunk(moments: Var, towards: Prior, weight: float) -> Prior:
    """A group's moments, drawn to a wider group's as if that had been seen in `weight` blocks."""
    n = float(moments.n)
    share = n / (n + weight)
    apart = share * (1.0 - share) * (moments.mean.get() - towards.mean) ** 2
    variance = share * moments.get() + (1.0 - share) * towards.sd**2 + apart
    mean = share * moments.mean.get() + (1.0 - share) * towards.mean
    return Prior(mean=mean, sd=variance**0.5, count=n + min(towards.count, weight))
