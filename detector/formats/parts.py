"""What a message of several records is taken apart into."""

from collections.abc import Iterable
from typing import NamedTuple

from detector.events import Event, Reject


class Part(NamedTuple):
    """One record of a message: its event, or why there is none, and the record's own bytes.

    A message of hundreds of spans would otherwise be kept hundreds of times, and be refused whole for one of them.
    """

    content: Event | Reject
    raw: bytes
    format: str = ""
    """What the record was recognised as, where that is not the format of the topic."""


Decoded = tuple[Event | Part, ...] | Reject
"""What a format makes of a message: events, parts of a message that holds several, or why it is refused whole."""


def events_of(decoded: Iterable[Event | Part]) -> tuple[Event, ...]:
    """The events alone, in their order."""
    contents = (item.content if isinstance(item, Part) else item for item in decoded)
    return tuple(content for content in contents if isinstance(content, Event))


def each_alone(found: Decoded, raw: bytes) -> tuple[Part, ...]:
    """What became of one record of several: the parts that it makes, or the reject of it."""
    return (Part(found, raw),) if isinstance(found, Reject) else named(found, raw)


def named(decoded: tuple[Event | Part, ...], raw: bytes, name: str = "") -> tuple[Part, ...]:
    """All of a message or record as parts: what has no bytes of its own has all of them, what no format this one."""
    if len(decoded) == 1 and isinstance(decoded[0], Event):
        return (Part(decoded[0], raw, name),)
    told = (item if isinstance(item, Part) else Part(item, raw) for item in decoded)
    return tuple(Part(item.content, item.raw, item.format or name) for item in told)
