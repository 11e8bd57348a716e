"""Which overrides hold for a principal at a moment, and how the detectors judge then."""

from collections.abc import Iterable, Mapping, Sequence
from math import gcd
from typing import Any, Final

from detector.budget import Limit
from detector.detectors.base import Detector
from detector.events import KINDS, Kind
from detector.hours import Hours
from detector.overrides import Override, changes

ByKind = Mapping[Kind, tuple[tuple[str, Detector[Any]], ...]]

# Bounds of what is remembered, so that an event costs look-ups and no search; full ones begin anew.
PRINCIPALS_MOST: Final = 100_000
SLOTS_MOST: Final = 240
SCOPES_MOST: Final = 1_000
IN_FORCE_MOST: Final = 1_000

QUARTER_MINUTES: Final = 15


def by_kind(detectors: Sequence[Detector[Any]]) -> ByKind:
    """The detectors that look at each kind of event, in their order."""
    return {kind: tuple((each.name, each) for each in detectors if kind in each.kinds) for kind in KINDS}


class InForce:
    """How is judged while certain overrides hold.

    `by_kind` are the detectors that run, as they are set; `limits` what scores must pass on channels of which the
    budget has no say; `names` the overrides that changed a detector's limit, by detector.
    """

    __slots__ = ("by_kind", "limits", "names")

    def __init__(self, orders: Sequence[Override], detectors: Sequence[Detector[Any]]) -> None:
        self.limits: dict[str, Limit] = {}
        self.names: dict[str, list[str]] = {}
        running = []
        for detector in detectors:
            concerned = [order for order in orders if order.concerns_detector(detector.name)]
            if not any(order.enabled is False for order in concerned):
                running.append(self._as_set(detector, concerned))
        self.by_kind = by_kind(running)

    def _as_set(self, detector: Detector[Any], orders: Iterable[Override]) -> Detector[Any]:
        """The detector with what the orders change; of two that change the same, the first counts."""
        changed: dict[str, Any] = {}
        for order in orders:
            of_order = changes(order, detector)
            held = detector.channels if order.threshold is not None else ()
            if of_order or held:
                self.names.setdefault(detector.name, []).append(order.name)
            changed = {**of_order, **changed}
            for channel in held:
                self.limits.setdefault(channel, Limit(order.threshold or 0.0))
        return detector.adjusted(detector.settings.model_copy(update=changed)) if changed else detector


class _Scope:
    """The overrides that can hold for some principals, and which of them do in each slot of time.

    A slot is so short that none of their hours begins or ends within it. As clocks on walls differ by quarters of an
    hour (and did not before 1972), it is one of these at most.
    """

    __slots__ = ("_by_slot", "_expiring", "_hours", "_indices", "_orders", "_slot", "_steady")

    def __init__(self, indices: Sequence[int], orders: Sequence[Override]) -> None:
        self._indices = indices
        self._orders = orders
        self._hours: list[Hours | None] = [order.hours() for order in orders]
        given = [hours for hours in self._hours if hours is not None]
        ends = [order.expires.timestamp() for order in orders if order.expires is not None]
        self._slot = 60.0 * gcd(QUARTER_MINUTES, *(minute for hours in given for minute in hours[:2]))
        self._expiring = {end // self._slot for end in ends}
        self._steady = not ends and not given
        self._by_slot: dict[float, tuple[int, ...]] = {}

    def holding(self, now: float) -> tuple[int, ...]:
        """The places in the list of those that hold now."""
        slot = 0.0 if self._steady else now // self._slot
        found = self._by_slot.get(slot)
        if found is None:
            found = tuple(
                index
                for index, order, hours in zip(self._indices, self._orders, self._hours, strict=True)
                if (order.expires is None or now < order.expires.timestamp()) and (hours is None or hours.hold(now))
            )
            if slot not in self._expiring:  # in all others everything stays as it is
                if len(self._by_slot) >= SLOTS_MOST:
                    self._by_slot.clear()
                self._by_slot[slot] = found
        return found


class Overrides:
    """All overrides of a configuration, ready to be asked for each event.

    Args:
        orders: The overrides, in order.
        detectors: The detectors that run where none holds.
    """

    def __init__(self, orders: Sequence[Override], detectors: Sequence[Detector[Any]]) -> None:
        self._orders = tuple(orders)
        self._detectors = tuple(detectors)
        self._by_principal: dict[tuple[str, str], _Scope] = {}
        self._scopes: dict[tuple[int, ...], _Scope] = {}
        self._in_force: dict[tuple[int, ...], InForce | None] = {(): None}

    def at(self, principal: str, role: str, now: float) -> InForce | None:
        """How is judged of a principal of a role at an event time (unix seconds); None: as of everybody."""
        scope = self._by_principal.get((principal, role))
        if scope is None:
            scope = self._scope(principal, role)
        holding = scope.holding(now)
        try:
            return self._in_force[holding]
        except KeyError:
            if len(self._in_force) >= IN_FORCE_MOST:
                self._in_force = {(): None}
            made = self._in_force[holding] = InForce([self._orders[index] for index in holding], self._detectors)
            return made

    def _scope(self, principal: str, role: str) -> _Scope:
        indices = tuple(index for index, order in enumerate(self._orders) if order.concerns(principal, role))
        scope = self._scopes.get(indices)
        if scope is None:
            if len(self._scopes) >= SCOPES_MOST:
                self._scopes.clear()
                self._by_principal.clear()  # which holds them, too
            scope = self._scopes[indices] = _Scope(indices, [self._orders[index] for index in indices])
        if len(self._by_principal) >= PRINCIPALS_MOST:
            self._by_principal.clear()
        self._by_principal[principal, role] = scope
        return scope
