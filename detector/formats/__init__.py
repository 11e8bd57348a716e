"""Bytes -> events: one file a wire format, and their registry."""

from collections.abc import Callable, Mapping
from typing import Final

from detector.events import Event, Reject
from detector.formats.native import decode as native

Decode = Callable[[bytes], tuple[Event, ...] | Reject]
"""A message's events, or why it could not be understood. Never raises, whatever the bytes."""

REGISTRY: Final[Mapping[str, Decode]] = {
    "native": native,
}
