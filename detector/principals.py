"""What is remembered of each principal: bounded, in order of last use, and plain enough to be saved alone."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from detector.approvals import ApprovalLedger
from detector.events import ActorKind


class HourlyTest(NamedTuple):
    """One principal's hour on one channel: its highest score, and whether that was beyond the limit.

    `told_on` is the last day (from the epoch) of which a test beyond the limit was counted.
    """

    hour: float
    score: float
    beyond: bool
    told_on: float = -1.0


class PrincipalState:
    """One principal: who it is, since when it is known, its approvals, and each detector's state of it.

    Times are unix seconds of event time. A pinned one (under a stop) is not forgotten to make room. `tests` are
    the ones in progress, by channel; `active_hour` is the last hour (from the epoch) in which it did anything.
    """

    __slots__ = (
        "active_hour",
        "events",
        "first_seen",
        "id",
        "kind",
        "last_seen",
        "ledger",
        "pinned",
        "role",
        "states",
        "tests",
    )

    def __init__(self, principal: str, kind: ActorKind, role: str, first_seen: float) -> None:
        self.id = principal
        self.kind: ActorKind = kind
        self.role = role
        self.first_seen = first_seen
        self.last_seen = first_seen
        self.events = 0
        self.active_hour = -1.0
        self.pinned = False
        self.ledger = ApprovalLedger()
        self.states: dict[str, Any] = {}
        self.tests: dict[str, HourlyTest] = {}


class PrincipalStore:
    """Principals in order of last use: at most `capacity`, none idle for longer than `idle` seconds.

    Args:
        capacity: Principals kept; past it, the one unused for longest is forgotten.
        idle: Seconds of event time after which an unused principal is forgotten.
    """

    def __init__(self, capacity: int, idle: float) -> None:
        self._capacity = capacity
        self._idle = idle
        self._principals: dict[str, PrincipalState] = {}

    def __len__(self) -> int:
        return len(self._principals)

    def __iter__(self) -> Iterator[PrincipalState]:
        return iter(self._principals.values())

    def get(self, principal: str) -> PrincipalState | None:
        """The principal, without marking it as used."""
        return self._principals.get(principal)

    def use(self, principal: str, now: float) -> PrincipalState | None:
        """The principal, marked as used at `now`; None if it is not known."""
        state = self._principals.pop(principal, None)
        if state is not None:
            self._principals[principal] = state
            state.last_seen = max(state.last_seen, now)
        return state

    def add(self, state: PrincipalState) -> list[PrincipalState]:
        """Put in a new principal; returns those that were forgotten for it."""
        gone = []
        for _ in range(len(self._principals)):
            oldest = next(iter(self._principals.values()))
            idle = oldest.last_seen < state.last_seen - self._idle
            if not idle and len(self._principals) < self._capacity:
                break
            del self._principals[oldest.id]
            if oldest.pinned and not idle and self._pinned() < self._capacity // 2:
                self._principals[oldest.id] = oldest
            else:
                gone.append(oldest)
        self._principals[state.id] = state
        return gone

    def _pinned(self) -> int:
        return sum(state.pinned for state in self._principals.values())

    def restore(self, state: PrincipalState) -> None:
        """Put in a principal as it was saved, in the order in which they were."""
        self._principals[state.id] = state


def dump_ledger(ledger: ApprovalLedger) -> Any:
    """Plain data of a ledger."""
    return msgspec.to_builtins(ledger.rulings)


def load_ledger(data: Any) -> ApprovalLedger:
    """A ledger from its plain data."""
    return msgspec.convert({"rulings": data}, ApprovalLedger)
