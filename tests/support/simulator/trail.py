"""Writing events down: the trail of one principal's habit (or of a story), and the sessions that group acts."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypedDict, Unpack

import msgspec

from detector.events import (
    Actor,
    Approval,
    Content,
    Destination,
    Event,
    Kind,
    Outcome,
    Permission,
    Target,
)
from tests.support.simulator.catalogue import Host, Resource
from tests.support.simulator.streams import lognormal, token, volume
from tests.support.simulator.world import Principal, World

MILLISECOND = timedelta(milliseconds=1)


class Context(TypedDict, total=False):
    """The optional fields of an event that say what it belongs to."""

    approval: Approval
    thread: str
    parent_id: str
    in_reply_to: str
    attributes: dict[str, Any]


class Details(Context, total=False):
    """All optional fields of an event, as `Event` names them."""

    target: Target
    destination: Destination
    bytes_out: int
    bytes_in: int
    records: int
    permission: Permission
    trace_id: str
    outcome: Outcome
    content: Content


@dataclass
class Trail:
    """The events that one principal's habit causes, its own and those of the people it involves."""

    world: World
    who: Principal
    rng: random.Random
    events: list[Event] = field(default_factory=list)

    def record(
        self, at: datetime, actor: Principal | Actor, kind: Kind, action: str, **details: Unpack[Details]
    ) -> Event:
        """Write one event at `at`, to the millisecond."""
        if isinstance(actor, Principal):
            actor = actor.actor()
        event = Event(id=token(self.rng, 20), time=to_millisecond(at), actor=actor, kind=kind, action=action, **details)
        self.events.append(event)
        return event

    def session(self, at: datetime, on_behalf_of: str | None = None, pace: float = 6.0) -> "Session":
        """A run of acts by the trail's principal from `at` on."""
        return Session(self, at, on_behalf_of, pace)

    def control(
        self,
        at: datetime,
        human: Principal,
        action: Literal["stop", "resume", "approve", "deny", "confirm"],
        agent: Principal,
        **context: Unpack[Context],
    ) -> Event:
        """A person's word to an agent."""
        return self.record(at, human, "control", action, target=Target(uri=agent.id, type="agent"), **context)

    def colleague(self, *roles: str) -> Principal:
        """Somebody of these roles who is here already and is not the trail's own principal."""
        pool = [who for role in roles for who in self.world.by_role[role] if who is not self.who and not who.joins]
        return self.rng.choice(pool)

    def pick(self, domain: str) -> Resource:
        """A resource of the domain as the trail's principal is used to."""
        return self.world.shelf(self.who, domain).pick(self.rng)


class Session:
    """A cursor through time: each act comes some seconds after the last one.

    Agents' sessions have an id and a trace; people's and services' acts are only grouped in time.
    """

    def __init__(self, trail: Trail, at: datetime, on_behalf_of: str | None = None, pace: float = 6.0) -> None:
        self.trail, self.rng, self.who, self.at, self.pace = trail, trail.rng, trail.who, at, pace
        is_agent = self.who.kind == "agent"
        self.trace = token(self.rng, 32) if is_agent else None
        self.actor = self.who.actor(f"s-{token(self.rng, 10)}" if is_agent else None, on_behalf_of)

    def wait(self, median: float, sigma: float = 0.5) -> datetime:
        """Let about `median` seconds pass."""
        self.at += timedelta(seconds=lognormal(self.rng, median, sigma))
        return self.at

    def do(self, kind: Kind, action: str, **details: Unpack[Details]) -> Event:
        """One act, now; the next one comes about a pace later."""
        if self.trace is not None:
            details["trace_id"] = self.trace
        event = self.trail.record(self.at, self.actor, kind, action, **details)
        self.wait(self.pace)
        return event

    def read(self, item: Resource, action: str = "read", **context: Unpack[Context]) -> Event:
        """Read a resource; now and then it fails, or the link was stale and the door is closed."""
        luck = self.rng.random()
        if luck < 0.012:
            outcome: Outcome = "failure" if luck < 0.008 else "denied"
            return self.do("access", action, target=item.target(), outcome=outcome, **context)
        size = volume(self.rng, item.bytes * self.who.bulk, 0.7)
        count = volume(self.rng, item.records, 0.5) if item.records > 1 else 1
        return self.do("access", action, target=item.target(), bytes_in=size, records=count, **context)

    def call(
        self, host: Host, path: str, sent: float, received: float, action: str = "http.post",
        **context: Unpack[Context],
    ) -> Event:  # fmt: skip
        """Call an API or fetch a page; `sent` and `received` are median bytes."""
        target = Target(
            uri=f"https://{host.name}{path}",
            type="web" if action == "http.get" else "api",
            sensitivity="public" if host.zone == "external" else "internal",
        )
        out, into = volume(self.rng, sent, 0.4), volume(self.rng, received, 0.8)
        return self.do(
            "call", action, target=target, destination=host.destination(), bytes_out=out, bytes_in=into, **context
        )

    def send(
        self, item: Resource, host: Host, size: float, action: str = "upload", sigma: float = 0.6,
        **context: Unpack[Context],
    ) -> Event:  # fmt: skip
        """Transfer data of a resource to a host; `size` is the median in bytes before the personal scale."""
        out = volume(self.rng, size * self.who.bulk, sigma)
        count = volume(self.rng, item.records, 0.5) if item.records > 1 else 1
        return self.do(
            "transfer", action, target=item.target(), destination=host.destination(), bytes_out=out,
            records=count, **context,
        )  # fmt: skip

    def ask(self, human: Principal, word: Literal["approve", "deny", "confirm"], about: str) -> Approval:
        """Wait for a person's word on an act to come; the approval to carry into it."""
        name = f"apr-{token(self.rng, 8)}"
        self.wait(150, 0.7)
        approval = Approval(required=True, id=name, by=human.id)
        self.trail.control(self.at, human, word, self.who, approval=approval, attributes={"about": about})
        self.wait(4)
        return approval


def to_millisecond(at: datetime) -> datetime:
    """The instant with its microseconds cut to full milliseconds."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def merge(*streams: Iterable[Event]) -> list[Event]:
    """All events by time, each with a millisecond of its own.

    Of two that fall on the same millisecond the one of the later stream moves on to the next free one, so
    the first stream keeps its times, and a stream that is added last changes no other.
    """
    taken: set[datetime] = set()
    merged: list[Event] = []
    for events in streams:
        for event in sorted(events, key=lambda event: event.time):
            at = event.time
            while at in taken:
                at += MILLISECOND
            taken.add(at)
            merged.append(event if at == event.time else msgspec.structs.replace(event, time=at))
    return sorted(merged, key=lambda event: event.time)


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
    """An instant in UTC."""
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
