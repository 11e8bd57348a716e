"""What a log leaves out: the same story as a source with fewer fields would have told it."""

from collections.abc import Callable

import msgspec

from detector.events import Event
from tests.support.simulator.scenarios.story import Story

Mask = Callable[[Event], Event]


def masked(story: Story, mask: Mask) -> Story:
    """The story with every event as the source tells it; ids, times and order stay."""
    events = {event.id: mask(event) for event in story.events}
    steps = {name: events[event.id] for name, event in story.steps.items()}
    return Story(tuple(events.values()), events[story.first_harm.id], steps, story.alerts, story.silences)


def no_container_size(event: Event) -> Event:
    """Nobody says how many records there were."""
    if event.target is None:
        return event
    return msgspec.structs.replace(event, target=msgspec.structs.replace(event.target, container_size=None))


def unmarked(event: Event) -> Event:
    """The source does not tell which acts need a yes."""
    return msgspec.structs.replace(event, approval=None)


def no_request(event: Event) -> Event:
    """Permission changes without what had been asked for, and without where they come from."""
    if event.permission is None:
        return event
    permission = msgspec.structs.replace(event.permission, requested=None, inherited_from=None)
    return msgspec.structs.replace(event, permission=permission)


def no_head_count(event: Event) -> Event:
    """Permission changes whose audience was not counted."""
    if event.permission is None:
        return event
    return msgspec.structs.replace(event, permission=msgspec.structs.replace(event.permission, audience_count=None))


def no_thread(event: Event) -> Event:
    """Answers name what they answer, but no thread."""
    return msgspec.structs.replace(event, thread=None)


def traced(story: Story) -> Story:
    """Post and change share a trace instead of a thread, as where a tool links them."""
    trace = story.steps["post"].trace_id
    thread = story.steps["post"].thread

    def mask(event: Event) -> Event:
        if event.thread != thread:
            return event
        return msgspec.structs.replace(event, thread=None, in_reply_to=None, trace_id=trace)

    return masked(story, mask)
