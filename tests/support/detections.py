"""What scoring finds in a few events, one after the other."""

from collections.abc import Iterable

from detector.detectors import REGISTRY
from detector.events import Envelope, Event
from detector.findings import Finding
from detector.scoring import Scoring

PARTITION = ("t", 0)


def found_by(scoring: Scoring, events: Iterable[Event]) -> list[tuple[Finding, ...]]:
    """The findings of each event, by a stage that has `PARTITION` open; each must be scored."""
    found = []
    for offset, event in enumerate(events):
        scored = scoring.step(Envelope(event, *PARTITION, offset, event.time.timestamp(), b""))
        assert scored.verdict == "scored", scored
        found.append(scored.findings)
    return found


def run(detector: str, events: Iterable[Event]) -> list[tuple[Finding, ...]]:
    """The findings of each event, by one detector alone, set as for its examples."""
    scoring = Scoring([REGISTRY[detector].for_examples()])
    scoring.open(PARTITION)
    return found_by(scoring, events)


def told(detector: str, events: Iterable[Event]) -> list[str]:
    """Rule and severity of the first finding of each event, "" where there is none; otherwise as `run`."""
    return [f"{each[0].rule} {each[0].severity}" if each else "" for each in run(detector, events)]
