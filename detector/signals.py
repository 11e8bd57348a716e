"""What correlation reads: findings and ticks of event time from scoring, how far scoring is, verdicts from people.

The messages of agent-findings.
"""

from typing import Final

import msgspec

from detector.feedback import Feedback
from detector.findings import Finding
from detector.places import ByTopic, Place, Progress
from detector.ticks import Tick


class Sent(msgspec.Struct, frozen=True):
    """A finding or a tick as a scoring process sends it: with its place in the order of event time.

    `beside` are the partitions that the sender did not have, by topic: what they bring is for correlation to merge.
    Of those that it had, all that stands before `place` was sent before.
    """

    signal: Finding | Tick
    place: Place
    beside: ByTopic


class _Standing(msgspec.Struct, omit_defaults=True):
    """What a message says of its place, beside the fields of the finding or tick."""

    place: Place | None = None
    beside: ByTopic = {}


Signal = Finding | Tick | Feedback | Progress | Sent

TICK_KEY: Final = b"tick"
PROGRESS_KEY: Final = b"progress"

_FINDING: Final = msgspec.json.Decoder(Finding)
_TAGGED: Final[msgspec.json.Decoder[Tick | Feedback | Progress]] = msgspec.json.Decoder(Tick | Feedback | Progress)
_STANDING: Final = msgspec.json.Decoder(_Standing)
# What msgspec raises for bytes that are no JSON of the wanted shape, or no text, or nested beyond reading.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_ENCODER: Final = msgspec.json.Encoder()


def key_of(signal: Signal) -> bytes:
    """The Kafka key: the principal of a finding, the alert of a verdict, a fixed word for a tick or progress."""
    if isinstance(signal, Sent):
        signal = signal.signal
    if isinstance(signal, Feedback):
        return signal.alert.encode()
    if isinstance(signal, Progress):
        return PROGRESS_KEY
    return TICK_KEY if isinstance(signal, Tick) else signal.principal.encode()


def encode(signal: Signal) -> bytes:
    """One JSON object; its `type` is "tick", "progress" or "feedback", a finding has none.

    A finding or tick that was sent has two fields more, `place` and `beside`.
    """
    if isinstance(signal, Sent):
        standing = _ENCODER.encode(_Standing(signal.place, signal.beside))
        return _ENCODER.encode(signal.signal)[:-1] + b"," + standing[1:]
    return _ENCODER.encode(signal)


def decode(raw: bytes) -> Signal:
    """The signal in a message. A finding or tick without a place that can be read is taken for one of before.

    Raises:
        msgspec.DecodeError: It is none of them.
    """
    try:
        try:
            signal: Finding | Tick | Feedback | Progress = _FINDING.decode(raw)
        except msgspec.ValidationError:
            signal = _TAGGED.decode(raw)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(f"{type(error).__name__}: {error}") from error
    if isinstance(signal, Feedback | Progress):
        return signal
    try:
        standing = _STANDING.decode(raw)
    except msgspec.ValidationError:
        return signal
    return signal if standing.place is None else Sent(signal, standing.place, standing.beside)
