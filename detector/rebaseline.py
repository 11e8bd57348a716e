"""Accepting a lasting change of a principal: what detectors hold for usual of it is learnt anew."""

from collections import deque
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

from detector.destinations import Zones
from detector.detectors.base import Context, Detector
from detector.events import Event
from detector.habits import Habits
from detector.in_force import by_kind
from detector.knowledge import Knowledge
from detector.peers import Group
from detector.principals import PrincipalState
from detector.relearning import unpack

ORDER: Final = "rebaseline"


def has_baseline(detector: Detector[Any] | type[Detector[Any]]) -> bool:
    """Whether it weighs probabilities, so that something is usual to it: a stop or an approval is never forgotten."""
    return bool(detector.channels or detector.levels)


class Rebaseline:
    """What an order to learn a principal anew does.

    Without a history it is judged by its peers, as a newcomer is, until more is known. With one, that is learnt in its
    place, whatever was flagged of it: the order says that it is usual. What peers learnt of the principal stays.

    Args:
        detectors: Those that run.
        zones: Whose the places are that data goes to.
    """

    def __init__(self, detectors: Sequence[Detector[Any]], zones: Zones | None = None) -> None:
        learning = [each for each in detectors if has_baseline(each)]
        self._channels: Mapping[str, tuple[str, ...]] = {each.name: each.channels for each in learning}
        self._by_kind = by_kind(learning)
        self._zones = zones or Zones()

    def obey(self, order: Event, principal: PrincipalState, known: Knowledge) -> list[str]:
        """Forget what the detectors named in the order's attributes remember, or all; learn the history it carries.

        Names that are none of these are passed over, as orders come from outside.

        Returns:
            The detectors that remembered anything.

        Raises:
            ValueError: The history can't be read; nothing was forgotten.
        """
        named = order.attributes.get("detectors")
        chosen = set(self._channels)
        if isinstance(named, list) and named:
            chosen &= {name for name in named if isinstance(name, str)}
        history = unpack(order)
        learnt = {} if history is None else self._learnt(history, chosen, principal, known)
        forgotten = principal.forget({name: self._channels[name] for name in sorted(chosen)})
        principal.states.update(learnt)
        return forgotten

    def _learnt(
        self, history: Sequence[Event], chosen: AbstractSet[str], principal: PrincipalState, known: Knowledge
    ) -> dict[str, Any]:
        """The states of the chosen detectors after a history, in which nothing is strange."""
        anew = PrincipalState(principal.id, principal.kind, principal.role, principal.first_seen)
        group, habits = Group(), Habits()  # not the peers': what they were to learn of it they learnt then
        for event in history:
            event, vouched = self._zones.resolve(event)  # noqa: PLW2901 - as it is judged
            context = Context(anew, known, group, habits, event.time.timestamp())
            context.vouched = vouched
            concerned: list[tuple[Detector[Any], Any]] = []
            for name, detector in self._by_kind[event.kind]:
                if name in chosen:
                    state = anew.states.get(name)
                    if state is None:
                        state = anew.states[name] = detector.new_state()
                    if detector.concerns(event, state, context):
                        concerned.append((detector, state))
            for detector, state in concerned:
                deque(detector.detect(event, state, context), maxlen=0)  # some tell the others what they saw
            for detector, state in concerned:
                detector.learn(event, state, context, ())
        return anew.states
