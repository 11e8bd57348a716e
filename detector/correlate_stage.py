"""Stage 2, live: findings and ticks from Kafka in, alerts out. One owner of each incident: one partition."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec
import structlog

from detector import signals
from detector.alerts import Alert
from detector.checkpoints import Part
from detector.correlated import Correlated
from detector.correlation import Correlator
from detector.feedback import CLOCKS_APART, Feedback
from detector.findings import Finding
from detector.ordering import WAIT, Ordering
from detector.places import Partition, Progress, each
from detector.saving import Captured
from detector.severity import Severity
from detector.signals import Sent
from detector.sinks.base import Batch
from detector.sources.base import Record
from detector.stages import Stage, StageShell
from detector.statistical import StatisticalAlerts
from detector.ticks import Tick, Watermarks

log = structlog.get_logger(__name__)

# While signals wait and nobody says anything, the log's time is moved on so often (seconds).
NUDGE: Final = 1.0


class _Owned(msgspec.Struct):
    """What is kept of one partition of the findings topic."""

    correlator: Correlator
    watermarks: Watermarks
    order: Ordering


class CorrelateStage(Stage):
    """Correlates what several scoring processes found as if it were one: in the order of event time.

    What waits for its turn is saved with the incidents. The position is that of the first that waits, so that it
    counts as lag; what was taken in behind it is passed over when it is read again.

    Args:
        shell: What every stage is given.
        make: Makes an empty second stage; one for each partition of the findings topic.
        on_restored: Called with the alerts that are open after a restore, for sinks that repeat them.
        on_closed: Called when a partition was given up: its open alerts are another process's to repeat.
        wait: Seconds that a signal waits for a process that is silent, or late.
        clock: Monotonic seconds.
    """

    name = "correlate"

    def __init__(
        self,
        shell: StageShell,
        make: Callable[[], Correlator],
        on_restored: Callable[[Sequence[Alert]], None],
        on_closed: Callable[[], None] = lambda: None,
        wait: float = WAIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(shell)
        self._make = make
        self._on_restored = on_restored
        self._on_closed = on_closed
        self._wait = wait
        self._clock = clock
        self._moved_at = clock()
        self._owned: dict[Partition, _Owned] = {}
        self._statistical = StatisticalAlerts()

    def go_on_with(self, make: Callable[[], Correlator]) -> None:
        """Correlate by another configuration from here on, with the incidents that there are.

        Args:
            make: Makes an empty second stage by the new configuration.
        """
        made = {partition: make() for partition in self._owned}
        for partition, owned in self._owned.items():
            made[partition].restore(owned.correlator.snapshot())
        for partition, correlator in made.items():
            self._owned[partition].correlator = correlator
        self._make = make

    def take(self, polled: Mapping[Partition, Sequence[Record]], caught_up: set[Partition]) -> Batch:  # noqa: ARG002
        """Take in the signals, and step through those whose turn it is."""
        batch = Batch()
        for partition, records in polled.items():
            owned = self._owned[partition]
            for record in records:
                if not owned.order.is_known(record.offset):
                    self._take(owned, record, batch)
            self.positions[partition] = owned.order.position
        if polled:
            self.shell.metrics.count_alerts(batch.alerts, time.time())
            self.shell.metrics.alerts_statistical.inc(self._statistical.among(batch.alerts))
            self.shell.metrics.count_alert_verdicts(batch.actions)
            self._gauge()
            self._moved_at = self._clock()
        elif any(len(o.order) for o in self._owned.values()) and self._clock() - self._moved_at >= NUDGE:
            batch.signals.append(Progress())
            self._moved_at = self._clock()
        return batch

    def _take(self, owned: _Owned, record: Record, batch: Batch) -> None:
        """Take in one record, and do what has its turn by it; verdicts and what has no place have it at once."""
        signal: signals.Signal | None = None
        try:
            signal = signals.decode(record.value)
        except msgspec.DecodeError:
            log.exception("signal_not_understood", partition=record.partition, offset=record.offset)
        ordered = signal if isinstance(signal, Sent | Progress) else None
        for released in owned.order.take(record.offset, record.received_at, ordered):
            self.shell.metrics.count_released(released.waited, released.unsure)
            self._step(owned, released.signal, record, batch, each(released.beside))
        if signal is not None and ordered is None:
            self._step(owned, signal, record, batch)

    def _step(
        self, owned: _Owned, signal: signals.Signal, record: Record, batch: Batch, others: Iterable[Partition] = ()
    ) -> None:
        """Correlate one signal. A tick in its order is of `others`, too: all partitions have passed it."""
        try:
            if isinstance(signal, Tick):
                now = owned.watermarks.tick(signal.time, [*signal.partitions, *others])
                out: Correlated = owned.correlator.advance(now)
            elif isinstance(signal, Feedback):
                out = self._judge(owned.correlator, signal, record)
            elif isinstance(signal, Finding):
                self._statistical.see(signal)
                out = owned.correlator.step(signal)
            else:
                return
        except Exception:  # a finding that nobody thought of must not be met again after each restart
            log.exception("signal_not_correlated", partition=record.partition, offset=record.offset)
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
        for owned in self._owned.values():
            counts.update(owned.correlator.open_alerts)
            exposures += len(owned.correlator.exposures)
            opened.append(owned.correlator.exposures.oldest())
        self.shell.metrics.order_waiting.set(sum(len(owned.order) for owned in self._owned.values()))
        self.shell.metrics.set_open_incidents(counts)
        self.shell.metrics.open_exposures.set(exposures)
        self.shell.metrics.exposure_oldest.set(min((at for at in opened if at is not None), default=0.0))

    def full(self) -> list[Partition]:
        """What waits here is waited for on the same topic."""
        return []

    def open(self, partition: Partition, parts: Sequence[Part]) -> None:
        """Restore the incidents, the watermarks and what waits."""
        owned = self._owned[partition] = _Owned(self._make(), Watermarks(), Ordering(self._wait))
        for part in parts:
            owned.correlator.restore(part.head["correlator"])
            owned.watermarks.restore(part.head["watermarks"])
            if "order" in part.head:  # not in what was saved before there was any
                owned.order.restore(part.head["order"])
            self._on_restored(owned.correlator.open())
        self._gauge()

    def close(self, partition: Partition) -> None:
        """Forget the partition's incidents."""
        self._owned.pop(partition, None)
        self._gauge()
        self._on_closed()

    def capture(self, partition: Partition, *, whole: bool) -> Captured:  # noqa: ARG002 - incidents are few
        """The incidents, the watermarks and what waits, all of them."""
        owned = self._owned[partition]
        incidents, watermarks = owned.correlator.snapshot(), owned.watermarks.snapshot()
        return Captured({"correlator": incidents, "watermarks": watermarks, "order": owned.order.snapshot()})
