"""Lines of event files as messages: their keys and their times, as `detector produce` needs them."""

import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

import msgspec

from detector.signals import UNREADABLE
from detector.sources.files import read_records


class _Named(msgspec.Struct, frozen=True):
    id: str = ""
    uri: str = ""


class _Head(msgspec.Struct, frozen=True):
    """As much of an event as its key and its pace need."""

    actor: _Named = _Named()
    target: _Named | None = None
    kind: Any = None
    time: datetime | None = None


_HEAD: Final = msgspec.json.Decoder(_Head)


def lines(files: Iterable[str]) -> Iterator[bytes]:
    """The lines of files, one after the other.

    Raises:
        SourceError: A file can't be read.
    """
    for name in files:
        for record in read_records(name, time.time):
            yield record.value


def key_of(message: bytes) -> bytes | None:
    """The id of the principal concerned; None for a message that is no event (it goes to any partition).

    >>> key_of(b'{"kind": "access", "actor": {"id": "a1"}}')
    b'a1'
    >>> key_of(b'{"kind": "control", "actor": {"id": "bob"}, "target": {"uri": "a1"}}')
    b'a1'
    """
    head = _head(message)
    if head is None:
        return None
    if head.kind == "control" and head.target is not None:
        return head.target.uri.encode() or None
    return head.actor.id.encode() or None


def time_of(message: bytes) -> float | None:
    """The event time in unix seconds; None for a message that has none."""
    head = _head(message)
    return head.time.timestamp() if head is not None and head.time is not None else None


def _head(message: bytes) -> _Head | None:
    try:
        return _HEAD.decode(message)
    except UNREADABLE:
        return None
