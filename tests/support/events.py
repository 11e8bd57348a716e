"""Short ways to make events and envelopes for tests."""

from datetime import UTC, datetime, timedelta
from typing import Any

from detector.events import Actor, Destination, Envelope, Event, Kind

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PARTITION = ("events", 0)


def event(seconds: float = 0.0, *, kind: Kind = "access", **fields: Any) -> Event:
    """An event of agent-1, `seconds` after nine on a Monday."""
    fields.setdefault("id", f"e-{kind}-{seconds:g}")
    fields.setdefault("actor", Actor(id="agent-1", role="assistant", session="s-1"))
    return Event(time=START + timedelta(seconds=seconds), kind=kind, **fields)


def envelope(item: Event, offset: int = 0, *, received_at: float | None = None, partition: int = 0) -> Envelope:
    """The event as read from a partition; it arrived when it happened unless told otherwise."""
    arrived = item.time.timestamp() if received_at is None else received_at
    return Envelope(item, PARTITION[0], partition, offset, arrived, b"{}")


def human(name: str, role: str = "engineer") -> Actor:
    """A person."""
    return Actor(id=name, kind="human", role=role)


def sending(seconds: float, name: str, count: int = 20_000, host: str = "partner.example") -> Event:
    """A transfer of `count` bytes to an external host, by an agent of the role "mover"."""
    return event(
        seconds,
        id=f"{name}-{seconds:g}",
        kind="transfer",
        actor=Actor(id=name, role="mover"),
        bytes_out=count,
        destination=Destination(host=host, zone="external"),
    )
