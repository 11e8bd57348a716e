"""What correlation reads, in order: findings and ticks of event time from scoring, verdicts from people.

The messages of agent-findings.
"""

from typing import Final

import msgspec

from detector.feedback import Feedback
from detector.findings import Finding
from detector.ticks import Tick

Signal = Finding | Tick | Feedback

TICK_KEY: Final = b"tick"

_FINDING: Final = msgspec.json.Decoder(Finding)
_TAGGED: Final[msgspec.json.Decoder[Tick | Feedback]] = msgspec.json.Decoder(Tick | Feedback)
# What msgspec raises for bytes that are no JSON of the wanted shape, or no text, or nested beyond reading.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_ENCODER: Final = msgspec.json.Encoder()


def key_of(signal: Signal) -> bytes:
    """The Kafka key: the principal of a finding, the alert of a verdict, a fixed word for a tick."""
    if isinstance(signal, Feedback):
        return signal.alert.encode()
    return TICK_KEY if isinstance(signal, Tick) else signal.principal.encode()


def encode(signal: Signal) -> bytes:
    """One JSON object; a tick has `"type": "tick"`, a verdict `"type": "feedback"`, a finding has no type."""
    return _ENCODER.encode(signal)


def decode(raw: bytes) -> Signal:
    """The signal in a message.

    Raises:
        msgspec.DecodeError: It is none of them.
    """
    try:
        try:
            return _FINDING.decode(raw)
        except msgspec.ValidationError:
            return _TAGGED.decode(raw)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(f"{type(error).__name__}: {error}") from error
