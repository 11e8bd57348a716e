"""What is remembered of each principal, plain enough to be saved alone."""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Final, NamedTuple, Protocol

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


class Untouched(Enum):
    """What is known to a detector that was asked about a principal and had never anything to do with it."""

    UNTOUCHED = "untouched"


UNTOUCHED: Final = Untouched.UNTOUCHED


class PrincipalState:
    """One principal: who it is, since when it is known, its approvals, and each detector's state of it.

    A state may be `UNTOUCHED`; while some of them are `unread`, also a `msgspec.Raw`, to be read out before it is used.

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
        "unread",
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
        self.unread = False

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
    """A principal that waits, with what must be known of it before it is used again; `row` is for `Rows` to read."""

    id: str
    role: str
    last_seen: float
    pinned: bool
    row: bytes


class UnreadablePrincipal(Exception):  # noqa: N818 - what was met
    """A restored principal that can't be read out of its row. It is known no more.

    Args:
        principal: What is still known of it.
        why: What reading it raised.
    """

    def __init__(self, principal: PrincipalState | Packed, why: Exception) -> None:
        super().__init__(f"what was saved of {principal.id} can't be read: {type(why).__name__}: {why}")
        self.principal = principal


class Rows(Protocol):
    """Turns principals into rows and back."""

    def pack(self, principal: PrincipalState | Packed) -> bytes:
        """The row of a principal, as msgpack."""

    def wait(self, principal: PrincipalState) -> Packed:
        """The principal as it waits."""

    def read(self, waiting: PrincipalState | Packed, wanted: Iterable[str]) -> PrincipalState:
        """The principal, with the states of the detectors that are `wanted` read out."""

    def whole(self, principal: PrincipalState | Packed) -> PrincipalState:
        """A copy of the principal with all states read out."""
