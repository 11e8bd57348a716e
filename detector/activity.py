"""What a principal did in the hour so far, as numbers from 0 to 1: what the multivariate models look at."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, Self
from zlib import crc32

import msgspec

from detector.events import OUTSIDE, SENSITIVE, Event, Kind
from detector.wording import number, size

HOUR: Final = 3600.0
DISTINCT_MOST: Final = 64

ACTS: Final[tuple[Kind, ...]] = ("access", "transfer", "call", "permission", "publish", "delete", "auth")
"""The kinds of event that are a principal's own acts; a control event is an order to it, and is left out."""


class Feature(msgspec.Struct, frozen=True):
    """One number of the vector.

    `most` is the quantity at which a feature on the log scale reaches 1 (it stays there beyond), None for
    one that is a share by nature. `words` tell it in a sentence, after its quantity as `show` puts it; `one`
    where that is a single one.
    """

    name: str
    words: str
    most: float | None
    show: Callable[[float], str]
    one: str = ""

    def scaled(self, quantity: float) -> float:
        """The quantity (not below 0) as a number from 0 to 1."""
        return quantity if self.most is None else min(1.0, math.log1p(quantity) / math.log1p(self.most))

    def quantity(self, scaled: float) -> float:
        """The quantity that a number from 0 to 1 stands for."""
        return scaled if self.most is None else math.expm1(scaled * math.log1p(self.most))

    def tell(self, scaled: float) -> str:
        """The quantity that a number from 0 to 1 stands for, with its unit.

        >>> Feature("bytes_out", "sent", 1e12, size).tell(0.5)
        '1 MB'
        """
        return self.show(self.quantity(scaled))

    def told(self, scaled: float, low: float, high: float) -> str:
        """How far it is from its usual span, in words; all three from 0 to 1.

        >>> Feature("bytes_out", "sent", 1e12, size).told(0.75, 0.0, 0.25)
        '1 GB sent (usually 0 B to 999 B)'
        """
        if self.name in CLOCK:
            return self.words
        shown = self.tell(scaled)
        usual = " to ".join(dict.fromkeys((self.tell(low), self.tell(high))))
        return f"{shown} {self.one if shown == '1' and self.one else self.words} (usually {usual})"


def _count(value: float) -> str:
    return number(round(value))


def _share(value: float) -> str:
    return f"{value:.0%}"


def _place(value: float) -> str:
    return f"{value:.2f}"


_EVENTS: Final = 1e4
_BYTES: Final = 1e12
_RECORDS: Final = 1e9

CLOCK: Final = frozenset({"hour_sine", "hour_cosine"})

FEATURES: Final[tuple[Feature, ...]] = (
    Feature("events", "acts", _EVENTS, _count, "act"),
    *(Feature(f"{kind}_events", f"acts of kind {kind}", _EVENTS, _count, f"act of kind {kind}") for kind in ACTS),
    Feature("failed_share", "of the acts failed", None, _share),
    Feature("denied_share", "of the acts denied", None, _share),
    Feature("bytes_out", "sent", _BYTES, size),
    Feature("bytes_outside", "sent outside", _BYTES, size),
    Feature("bytes_in", "received", _BYTES, size),
    Feature("records", "records", _RECORDS, _count, "record"),
    Feature("actions", "different actions", DISTINCT_MOST, _count, "action"),
    Feature("targets", "different targets", DISTINCT_MOST, _count, "target"),
    Feature("destinations", "different destinations", DISTINCT_MOST, _count, "destination"),
    Feature("outside_share", "of the acts reached outside", None, _share),
    Feature("sensitive_share", "of the acts were on sensitive targets", None, _share),
    Feature("hour_sine", "at an unusual time of the day", None, _place),
    Feature("hour_cosine", "at an unusual time of the day", None, _place),
)
NAMES: Final[tuple[str, ...]] = tuple(feature.name for feature in FEATURES)
BY_NAME: Final = {feature.name: feature for feature in FEATURES}

# The vector is computed where events flow, so its scales are looked up once.
_PER_EVENTS, _PER_BYTES, _PER_RECORDS, _PER_DISTINCT = (
    1.0 / math.log1p(most) for most in (_EVENTS, _BYTES, _RECORDS, DISTINCT_MOST)
)


def clock_angle(hour: int) -> float:
    """Where an hour (counted from the epoch) stands on the clock of the day in UTC, in radians."""
    return 2.0 * math.pi * (hour % 24) / 24.0


