"""A principal as a row of plain data: how it is saved, and how it waits in memory until it is used again."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

import detector
from detector.approvals import ApprovalLedger, Ruling
from detector.detectors.base import Detector
from detector.events import ActorKind
from detector.principals import HourlyTest, Packed, PrincipalState

_ENCODER: Final = msgspec.msgpack.Encoder()


class _Head(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What can be told of a row without reading its states; the order of fields is that of a row."""

    id: str
    kind: ActorKind
    role: str
    first_seen: float
    last_seen: float
    events: int
    active_hour: float
    pinned: bool


class _Row(_Head, array_like=True, frozen=True):
    """The whole row; a detector reads its own state out of `states`."""

    tests: dict[str, tuple[float, float, bool, float]]
    rulings: dict[str, Ruling]
    states: dict[str, msgspec.Raw]


_HEAD: Final = msgspec.msgpack.Decoder(_Head)
_ROW: Final = msgspec.msgpack.Decoder(_Row)


def made_by(detectors: Sequence[Detector[Any]]) -> str:
    """What the shape of principals' states depends on: the program, its detectors and how they are set."""
    return "; ".join([detector.VERSION, *(f"{each.name} {each.settings.model_dump_json()}" for each in detectors)])


class PrincipalRows:
    """Turns principals into rows and back; the states of detectors that it does not know are passed over.

    Args:
        detectors: Those that run, and those whose states are to be kept meanwhile, by name.
    """

    def __init__(self, detectors: Mapping[str, Detector[Any]]) -> None:
        self._detectors = detectors

    def adopt(self, other: "PrincipalRows") -> None:
        """Go on with the detectors of another, which read and write the same states."""
        self._detectors = other._detectors

    def dump(self, principal: PrincipalState | Packed) -> list[Any]:
        """The row as plain data: its fields in the order of `_Row`."""
        row: list[Any] = msgspec.msgpack.decode(self.pack(principal))
        return row

    def pack(self, principal: PrincipalState | Packed) -> bytes:
        """The row as msgpack; that of a packed principal is there already."""
        if isinstance(principal, Packed):
            return principal.row
        return _ENCODER.encode(
            (
                principal.id,
                principal.kind,
                principal.role,
                principal.first_seen,
                principal.last_seen,
                principal.events,
                principal.active_hour,
                principal.pinned,
                principal.tests,
                principal.ledger.rulings,
                {name: self._detectors[name].dump(state) for name, state in principal.states.items()},
            )
        )

    def packed(self, row: bytes | Sequence[Any]) -> Packed:
        """A principal that waits as a row, given as msgpack or as plain data.

        Raises:
            ValueError: It is no row.
        """
        payload = row if isinstance(row, bytes) else _ENCODER.encode(row)
        head = _HEAD.decode(payload)
        return Packed(head.id, head.role, head.last_seen, head.pinned, payload)

    def check(self, principal: PrincipalState | Packed) -> None:
        """Find out whether a packed principal can be unpacked; raises what that does."""
        if isinstance(principal, Packed):
            self.unpack(principal)

    def unpack(self, packed: Packed) -> PrincipalState:
        """The principal out of its row.

        Raises:
            ValueError, TypeError, KeyError: The row, or a detector's state in it, has another shape.
        """
        row = _ROW.decode(packed.row)
        principal = PrincipalState(row.id, row.kind, row.role, row.first_seen)
        principal.last_seen, principal.events, principal.pinned = row.last_seen, row.events, row.pinned
        principal.active_hour = row.active_hour
        principal.tests = {channel: HourlyTest(*test) for channel, test in row.tests.items()}
        principal.ledger = ApprovalLedger(row.rulings)
        principal.states = {
            name: self._detectors[name].load(msgspec.msgpack.decode(state))
            for name, state in row.states.items()
            if name in self._detectors
        }
        return principal
