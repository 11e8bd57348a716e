"""The normal days of a company: every principal's habits over a period. Nothing in it deserves a page."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from detector.events import Event
from tests.support.simulator.habits import HABITS
from tests.support.simulator.rhythm import Period
from tests.support.simulator.trail import Trail, merge
from tests.support.simulator.world import Principal, World

FOREVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Silence:
    """A span in which a principal must not act: after its session was revoked, say."""

    principal: str
    period: Period


def background(world: World, period: Period, silences: Iterable[Silence] = ()) -> list[Event]:
    """What everybody does in the period, by time.

    Habits that were begun before the period's end are cut off there. The silences are kept: what would have been
    asked in one is not done after it.
    """
    silences = tuple(silences)
    return merge(*(days_of(world, who, period, silences) for who in world.principals))


def days_of(world: World, who: Principal, period: Period, silences: Iterable[Silence] = ()) -> list[Event]:
    """One principal's days, with the words of the people that it had to do with."""
    present = Period(period.begin + who.joins, period.end)
    events: list[Event] = []
    for habit in HABITS[who.role.name]:
        rng = world.stream("background", who.id, habit.name)
        trail = Trail(world, who, rng)
        for at in habit.schedule.times(rng, present, who.pace, who.shift):
            habit.act(trail, at)
        events += trail.events
    events.sort(key=lambda event: event.time)
    closed = [*stops(who, events), *(silence.period for silence in silences if silence.principal == who.id)]
    muted = [event for event in events if _is_act_of(who, event) and any(event.time in span for span in closed)]
    ids = {event.id for event in muted}
    unasked = {event.approval.id for event in muted if event.kind == "control" and event.approval is not None}
    return [
        event for event in events
        if event.time in period
        and event.id not in ids
        and not (event.approval is not None and event.approval.id in unasked)
    ]  # fmt: skip


def unless_silent(events: Iterable[Event], silences: Iterable[Silence]) -> list[Event]:
    """The events without those of principals in their silences."""
    silences = tuple(silences)
    return [
        event for event in events
        if not any(silence.principal == event.actor.id and event.time in silence.period for silence in silences)
    ]  # fmt: skip


def _is_act_of(who: Principal, event: Event) -> bool:
    """True for its own acts and for the verdicts on acts that a silence keeps it from."""
    return event.principal == who.id and event.action not in {"stop", "resume"}


def stops(who: Principal, events: Iterable[Event]) -> Iterator[Period]:
    """The spans from each stop of `who` to the resume after it; events by time."""
    since: datetime | None = None
    for event in events:
        if event.kind == "control" and event.principal == who.id:
            if event.action == "stop":
                since = since or event.time
            elif event.action == "resume" and since is not None:
                yield Period(since, event.time)
                since = None
    if since is not None:
        yield Period(since, FOREVER)
