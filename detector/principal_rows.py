"""A principal as a row of plain data: how it is saved, and how it waits in memory until it is used again."""

from collections.abc import Iterable, Mapping, Sequence
from sys import intern
from typing import Any, Final

import lz4.block
import msgspec

import detector
from detector.approvals import ApprovalLedger, Ruling
from detector.detectors.base import Detector
from detector.events import ActorKind
from detector.principals import UNTOUCHED, HourlyTest, Packed, PrincipalState

_ENCODER: Final = msgspec.msgpack.Encoder()
_NOUGHTS: Final = _ENCODER.encode([0.0] * 128)


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

    A row waits in memory compressed. What a detector never had anything to do with is not made into a state, and a
    state that is not asked for stays as it was saved.

    Args:
        detectors: Those that run, and those whose states are to be kept meanwhile, by name.
    """

    def __init__(self, detectors: Mapping[str, Detector[Any]]) -> None:
        self._detectors = detectors
        self._blank = {
            name: msgspec.Raw(_ENCODER.encode(each.saved(each.new_state()))) for name, each in detectors.items()
        }
        # Compressed against what most rows hold. It stays the same for as long as anything is packed.
        self._common = _ENCODER.encode(self._blank) + _NOUGHTS

    def adopt(self, other: "PrincipalRows") -> None:
        """Go on with the detectors of another, which read and write the same states."""
        self._detectors, self._blank = other._detectors, other._blank

    def dump(self, principal: PrincipalState | Packed) -> list[Any]:
        """The row as plain data: its fields in the order of `_Row`."""
        row: list[Any] = msgspec.msgpack.decode(self.pack(principal))
        return row

    def pack(self, principal: PrincipalState | Packed) -> bytes:
        """The row as msgpack; that of a packed principal is there already."""
        if isinstance(principal, Packed):
            row: bytes = lz4.block.decompress(principal.row, dict=self._common)
            return row
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
                {name: self._saved(name, state) for name, state in principal.states.items()},
            )
        )

    def _saved(self, name: str, state: Any) -> Any:
        if state is UNTOUCHED:
            return self._blank[name]
        return state if isinstance(state, msgspec.Raw) else self._detectors[name].saved(state)

    def packed(self, row: bytes | Sequence[Any]) -> Packed:
        """A principal that waits as a row, given as msgpack or as plain data.

        Raises:
            ValueError: It is no row.
        """
        payload = row if isinstance(row, bytes) else _ENCODER.encode(row)
        head = _HEAD.decode(payload)
        return Packed(head.id, intern(head.role), head.last_seen, head.pinned, self._compressed(payload))

    def _compressed(self, row: bytes) -> bytes:
        compressed: bytes = lz4.block.compress(row, dict=self._common)
        return compressed

    def wait(self, principal: PrincipalState) -> Packed:
        """The principal as it waits.

        Raises:
            ValueError, TypeError: It can't be written.
        """
        row = self._compressed(self.pack(principal))
        return Packed(principal.id, principal.role, principal.last_seen, principal.pinned, row)

    def check(self, principal: PrincipalState | Packed) -> None:
        """Find out whether all of a packed principal can be read; raises what that does."""
        if isinstance(principal, Packed):
            self.whole(principal)

    def whole(self, principal: PrincipalState | Packed) -> PrincipalState:
        """A copy of the principal with all states read out.

        Raises:
            ValueError, TypeError, KeyError: The row, or a detector's state in it, has another shape.
        """
        row = _ROW.decode(self.pack(principal))
        copy = _without_states(row)
        copy.states = {
            name: self._detectors[name].read(state) for name, state in row.states.items() if name in self._detectors
        }
        return copy

    def read(self, waiting: PrincipalState | Packed, wanted: Iterable[str]) -> PrincipalState:
        """The principal, with the states of the detectors that are `wanted` read out.

        Raises:
            ValueError, TypeError, KeyError: The row, or a wanted state in it, has another shape.
        """
        if isinstance(waiting, Packed):
            return self._taken_out(_ROW.decode(self.pack(waiting)), wanted)
        states = waiting.states
        for name in wanted:
            state = states.get(name)
            if isinstance(state, msgspec.Raw):
                states[name] = self._detectors[name].read(state)
        waiting.unread = any(isinstance(state, msgspec.Raw) for state in states.values())
        return waiting

    def _taken_out(self, row: _Row, wanted: Iterable[str]) -> PrincipalState:
        principal, blank = _without_states(row), self._blank
        states = principal.states
        for name, state in row.states.items():
            if name not in blank:
                continue
            if state == blank[name]:
                states[name] = UNTOUCHED
            elif name in wanted:
                states[name] = self._detectors[name].read(state)
            else:
                states[name] = state.copy()  # or it would hold the whole row
                principal.unread = True
        return principal


def _without_states(row: _Row) -> PrincipalState:
    principal = PrincipalState(row.id, row.kind, intern(row.role), row.first_seen)
    principal.last_seen, principal.events, principal.pinned = row.last_seen, row.events, row.pinned
    principal.active_hour = row.active_hour
    principal.tests = {intern(channel): HourlyTest(*test) for channel, test in row.tests.items()}
    principal.ledger = ApprovalLedger(row.rulings)
    return principal
