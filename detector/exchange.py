"""What the partitions of all workers have published of their sums, and which boundary comes next for all of them.

A partition that has nothing more before a boundary says so in a `Notice`, with its sums. The fleet's next boundary is
the earliest that anybody is at, once everybody has said how far it is: so the hours of the fleet are those in which
anything happened, however its partitions are spread over workers, and everybody adds up the same numbers.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from detector.budget import PastScores
from detector.habits import HabitSums
from detector.peers import CAPACITY, Group, PeerSummary

Partition = tuple[str, int]

DAY: Final = 86400.0

# To be raised with every change in the shape of the sums: those of another version are not understood.
WIRE_VERSION: Final = 1

PACKED_MOST: Final = 3 << 20
"""Bytes of one notice, about, compressed: less than the topic takes."""

# Where sums are larger: for so many of its commonest endpoints a role and namespace still speaks.
CUTS: Final = (CAPACITY, 512, 64, 0)

HELD_MOST: Final = 256 << 20
"""Bytes of notices held, as they are packed; past it those of the farthest boundaries are dropped."""


class Notice(msgspec.Struct, frozen=True, array_like=True):
    """That a partition has nothing more before the boundary `until`, and its sums by then.

    Times are event times in unix seconds. `since` is the boundary that its knowledge is of meanwhile. `roles` are
    packed sums; `daily` packed tests and habits, None unless `until` is of a later day than `since`.
    """

    version: int
    topic: str
    number: int
    since: float
    until: float
    roles: bytes
    daily: bytes | None

    @property
    def partition(self) -> Partition:
        """The partition that it is of."""
        return self.topic, self.number

    @property
    def key(self) -> bytes:
        """What it replaces an earlier one by."""
        return f"{self.topic}/{self.number}/{self.since!r}".encode()

    @property
    def size(self) -> int:
        """Bytes, about."""
        return len(self.roles) + len(self.daily or b"") + 100

    def covers(self, version: float) -> bool:
        """Whether it says what the partition adds to the boundary after `version`.

        Tests age with each day on which anything happened; before its first boundary a partition has none.
        """
        if self.until <= version:
            return False
        return not self.since or self.since // DAY >= version // DAY or self.until // DAY == version // DAY

    def leads_to(self, boundary: float) -> bool:
        """Whether its sums are those as of a boundary."""
        return self.since < boundary <= self.until

    def encode(self) -> bytes:
        """As it is sent."""
        return msgspec.msgpack.encode(self)


_NOTICE: Final = msgspec.msgpack.Decoder(Notice)


def decode(raw: bytes) -> Notice:
    """The notice in a message.

    Raises:
        msgspec.DecodeError: It is none, or of another version.
    """
    notice = _NOTICE.decode(raw)
    if notice.version != WIRE_VERSION:
        raise msgspec.DecodeError(f"it has version {notice.version}, this program reads {WIRE_VERSION}")
    return notice


def notice_of(partition: Partition, since: float, until: float, sums: PeerSummary) -> tuple[Notice, bool]:
    """What is to be said of a partition; and whether the sums were too large to be said in full.

    Then the rarest endpoints of each role are left out, as many as it takes; at last the habits, and the tests.
    """
    daily = until // DAY > since // DAY
    parts: list[bytes | None] = []
    for most in CUTS:
        roles = _pack({name: _cut(group.snapshot(), most) for name, group in sums.roles.items()})
        if not parts:
            parts = [_pack([sums.tests.snapshot(), sums.habits.snapshot()]) if daily else None]
        if len(roles) + len(parts[0] or b"") <= PACKED_MOST:
            return Notice(WIRE_VERSION, *partition, since, until, roles, parts[0]), most < CAPACITY
    if daily:
        parts += [_pack([sums.tests.snapshot(), {}]), _pack([PastScores().snapshot(), {}])]
    fitting = next((part for part in parts if len(roles) + len(part or b"") <= PACKED_MOST), parts[-1])
    return Notice(WIRE_VERSION, *partition, since, until, roles, fitting), True


def _cut(group: list[Any], most: int) -> list[Any]:
    *sums, usage = group
    return [*sums, {name: [pairs, _commonest(users, most)] for name, (pairs, users) in usage.items()}]


def _commonest(users: dict[str, int], most: int) -> dict[str, int]:
    return users if len(users) <= most else dict(sorted(users.items(), key=lambda item: -item[1])[:most])


def _pack(data: Any) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(data), 1)


def _unpack(packed: bytes) -> Any:
    return msgspec.msgpack.decode(zlib.decompress(packed))


class Exchange:
    """The notices of all partitions, those of this worker among them. Pure: no clock, no I/O, no threads.

    Args:
        send: Takes what this worker says to the others.
    """

    def __init__(self, send: Callable[[Notice], None]) -> None:
        self._send = send
        self._held: dict[Partition, dict[float, Notice]] = {}
        self._own: set[Partition] = set()
        self._heard: dict[Partition, int] = {}
        self._given_up: dict[Partition, int] = {}
        self._bytes = 0
        self.partitions: frozenset[Partition] | None = None
        """All that there are; None while nobody has said so."""
        self.deaf = False
        """Whether there is no way to hear of the others: nobody is waited for."""
        self.dropped = 0
        """Notices that there was no room for."""
        self.forgotten = 0.0
        """The version before which nothing can be told any more."""

    @property
    def idle(self) -> bool:
        """Whether this worker has no partition."""
        return not self._own

    def clear(self) -> None:
        """Forget all that was said."""
        self._held.clear()
        self._heard.clear()
        self._given_up.clear()
        self._bytes, self.forgotten = 0, 0.0

    @property
    def alone(self) -> bool:
        """Whether this worker has all partitions."""
        return self.partitions is not None and self.partitions <= self._own

    def own(self, partition: Partition) -> None:
        """It is this worker's from here on."""
        self._own.add(partition)

    def disown(self, partition: Partition) -> None:
        """It is another's; what it said holds."""
        self._own.discard(partition)

    def publish(self, notice: Notice) -> None:
        """Say it to the others, and hold it."""
        self._hold(notice)
        self._send(notice)

    def put(self, notice: Notice) -> None:
        """Take in what was said of a partition; of one's own only what one does not know."""
        partition = notice.partition
        if partition in self._own and notice.since in self._held.get(partition, ()):
            return
        self._heard[partition] = self._heard.get(partition, 0) + 1
        self._hold(notice)

    def _hold(self, notice: Notice) -> None:
        held = self._held.setdefault(notice.partition, {})
        before = held.get(notice.since)
        self._bytes += notice.size - (before.size if before is not None else 0)
        held[notice.since] = notice
        while self._bytes > HELD_MOST:
            self._drop(max(self._all(), key=lambda one: (one.since, one.partition)))
            self.dropped += 1

    def _drop(self, notice: Notice) -> None:
        del self._held[notice.partition][notice.since]
        self._bytes -= notice.size

    def _all(self) -> Iterator[Notice]:
        return (notice for held in self._held.values() for notice in held.values())

    def forget(self, version: float) -> None:
        """What can't be asked for by anybody whose knowledge is of `version` or later is held no longer."""
        self.forgotten = max(self.forgotten, version)
        day = version // DAY * DAY
        for held in self._held.values():
            past = [notice for notice in held.values() if notice.until < version]
            last = max(past, key=lambda one: one.until, default=None)
            of_the_day = max((n for n in past if n.daily is not None), key=lambda one: one.until, default=None)
            for notice in past:
                if notice not in (last, of_the_day) and not (notice.daily is not None and notice.leads_to(day)):
                    self._drop(notice)

    def missing(self, version: float) -> list[Partition]:
        """Others' partitions that are waited for: they have not said what they add to the boundary after `version`."""
        if self.deaf:
            return []
        others = (self.partitions or frozenset()) - self._own
        return sorted(
            p
            for p in others
            if not any(notice.covers(version) for notice in self._held.get(p, {}).values())
            and self._given_up.get(p) != self._heard.get(p, 0)
        )

    def next(self, version: float, *, overdue: bool = False) -> float | None:
        """The fleet's next boundary after `version`; None while somebody has not said how far it is.

        A partition without a past (version 0) goes straight to where the others are.

        Args:
            version: A boundary that partitions of this worker stand at, which have said their part.
            overdue: Whether to wait no longer. Who was waited for in vain is not, until it says something again.
        """
        if not version:
            limit = min((n.until for p in self._own for n in self._held.get(p, {}).values() if not n.since), default=0)
            there = (n.since for n in self._all() if n.partition not in self._own and n.since <= limit)
            if newest := max(there, default=0.0):
                return newest
        missing = self.missing(version)
        if (missing or (self.partitions is None and not self.deaf)) and not overdue:
            return None
        for partition in missing:
            self._given_up[partition] = self._heard.get(partition, 0)
        return min((notice.until for notice in self._all() if notice.until > version), default=None)

    def ahead(self, version: float) -> float | None:
        """The earliest boundary after `version` that somebody else waits at; None: nobody does."""
        untils = (n.until for n in self._all() if n.partition not in self._own and n.until > version)
        return min(untils, default=None)

    def sums(self, boundary: float, own: Mapping[Partition, PeerSummary], *, daily: bool) -> list[PeerSummary]:
        """What each partition adds to a boundary, in the order of the partitions; what is last known of some.

        Args:
            boundary: The boundary, in unix seconds.
            own: What is known better of this worker's partitions.
            daily: Whether tests and habits are wanted, too: those as of the beginning of the boundary's day.
        """
        names = sorted({*self._held, *own})
        found = (own[p] if p in own else self.sums_of(p, boundary, daily=daily) for p in names)
        return [sums for sums in found if sums is not None]

    def sums_of(self, partition: Partition, boundary: float, *, daily: bool) -> PeerSummary | None:
        """What one partition adds to a boundary, or last did; None if nothing is known of it."""
        held = list(self._held.get(partition, {}).values())
        notice = _last(held, boundary, boundary)
        if notice is None:
            return None
        sums = PeerSummary()
        sums.roles = {name: Group().restore(group) for name, group in _unpack(notice.roles).items()}
        by_day = _last([n for n in held if n.daily is not None], boundary // DAY * DAY, boundary) if daily else None
        if by_day is not None and by_day.daily is not None:
            tests, habits = _unpack(by_day.daily)
            sums.tests, sums.habits = PastScores().restore(tests), HabitSums().restore(habits)
        return sums


def _last(notices: list[Notice], at: float, most: float) -> Notice | None:
    """The notice that leads to `at`; else the last before `most`."""
    leading = [notice for notice in notices if notice.leads_to(at)]
    if leading:
        return max(leading, key=lambda one: one.since)
    return max((n for n in notices if n.until <= most), key=lambda one: one.until, default=None)
