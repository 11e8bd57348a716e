"""How well it detects: labelled events through both stages, and what came of it in numbers."""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from detector import assembly
from detector.alerts import Alert
from detector.config import Config
from detector.decoding import Decoder
from detector.evaluation import Detection, FalseAlarm, Outcome
from detector.events import Destination, Envelope, Event
from detector.pipeline import Pipeline
from detector.scenario import Expectation, ExpectedAlert, Scenario
from detector.severity import at_least, worst
from detector.sources.base import Record

DAY: Final = 86400.0
MEMORY: Final = "memory"


class Labelled(msgspec.Struct, frozen=True):
    """Events in order of time, read once, and what should be made of them.

    `expected` is None for clean background; one without alerts is a look-alike. What comes of either is a
    false alarm.
    """

    family: str
    variant: str
    envelopes: Iterable[Envelope]
    expected: Expectation | None = None


def in_memory(family: str, variant: str, events: Iterable[Event], expected: Expectation | None = None) -> Labelled:
    """Labelled events that never were in a log; each arrives when it happens, all of them on one partition."""
    envelopes = (Envelope(event, MEMORY, 0, offset, event.time.timestamp(), b"") for offset, event in enumerate(events))
    return Labelled(family, variant, envelopes, expected)


def from_records(
    scenario: Scenario, records: Iterable[Record], decoder: Decoder, progress: Callable[[], None]
) -> Labelled:
    """A scenario folder with its records; those that can't be decoded are left out."""
    envelopes = decoded(records, decoder, progress)
    return Labelled(scenario.expected.scenario, scenario.folder.name, envelopes, scenario.expected)


def decoded(records: Iterable[Record], decoder: Decoder, progress: Callable[[], None]) -> Iterator[Envelope]:
    """The events of records; those that can't be decoded are left out. `progress` is called about every 100."""
    for count, record in enumerate(records):
        yield from (found for found in decoder.decode(record) if isinstance(found, Envelope))
        if count % 100 == 0:
            progress()
    progress()


def run(labelled: Labelled, config: Config, after: Pipeline | None = None, *, onward: bool = False) -> Outcome:
    """Take labelled events through a pipeline, and judge what it said.

    Args:
        labelled: The events; those in memory must follow on what `after` has seen.
        config: The configuration of an empty pipeline, if there is no `after`.
        after: A pipeline that has seen what came before; it is copied, and stays as it is.
        onward: Let `after` itself see the events, for others to follow on them.
    """
    pipeline = assembly.pipeline(config) if after is None else after if onward else copy.deepcopy(after)
    expected = labelled.expected
    outflow = _Outflow(expected)
    versions: list[Alert] = []
    count, unscored, first, last = 0, 0, math.inf, -math.inf
    for envelope in labelled.envelopes:
        time = envelope.event.time.timestamp()
        count, first, last = count + 1, min(first, time), max(last, time)
        outflow.take(envelope.event)
        step = pipeline.step(envelope)
        unscored += step.verdict != "scored"
        versions += step.alerts
    return Outcome(
        family=labelled.family,
        variant=labelled.variant,
        seed=expected.seed if expected is not None else None,
        events=count,
        days=max(0.0, last - first) / DAY,
        detection=_detection(expected, versions, outflow),
        false_alarms=tuple(_false_alarms(expected, versions)),
        unscored=unscored,
    )


def _detection(expected: Expectation | None, versions: Sequence[Alert], outflow: "_Outflow") -> Detection | None:
    if expected is None or not expected.alerts:
        return None
    wanted = expected.alerts[0]
    last = _last_versions(versions)
    caught = {alert.id: alert for alert in last.values() if _tells_of(alert, expected, wanted)}
    first = min((alert.detected_at for alert in caught.values()), default=None)
    grave = min(
        (v.updated_at for v in versions if v.id in caught and at_least(v.severity, wanted.severity)), default=None
    )
    detectors = {name for alert in caught.values() for name in alert.detectors}
    names = {name for alert in caught.values() for name in alert.principals}
    return Detection(
        wanted=wanted.severity,
        within_seconds=wanted.within_seconds,
        alerts=len(caught),
        severity=worst(*(alert.severity for alert in caught.values())) if caught else None,
        seconds=_after(expected, first),
        seconds_to_severity=_after(expected, grave),
        share_out=outflow.share_until(first),
        missing_detectors=tuple(name for name in wanted.detectors if name not in detectors),
        missing_names=tuple(name for name in wanted.names if name not in names),
    )


def _tells_of(alert: Alert, expected: Expectation, wanted: ExpectedAlert) -> bool:
    """During the incident, about one of those who did the harm: not just about a bystander."""
    return expected.is_of_incident(alert) and bool(set(alert.principals) & set(wanted.names))


def _after(expected: Expectation, at: datetime | None) -> float | None:
    return None if at is None else round((at - expected.first_harm.time).total_seconds(), 3)


def _false_alarms(expected: Expectation | None, versions: Sequence[Alert]) -> Iterator[FalseAlarm]:
    for alert in _last_versions(versions).values():
        if expected is None or not expected.alerts or not expected.is_of_incident(alert):
            yield FalseAlarm(alert.severity, alert.detectors, alert.principals, alert.reason)


def _last_versions(versions: Sequence[Alert]) -> Mapping[str, Alert]:
    """Each alert as it ended; one that was merged into another is told by that one."""
    last = {alert.id: alert for alert in versions}
    return {name: alert for name, alert in last.items() if not (alert.resolution or "").startswith("merged into")}


class _Outflow:
    """What left in an incident: transfers by those who did the harm, to where its story says that data went."""

    def __init__(self, expected: Expectation | None) -> None:
        wanted = expected.alerts[:1] if expected is not None else ()
        self._names = {name for alert in wanted for name in alert.names}
        self._steps = set(expected.incident.event_ids_of_story.values()) if expected is not None else set()
        self._expected = expected
        self._sent: list[tuple[datetime, int, Destination | None]] = []
        self._to: set[Destination | None] = set()

    def take(self, event: Event) -> None:
        """Note a transfer if it may be of the incident."""
        if self._expected is None or event.kind != "transfer" or event.actor.id not in self._names:
            return
        if event.id in self._steps:
            self._to.add(event.destination)
        if self._expected.first_harm.time <= event.time <= self._expected.incident.ends:
            self._sent.append((event.time, event.bytes_out, event.destination))

    def share_until(self, at: datetime | None) -> float | None:
        """The share of all bytes that had left up to and with `at`; all if `at` is None; None if none left."""
        total = sum(count for _, count, to in self._sent if to in self._to)
        if not total:
            return None
        gone = sum(count for time, count, to in self._sent if to in self._to and (at is None or time <= at))
        return round(gone / total, 4)
