"""What is remembered of each principal: bounded, in order of last use, and plain enough to be saved alone."""

from collections.abc import Iterator
from typing import Any

import msgspec

from detector.approvals import ApprovalLedger
from detector.events import ActorKind


class PrincipalState:
    """One principal: who it is, since when it is known, its approvals, and each detector's state of it.

    Times are unix seconds of event time.
    """

    __slots__ = ("events", "first_seen", "id", "kind", "last_seen", "ledger", "role", "states")

    def __init__(self, principal: str, kind: ActorKind, role: str, first_seen: float) -> None:
        self.id = principal
        self.kind: ActorKind = kind
        self.role = role
        self.first_seen = first_seen
        self.last_seen = first_seen
        self.events = 0
        self.ledger = ApprovalLedger()
        self.states: dict[str, Any] = {}


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
        self.forgotten = 0

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

    def add(self, state: PrincipalState) -> None:
        """Put in a new principal; makes room first."""
        oldest = next(iter(self._principals.values()), None)
        while oldest is not None and (
            len(self._principals) >= self._capacity or oldest.last_seen < state.last_seen - self._idle
        ):
            del self._principals[oldest.id]
            self.forgotten += 1
            oldest = next(iter(self._principals.values()), None)
        self._principals[state.id] = state


def dump_ledger(ledger: ApprovalLedger) -> Any:
    """Plain data of a ledger."""
    return msgspec.to_builtins(ledger.rulings)


def load_ledger(data: Any) -> ApprovalLedger:
    """A ledger from its plain data."""
    return msgspec.convert({"rulings": data}, ApprovalLedger)
