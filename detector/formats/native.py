"""Our own event as one JSON object."""

from datetime import MAXYEAR, MINYEAR
from typing import Final

import msgspec

from detector.events import Event, Reject
from detector.formats.audit import read

MAX_BYTES: Final = 1 << 20

_DECODER: Final = msgspec.json.Decoder(Event)


def decode(raw: bytes) -> tuple[Event, ...] | Reject:
    """One event a message.

    >>> [decode(raw).reason for raw in (b"{}", b"no", b"")]
    ['wrong_shape', 'not_json', 'empty']
    """
    if len(raw) > MAX_BYTES and raw.strip():
        return Reject("too_large", f"{len(raw)} bytes; at most {MAX_BYTES} are read", raw)
    return read(raw, _event)


def _event(raw: bytes) -> tuple[Event, ...] | Reject:
    event = _DECODER.decode(raw)
    if event.kind == "control" and event.target is None:
        return Reject("wrong_shape", "a control event names the agent it concerns in target.uri", raw)
    if not MINYEAR < event.time.year < MAXYEAR:  # at the edges a time may not exist in another zone
        return Reject("wrong_shape", f"no event happened in the year {event.time.year}", raw)
    return (event,)
