"""What is remembered of each principal: bounded, in order of last use, and plain enough to be saved alone."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple, Protocol

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

    def forget(self, detectors: Mapping[str, Iterable[str]]) -> list[str]:
        """Begin anew what detectors remember, with their tests in progress on the channels given for each.

        Returns:
            The detectors that remembered anything.
        """
        gone = [name for name in detectors if self.states.pop(name, None) is not None]
        for channels in detectors.values():
            for channel in channels:
                self.tests.pop(channel, None)
        return gone


class Packed(msgspec.Struct, frozen=True, gc=False):
    """A principal as it was saved, msgpack in `row`, with what must be known of it before it is used again."""

    id: str
    role: str
    last_seen: float
    pinned: bool
    row: bytes


class UnreadablePrincipal(Exception):  # noqa: N818 - what was met
    """A restored principal that can't be read out of its row. It is known no more.

    Args:
        packed: What it waited as.
        why: What reading it raised.
    """

    def __init__(self, packed: Packed, why: Exception) -> None:
        super().__init__(f"what was saved of {packed.id} can't be read: {type(why).__name__}: {why}")
        self.packed = packed


class Rows(Protocol):
    """Turns principals into rows and back."""

    def pack(self, principal: PrincipalState | Packed) -> bytes:
        """The row of a principal, as msgpack."""

    def unpack(self, packed: Packed) -> PrincipalState:
        """The principal out of its row."""


class Capture:
    """Principals that are being saved, a few at a time, each as it stood when the capture was made.

    Args:
        names: Which, in order of last use.
        gone: Those forgotten since the last capture, which come before.
        principals: Where they are, by id.
        rows: Makes rows of them.
    """

    def __init__(
        self,
        names: Iterable[str],
        gone: Iterable[str],
        principals: Mapping[str, PrincipalState | Packed],
        rows: Rows,
    ) -> None:
        self.gone = list(gone)
        self._waiting = dict.fromkeys(names)
        self._in_order = iter(list(self._waiting))
        self._early: dict[str, bytes] = {}
        self._principals = principals
        self._rows = rows

    def keep(self, principal: PrincipalState | Packed) -> None:
        """Call before a principal changes or is forgotten: its row is made now, if it still waits."""
        if principal.id in self._waiting:
            del self._waiting[principal.id]
            self._early[principal.id] = self._rows.pack(principal)

    def take(self, most: int) -> list[bytes]:
        """The next rows, `most` at most; none when all were taken."""
        taken = []
        for name in islice(self._in_order, most):
            row = self._early.pop(name, None)
            if row is None:
                del self._waiting[name]
                row = self._rows.pack(self._principals[name])
            taken.append(row)
        return taken


class PrincipalStore:
    """Principals in order of last use: at most `capacity`, none idle for longer than `idle` seconds.

    A restored one stays packed until it is used. What was used since the last capture stands at the end of the
    order, so a capture of changes costs what changed, and putting them in again restores the order.

    Args:
        capacity: Principals kept; past it, the one unused for longest is forgotten.
        idle: Seconds of event time after which an unused principal is forgotten.
        rows: How they are saved.
    """

    def __init__(self, capacity: int, idle: float, rows: Rows) -> None:
        self._capacity = capacity
        self._idle = idle
        self._rows = rows
        self._principals: dict[str, PrincipalState | Packed] = {}
        self._changed: set[str] = set()
        self._new: set[str] = set()
        self._gone: dict[str, None] = {}
        self._pinned = 0
        self._capture: Capture | None = None

    def __len__(self) -> int:
        return len(self._principals)

    def __iter__(self) -> Iterator[PrincipalState | Packed]:
        return iter(self._principals.values())

    def __reversed__(self) -> Iterator[PrincipalState | Packed]:
        return reversed(self._principals.values())

    def look(self, principal: str) -> PrincipalState | None:
        """The principal as it stands, neither marked as used nor kept unpacked; None if it is not known.

        Raises:
            ValueError, TypeError, KeyError: It was restored, and can't be read.
        """
        kept = self._principals.get(principal)
        return self._rows.unpack(kept) if isinstance(kept, Packed) else kept

    def use(self, principal: str, now: float) -> PrincipalState | None:
        """The principal, marked as used at `now`; None if it is not known.

        Raises:
            UnreadablePrincipal: It was restored, and can't be read; it is forgotten.
        """
        kept = self._principals.get(principal)
        if kept is None:
            return None
        if self._capture is not None:
            self._capture.keep(kept)
        state = self._unpacked(kept) if isinstance(kept, Packed) else kept
        del self._principals[principal]
        self._principals[principal] = state
        self._changed.add(principal)
        state.last_seen = max(state.last_seen, now)
        return state

    def _unpacked(self, packed: Packed) -> PrincipalState:
        try:
            return self._rows.unpack(packed)
        except Exception as error:  # what a detector's `load` raises of another shape nobody can tell
            del self._principals[packed.id]
            self._pinned -= packed.pinned
            self._forget(packed.id)
            raise UnreadablePrincipal(packed, error) from error

    def add(self, state: PrincipalState) -> list[PrincipalState | Packed]:
        """Put in a new principal; returns those that were forgotten for it."""
        gone = []
        for _ in range(len(self._principals)):
            oldest = next(iter(self._principals.values()))
            idle = oldest.last_seen < state.last_seen - self._idle
            if not idle and len(self._principals) < self._capacity:
                break
            if self._capture is not None:
                self._capture.keep(oldest)
            del self._principals[oldest.id]
            if oldest.pinned and not idle and self._pinned <= self._capacity // 2:
                self._principals[oldest.id] = oldest
                self._changed.add(oldest.id)
            else:
                self._pinned -= oldest.pinned
                self._forget(oldest.id)
                gone.append(oldest)
        self._principals[state.id] = state
        self._changed.add(state.id)
        self._new.add(state.id)
        return gone

    def _forget(self, principal: str) -> None:
        self._changed.discard(principal)
        if principal in self._new:
            self._new.discard(principal)
        else:  # only what was saved must be told to be gone
            self._gone[principal] = None

    def pin(self, state: PrincipalState, pinned: bool) -> None:
        """Say whether a known principal is under a stop. Those beyond half the capacity are forgotten like others."""
        self._pinned += pinned - state.pinned
        state.pinned = pinned

    def capture(self, *, whole: bool) -> Capture:
        """Begin to save all principals, or those that changed since the last capture; that one must be over."""
        if whole:
            names, gone = list(self._principals), []
        else:
            names, gone = list(islice(reversed(self._principals), len(self._changed))), list(self._gone)
            names.reverse()
        self._changed.clear()
        self._new.clear()
        self._gone.clear()
        self._capture = Capture(names, gone, self._principals, self._rows)
        return self._capture

    def restore(self, gone: Iterable[str], principals: Iterable[Packed]) -> None:
        """Put in what a capture gave, on top of what those before it did."""
        for name in gone:
            self._principals.pop(name, None)
        for packed in principals:
            self._principals.pop(packed.id, None)
            self._principals[packed.id] = packed
        self._pinned = sum(principal.pinned for principal in self._principals.values())
