"""Accepting a lasting change of a principal: what detectors hold for usual of it is learnt anew."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from detector.detectors.base import Detector
from detector.events import Event
from detector.principals import PrincipalState

ORDER: Final = "rebaseline"


def has_baseline(detector: Detector[Any] | type[Detector[Any]]) -> bool:
    """Whether it weighs probabilities, so that something is usual to it: a stop or an approval is never forgotten."""
    return bool(detector.channels or detector.levels)


class Rebaseline:
    """What an order to learn a principal anew does: it is judged by its peers, as a newcomer is, until more is known.

    What peers learnt of it stays.

    Args:
        detectors: Those that run.
    """

    def __init__(self, detectors: Iterable[Detector[Any]]) -> None:
        self._channels: Mapping[str, tuple[str, ...]] = {d.name: d.channels for d in detectors if has_baseline(d)}

    def obey(self, order: Event, principal: PrincipalState) -> list[str]:
        """Forget what the detectors named in the order's attributes remember, or all; returns those that did.

        Names that are none of these are passed over, as orders come from outside.
        """
        named = order.attributes.get("detectors")
        chosen = set(self._channels)
        if isinstance(named, list) and named:
            chosen &= {name for name in named if isinstance(name, str)}
        return principal.forget({name: self._channels[name] for name in sorted(chosen)})
