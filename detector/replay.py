"""The two stages over files: the same functions as live, so the same input gives the same bytes."""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from detector.alerts import Alert
from detector.correlation import Correlator
from detector.decoding import Decoder
from detector.duplicates import renamed
from detector.events import Envelope, Rejected
from detector.pipeline import Pipeline
from detector.scored import Verdict
from detector.sinks.base import Batch, Sink
from detector.sources.base import Record

BATCH: Final = 5000


class Replayed(msgspec.Struct):
    """What came of a replay. `alerts` holds the last version of each, in order of opening."""

    events: int = 0
    rejects: int = 0
    findings: int = 0
    verdicts: dict[Verdict, int] = {}
    first_reject: Rejected | None = None
    alerts: dict[str, Alert] = {}
    first_event_at: float | None = None
    last_event_at: float | None = None


class Replay:
    """Runs records through a pipeline into sinks.

    Args:
        pipeline: Both stages.
        decoder: The wire format.
        sinks: Where events, findings, alerts and rejects are written, in batches.
    """

    def __init__(self, pipeline: Pipeline, decoder: Decoder, sinks: Iterable[Sink] = ()) -> None:
        self._pipeline = pipeline
        self._decoder = decoder
        self._sinks = tuple(sinks)
        self._batch = Batch()
        self.result = Replayed()

    @property
    def correlator(self) -> Correlator:
        """The second stage, for what is open at the end."""
        return self._pipeline.correlator

    def run(self, records: Iterable[Record], progress: Callable[[], None] = lambda: None) -> None:
        """Take in all records; may be called again with more. `progress` is called about every 100 records.

        Raises:
            SinkUnavailable: A sink can't write.
        """
        for count, record in enumerate(records):
            self._take(record)
            if count % 100 == 0:
                progress()
            if len(self._batch.events) + len(self._batch.rejects) >= BATCH:  # all else comes of these
                self._write()
        self._write()
        progress()

    def _take(self, record: Record) -> None:
        for decoded in self._decoder.decode(record):
            if isinstance(decoded, Rejected):
                self._refuse(decoded)
            else:
                self._step(decoded)

    def _refuse(self, rejected: Rejected) -> None:
        self.result.rejects += 1
        self.result.first_reject = self.result.first_reject or rejected
        self._batch.rejects.append(rejected)

    def _step(self, envelope: Envelope) -> None:
        result = self.result
        step = self._pipeline.step(envelope)
        time = envelope.event.time.timestamp()
        result.events += 1
        result.verdicts[step.verdict] = result.verdicts.get(step.verdict, 0) + 1
        result.first_event_at = min(time, result.first_event_at or time)
        result.last_event_at = max(time, result.last_event_at or time)
        self._batch.events.append((renamed(envelope, step.event_id) if step.event_id else envelope, step.verdict))
        if step.findings or step.alerts or step.exposures:  # as of few events
            result.findings += len(step.findings)
            result.alerts.update((alert.id, alert) for alert in step.alerts)
            self._batch.findings += step.findings
            self._batch.alerts += step.alerts
            self._batch.exposures += step.exposures

    def _write(self) -> None:
        for sink in self._sinks:
            part = self._batch.only(sink.accepts)
            if not part.empty:
                sink.write(part)
        self._batch = Batch()
