"""What a scenario tells: its events, where the harm begins, and what a detector should have said."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from detector.events import Approval, Event
from detector.severity import Severity
from tests.support.simulator.background import FOREVER, Silence
from tests.support.simulator.rhythm import Period
from tests.support.simulator.trail import Trail
from tests.support.simulator.world import Principal, World

UNASKED = Approval(required=True)
"""A yes was needed, and nobody was asked for it."""


@dataclass(frozen=True)
class ExpectedAlert:
    """One alert: whom it names, how bad it is, how soon after the first harm, and what it rests on by the end."""

    names: tuple[str, ...]
    severity: Severity
    detectors: tuple[str, ...]
    within_seconds: int = 60


@dataclass(frozen=True)
class Story:
    """An incident. `steps` names its turning points; `silences` keep the contained principals quiet after it.

    A look-alike expects no alerts; its `first_harm` is the first act that looks like harm.
    """

    events: tuple[Event, ...]
    first_harm: Event
    steps: Mapping[str, Event]
    alerts: tuple[ExpectedAlert, ...]
    silences: tuple[Silence, ...] = ()

    @property
    def principals(self) -> tuple[str, ...]:
        """Everybody in it, in the order of their first act."""
        return tuple(dict.fromkeys(event.actor.id for event in self.events))


def tell(trail: Trail, steps: Mapping[str, Event], first_harm: str, alert: ExpectedAlert, stopped_by: Event) -> Story:
    """The story of a trail: the harm begins with the step of that name, the trail's agent ends with `stopped_by`."""
    events = tuple(sorted(trail.events, key=lambda event: event.time))
    after = Silence(trail.who.id, Period(stopped_by.time, FOREVER))
    return Story(events, steps[first_harm], steps, (alert,), (after,))


def obedient(story: Story, who: str, held: Iterable[Period]) -> Story:
    """The story without what `who` would have done while it was held; the harm begins with what is left."""
    spans = tuple(held)
    events = tuple(
        event for event in story.events if event.actor.id != who or not any(event.time in span for span in spans)
    )
    steps = {name: event for name, event in story.steps.items() if event in events}
    first = next(event for event in events if event.time >= story.first_harm.time and event.actor.id == who)
    return replace(story, events=events, first_harm=first, steps=steps)


def chosen(world: World, role: str, name: str | None) -> Principal:
    """The principal of this id, or the second of the role (so that it is not the first in every list)."""
    if name is not None:
        return world.by_id[name]
    peers = world.by_role[role]
    return peers[min(1, len(peers) - 1)]
