"""Bytes -> events: one file a wire format, and their registry."""

from collections.abc import Callable, Mapping
from typing import Final

from detector.events import Event, Reject
from detector.formats.native import decode as native
from detector.formats.otel import decode as otel

Decode = Callable[[bytes], tuple[Event, ...] | Reject]
"""A message's events (none if it holds nothing of ours), or why it could not be understood. Never raises."""

REGISTRY: Final[Mapping[str, Decode]] = {
    "native": native,
    "otel": otel,
}
