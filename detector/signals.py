"""What scoring tells correlation, in order: findings, and ticks of event time. The messages of agent-findings."""

from typing import Final

import msgspec

from detector.findings import Finding
from detector.ticks import Tick

Signal = Finding | Tick

TICK_KEY: Final = b"tick"

_FINDING: Final = msgspec.json.Decoder(Finding)
_TICK: Final = msgspec.json.Decoder(Tick)
_ENCODER: Final = msgspec.json.Encoder()


def key_of(signal: Signal) -> bytes:
    """The Kafka key: the principal of a finding, a fixed word for a tick."""
    return TICK_KEY if isinstance(signal, Tick) else signal.principal.encode()


def encode(signal: Signal) -> bytes:
    """One JSON object; a tick has `"type": "tick"`, a finding has no type."""
    return _ENCODER.encode(signal)


def decode(raw: bytes) -> Signal:
    """The signal in a message.

    Raises:
        msgspec.DecodeError: It is neither a finding nor a tick.
    """
    try:
        return _FINDING.decode(raw)
    except msgspec.ValidationError:
        return _TICK.decode(raw)
