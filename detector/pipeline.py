"""Both stages one after the other, in one process: what replay, demo and backtest run.

The live service runs the same two objects with a topic between them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from detector.alerts import Alert
from detector.correlation import Correlator
from detector.detectors import REGISTRY
from detector.detectors.base import Detector
from detector.events import Envelope
from detector.exposure_versions import ExposureVersion
from detector.findings import Finding
from detector.incidents import About
from detector.scored import Verdict
from detector.scoring import Scoring
from detector.ticks import Ticker


class Step(msgspec.Struct):
    """What came of one event: how it was taken, the findings (correlation's among them), alerts and exposures.

    `event_id` is as of `Scored`.
    """

    verdict: Verdict
    findings: list[Finding]
    alerts: list[Alert]
    exposures: list[ExposureVersion]
    event_id: str = ""


def about(detectors: Sequence[Detector[Any]] | None = None) -> Mapping[str, About]:
    """What alerts say of each detector, by name."""
    chosen = REGISTRY.values() if detectors is None else detectors
    return {detector.name: About(detector.rules, detector.runbook) for detector in chosen}


class Pipeline:
    """Score, then correlate, event by event.

    Args:
        scoring: The first stage; partitions are opened as they come.
        correlator: The second stage.
        attention: Seconds after a finding for which the second stage is told of passing time.
    """

    def __init__(self, scoring: Scoring, correlator: Correlator, attention: float) -> None:
        self.scoring = scoring
        self.correlator = correlator
        self._ticker = Ticker(attention)
        self._open: set[tuple[str, int]] = set()

    def step(self, envelope: Envelope) -> Step:
        """Take one event through both stages."""
        partition = (envelope.topic, envelope.partition)
        if partition not in self._open:
            self.scoring.open(partition)
            self._open.add(partition)
        scored = self.scoring.step(envelope)
        step = Step(scored.verdict, [], [], [], scored.event_id)
        if scored.verdict != "scored":
            return step
        now = envelope.event.time.timestamp()
        boundary = self._ticker.cross(now)
        if boundary is not None:
            passed = self.correlator.advance(boundary)
            step.findings += passed.findings
            step.alerts += passed.alerts
            step.exposures += passed.exposures
        for finding in scored.findings:
            self._ticker.found(now)
            correlated = self.correlator.step(finding)
            step.findings += [finding, *correlated.findings]
            step.alerts += correlated.alerts
            step.exposures += correlated.exposures
        return step
