"""The principals that are remembered: bounded, in order of last use; few of them ready, the others packed."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice

from detector.capture import Capture
from detector.principals import Packed, PrincipalState, Rows, UnreadablePrincipal
from detector.ready import Ready


class PrincipalStore:
    """Principals in order of last use: at most `capacity`, none idle for longer than `idle` seconds.

    One stays packed until it is used, and is packed again when many others were used since. What was used since the
    last capture stands at the end of the order, so a capture of changes costs what changed, and putting them in again
    restores the order.

    Args:
        capacity: Principals kept; past it, the one unused for longest is forgotten.
        idle: Seconds of event time after which an unused principal is forgotten.
        rows: How they are saved.
        ready: Which are held ready.
    """

    def __init__(self, capacity: int, idle: float, rows: Rows, ready: Ready) -> None:
        self._capacity = capacity
        self._idle = idle
        self._rows = rows
        self._ready = ready
        # An ordered one moves what is used without leaving gaps, over which looking for the oldest would have to go.
        self._principals: OrderedDict[str, PrincipalState | Packed] = OrderedDict()
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
        """A copy of the principal as it stands, whole; it is not marked as used. None if it is not known.

        Raises:
            ValueError, TypeError, KeyError: It was restored, and can't be read.
        """
        kept = self._principals.get(principal)
        return None if kept is None else self._rows.whole(kept)

    def use(self, principal: str, now: float, wanted: Iterable[str]) -> PrincipalState | None:
        """The principal, marked as used at `now`; None if it is not known.

        Args:
            principal: Its id.
            now: Event time, in unix seconds.
            wanted: The detectors whose states are to be looked at.

        Raises:
            UnreadablePrincipal: It was restored, and can't be read; it is forgotten.
        """
        kept = self._principals.get(principal)
        if kept is None:
            return None
        if self._capture is not None:
            self._capture.keep(kept)
        if isinstance(kept, Packed) or kept.unread:
            kept = self._principals[principal] = self._read(kept, wanted)
        self._principals.move_to_end(principal)
        self._changed.add(principal)
        self._ready.use(kept, self)
        kept.last_seen = max(kept.last_seen, now)
        return kept

    def _read(self, kept: PrincipalState | Packed, wanted: Iterable[str]) -> PrincipalState:
        try:
            return self._rows.read(kept, wanted)
        except Exception as error:  # what a detector's `load` raises of another shape nobody can tell
            self._remove(kept)
            raise UnreadablePrincipal(kept, error) from error

    def put_back(self, principal: PrincipalState) -> None:
        """Pack a principal where it stands; its order of use and what the next capture holds stay the same."""
        # What can't be written stays as it is: the next checkpoint will tell.
        with suppress(ValueError, TypeError):
            self._principals[principal.id] = self._rows.wait(principal)

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
            if oldest.pinned and not idle and self._pinned <= self._capacity // 2:
                self._principals.move_to_end(oldest.id)
                self._changed.add(oldest.id)
            else:
                self._remove(oldest)
                gone.append(oldest)
        self._principals[state.id] = state
        self._ready.use(state, self)
        self._changed.add(state.id)
        self._new.add(state.id)
        return gone

    def close(self) -> None:
        """None of the principals is known any more."""
        self._ready.close(self)

    def _remove(self, kept: PrincipalState | Packed) -> None:
        principal = kept.id
        del self._principals[principal]
        if isinstance(kept, PrincipalState):
            self._ready.forget(kept)
        self._pinned -= kept.pinned
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
