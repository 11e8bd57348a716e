"""What a principal did since some time, carried by the order to learn it anew: so that every replay learns the same.

Scoring asks no store, and models can't be taken apart by time. So whoever gives the order looks the acts up and puts
them into it: JSON, packed by zlib, in base64.
"""

import base64
import binascii
import zlib
from collections.abc import Iterable
from typing import Final

import msgspec

from detector.events import Event

ATTRIBUTE: Final = "history"
"""The attribute of the order that holds them."""

EVENTS_MOST: Final = 50_000
"""Acts of one order: they are learnt at once, in a second or two."""

PACKED_MOST: Final = 900_000
"""Characters of them, packed: brokers and the native format take messages of a mebibyte."""

_INFLATED_MOST: Final = 64 << 20
_DECODER: Final = msgspec.json.Decoder(list[Event])


def pack(events: Iterable[Event]) -> str:
    """The acts as an order carries them, without what nothing is learnt by: words, and what they answer to."""
    kept = [
        msgspec.structs.replace(event, content=None, trace_id=None, parent_id=None, in_reply_to=None, thread=None)
        for event in events
    ]
    return base64.b64encode(zlib.compress(msgspec.json.encode(kept), 9)).decode()


def unpack(order: Event) -> list[Event] | None:
    """The acts that an order carries, by time; None if it carries none. Those of others, or later, are left out.

    Raises:
        ValueError: They can't be read, or are too many.
    """
    packed = order.attributes.get(ATTRIBUTE)
    if packed is None:
        return None
    try:
        inflating = zlib.decompressobj()
        plain = inflating.decompress(base64.b64decode(packed, validate=True), _INFLATED_MOST)
        if not inflating.eof:
            raise ValueError(f"`{ATTRIBUTE}` is cut off, or holds more than {_INFLATED_MOST} bytes")
        events = _DECODER.decode(plain)
    except (binascii.Error, zlib.error, msgspec.DecodeError, TypeError) as error:
        raise ValueError(f"`{ATTRIBUTE}` can't be read: {error}") from error
    if len(events) > EVENTS_MOST:
        raise ValueError(f"`{ATTRIBUTE}` holds {len(events)} acts; at most {EVENTS_MOST} are learnt")
    own = (e for e in events if e.kind != "control" and e.principal == order.principal and e.time < order.time)
    return sorted(own, key=lambda event: event.time)