class Activity:
    """Counts, sums and distinct names of one principal in its current hour of event time.

    Adding an event is O(1); the state is bounded whatever the events say. The first event of a later hour
    begins anew; an event of an hour that is over changes nothing. Distinct names are counted by their CRC-32
    up to `DISTINCT_MOST`, since a scan of thousands need not be counted to be seen.

    Example:
        >>> from detector.detectors.base import sample
        >>> activity = Activity()
        >>> for minute in range(3):
        ...     activity.add(sample(minute, kind="call", action="search", bytes_out=2_000), 3600.0)
        >>> {name: round(value, 2) for name, value in zip(NAMES[:18], activity.vector()) if value}
        {'events': 0.15, 'call_events': 0.15, 'bytes_out': 0.31, 'actions': 0.17}
    """

    __slots__ = (
        *("hour", "counts", "failed", "denied", "outside", "sensitive"),
        *("bytes_out", "bytes_outside", "bytes_in", "records", "actions", "targets", "destinations"),
    )

    def __init__(self) -> None:
        self._begin(-1)

    def _begin(self, hour: int) -> None:
        self.hour = hour
        self.counts: dict[Kind, int] = dict.fromkeys(ACTS, 0)
        self.failed = self.denied = self.outside = self.sensitive = 0
        self.bytes_out = self.bytes_outside = self.bytes_in = self.records = 0.0
        self.actions: set[int] = set()
        self.targets: set[int] = set()
        self.destinations: set[int] = set()

    @property
    def events(self) -> int:
        """Acts in the hour so far."""
        return sum(self.counts.values())

    def add(self, event: Event, now: float) -> None:
        """Take in an event that happened at `now` (unix seconds); orders and events of past hours are left out."""
        hour = int(now // HOUR)
        if hour != self.hour:
            if hour < self.hour:
                return
            self._begin(hour)
        if event.kind == "control":
            return
        self.counts[event.kind] += 1
        if event.outcome != "success":
            if event.outcome == "denied":
                self.denied += 1
            else:
                self.failed += 1
        sent, target, to = event.bytes_out, event.target, event.destination
        self.bytes_out += sent
        self.bytes_in += event.bytes_in
        self.records += event.records
        _note(self.actions, event.action)
        if target is not None:
            _note(self.targets, target.uri)
            if target.sensitivity in SENSITIVE:
                self.sensitive += 1
        if to is not None and (name := to.host or to.account or to.recipient):
            _note(self.destinations, name)
            if to.zone in OUTSIDE:
                self.outside += 1
                self.bytes_outside += sent

    def vector(self) -> list[float]:
        """The features in the order of `NAMES`, each from 0 to 1; all 0 but the clock before the first event."""
        log1p, per_events = math.log1p, _PER_EVENTS
        counts = self.counts.values()
        events = sum(counts)
        each = 1.0 / events if events else 0.0
        angle = clock_angle(self.hour)
        return [
            min(1.0, log1p(events) * per_events),
            *(min(1.0, log1p(count) * per_events) for count in counts),
            self.failed * each,
            self.denied * each,
            min(1.0, log1p(self.bytes_out) * _PER_BYTES),
            min(1.0, log1p(self.bytes_outside) * _PER_BYTES),
            min(1.0, log1p(self.bytes_in) * _PER_BYTES),
            min(1.0, log1p(self.records) * _PER_RECORDS),
            log1p(len(self.actions)) * _PER_DISTINCT,
            log1p(len(self.targets)) * _PER_DISTINCT,
            log1p(len(self.destinations)) * _PER_DISTINCT,
            self.outside * each,
            self.sensitive * each,
            0.5 + 0.5 * math.sin(angle),
            0.5 + 0.5 * math.cos(angle),
        ]

    def named(self) -> dict[str, float]:
        """The features by name."""
        return dict(zip(NAMES, self.vector(), strict=True))

    def copy(self) -> "Activity":
        """A twin that goes its own way: for scoring an event before it is learnt."""
        twin = Activity.__new__(Activity)
        for name in Activity.__slots__:
            setattr(twin, name, getattr(self, name))
        twin.counts = dict(self.counts)
        twin.actions, twin.targets, twin.destinations = set(self.actions), set(self.targets), set(self.destinations)
        return twin

    def dump(self) -> list[Any]:
        """The state as plain data: numbers, then the names' sums in order."""
        return [
            self.hour,
            list(self.counts.values()),
            [self.failed, self.denied, self.outside, self.sensitive],
            [self.bytes_out, self.bytes_outside, self.bytes_in, self.records],
            [sorted(names) for names in (self.actions, self.targets, self.destinations)],
        ]

    def load(self, state: Sequence[Any]) -> Self:
        """Take over a state that `dump` gave.

        Raises:
            ValueError: It has another shape.
        """
        self.hour, counts, shares, sums, names = state
        self.counts = dict(zip(ACTS, counts, strict=True))
        self.failed, self.denied, self.outside, self.sensitive = shares
        self.bytes_out, self.bytes_outside, self.bytes_in, self.records = sums
        self.actions, self.targets, self.destinations = map(set, names)
        return self


def destination_name(event: Event) -> str:
    """What the event's destination is counted as: its host, else its account, else its recipient; "" for none."""
    to = event.destination
    return "" if to is None else to.host or to.account or to.recipient or ""


def name_sum(name: str) -> int:
    """The number that a name is counted by: the same on every machine, and 0 for no name."""
    return crc32(name.encode())


def _note(names: set[int], name: str) -> None:
    if name and len(names) < DISTINCT_MOST:
        names.add(crc32(name.encode()))


def milestone(events: int) -> bool:
    """Whether this count of events in an hour is one at which it is judged: 1, 2, 4, 8 and so on.

    A busy hour is then judged a few times more often than a quiet one, not a thousand times.

    >>> [events for events in range(20) if milestone(events)]
    [1, 2, 4, 8, 16]
    """
    return events > 0 and events & (events - 1) == 0
