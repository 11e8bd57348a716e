"""Stage 2, live: findings and ticks from Kafka in, alerts out. One owner of each incident: one partition."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import msgspec
import structlog

from detector import signals
from detector.alerts import Alert
from detector.checkpoints import Part
from detector.correlated import Correlated
from detector.correlation import Correlator
from detector.feedback import CLOCKS_APART, Feedback
from detector.saving import Captured
from detector.severity import Severity
from detector.sinks.base import Batch
from detector.sources.alignment import Partition
from detector.sources.base import Record
from detector.stages import Stage, StageShell
from detector.statistical import StatisticalAlerts
from detector.ticks import Tick, Watermarks

log = structlog.get_logger(__name__)


class CorrelateStage(Stage):
    """Correlates, in the order of the findings topic.

    Args:
        shell: What every stage is given.
        make: Makes an empty second stage; one for each partition of the findings topic.
        on_restored: Called with the alerts that are open after a restore, for sinks that repeat them.
        on_closed: Called when a partition was given up: its open alerts are another process's to repeat.
    """

    name = "correlate"

    def __init__(
        self,
        shell: StageShell,
        make: Callable[[], Correlator],
        on_restored: Callable[[Sequence[Alert]], None],
        on_closed: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(shell)
        self._make = make
        self._on_restored = on_restored
        self._on_closed = on_closed
        self._correlators: dict[Partition, tuple[Correlator, Watermarks]] = {}
        self._statistical = StatisticalAlerts()

    def go_on_with(self, make: Callable[[], Correlator]) -> None:
        """Correlate by another configuration from here on, with the incidents that there are.

        Args:
            make: Makes an empty second stage by the new configuration.
        """
        made = {partition: make() for partition in self._correlators}
        for partition, (correlator, _) in self._correlators.items():
            made[partition].restore(correlator.snapshot())
        self._correlators = {p: (made[p], watermarks) for p, (_, watermarks) in self._correlators.items()}
        self._make = make

    def take(self, polled: Mapping[Partition, Sequence[Record]], caught_up: set[Partition]) -> Batch:  # noqa: ARG002
        """Step through the signals in the order of the topic."""
        batch = Batch()
        for partition, records in polled.items():
            for record in records:
                self._step(partition, record, batch)
                self.positions[partition] = record.offset + 1
        if polled:
            self.shell.metrics.count_alerts(batch.alerts, time.time())
            self.shell.metrics.alerts_statistical.inc(self._statistical.among(batch.alerts))
            self.shell.metrics.count_alert_verdicts(batch.actions)
            self._gauge()
        return batch

    def _step(self, partition: Partition, record: Record, batch: Batch) -> None:
        correlator, watermarks = self._correlators[partition]
        try:
            signal = signals.decode(record.value)
        except msgspec.DecodeError:
            log.exception("signal_not_understood", partition=partition, offset=record.offset)
            return
        try:
            if isinstance(signal, Tick):
                out: Correlated = correlator.advance(watermarks.tick(signal.time, signal.partitions))
            elif isinstance(signal, Feedback):
                out = self._judge(correlator, signal, record)
            else:
                self._statistical.see(signal)
                out = correlator.step(signal)
        except Exception:  # a finding that nobody thought of must not be met again after each restart
            log.exception("signal_not_correlated", partition=partition, offset=record.offset)
            return
        batch.findings.extend(out.findings)
        batch.alerts.extend(out.alerts)
        batch.exposures.extend(out.exposures)
        batch.adjustments.extend(out.adjustments)
        batch.actions.extend(out.actions)

    @staticmethod
    def _judge(correlator: Correlator, said: Feedback, record: Record) -> Correlated:
        if abs(said.time.timestamp() - record.received_at) > CLOCKS_APART:
            log.warning("verdict_refused", verdict=said.id, by=said.by, why="its time is not that of its message")
            return Correlated()
        out = correlator.judge(said)
        for action in out.actions:
            if action.details["refused"]:
                log.warning("verdict_refused", verdict=said.id, by=said.by, why=action.details["refused"])
        return out

    def _gauge(self) -> None:
        counts: Counter[Severity] = Counter()
        exposures, opened = 0, []
        for correlator, _ in self._correlators.values():
            counts.update(correlator.open_alerts)
            exposures += len(correlator.exposures)
            opened.append(correlator.exposures.oldest())
        self.shell.metrics.set_open_incidents(counts)
        self.shell.metrics.open_exposures.set(exposures)
        self.shell.metrics.exposure_oldest.set(min((at for at in opened if at is not None), default=0.0))

    def full(self) -> list[Partition]:
        """Nothing waits here."""
        return []

    def open(self, partition: Partition, parts: Sequence[Part]) -> None:
        """Restore the incidents and the watermarks."""
        correlator, watermarks = self._make(), Watermarks()
        for part in parts:
            correlator.restore(part.head["correlator"])
            watermarks.restore(part.head["watermarks"])
            self._on_restored(correlator.open())
        self._correlators[partition] = correlator, watermarks
        self._gauge()

    def close(self, partition: Partition) -> None:
        """Forget the partition's incidents."""
        self._correlators.pop(partition, None)
        self._gauge()
        self._on_closed()

    def capture(self, partition: Partition, *, whole: bool) -> Captured:  # noqa: ARG002 - incidents are few
        """The incidents and the watermarks, all of them."""
        correlator, watermarks = self._correlators[partition]
        return Captured({"correlator": correlator.snapshot(), "watermarks": watermarks.snapshot()})
