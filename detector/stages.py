"""The live stages: read, step, write, checkpoint. One thread each; what they compute is in the core."""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import ClassVar, Final

import msgspec
import structlog

from detector.checkpoints import CheckpointError, CheckpointFenced, CheckpointStore, Part
from detector.commits import Commits
from detector.errands import Errands
from detector.metrics import Metrics
from detector.outputs import Outputs
from detector.saving import Captured, NotDurable, Saving
from detector.sinks.base import Batch
from detector.sources.alignment import Partition
from detector.sources.base import Record
from detector.sources.kafka import KafkaSource, PartitionListener

log = structlog.get_logger(__name__)

POLL_SECONDS: Final = 0.1
HAND_OVER_SECONDS: Final = 5.0
DURABLE_SECONDS: Final = 30.0
LAST_FLUSH_SECONDS: Final = 3.0
LAG_EVERY: Final = 5.0
SILENT_SECONDS: Final = 15.0
JOIN_SECONDS: Final = 15.0

# For so long at once the stream stands still while a checkpoint is encoded.
SLICE_SECONDS: Final = 0.05


class StageShell(msgspec.Struct, frozen=True):
    """What a stage is given to work with.

    `connect` makes the source, with the stage as its listener. `every` is the seconds between checkpoints,
    `grace` those in which a stage whose partitions change may wait for its sinks and for a checkpoint. `share` is the
    part of the time that checkpoints may take; past it they are made less often. `background` writes them, one after
    the other; without it the stage does.
    """

    connect: Callable[[PartitionListener], KafkaSource]
    outputs: Outputs
    checkpoints: CheckpointStore
    metrics: Metrics
    stop: threading.Event
    every: float = 30.0
    grace: float = 20.0
    share: float = 0.1
    background: Executor | None = None


class Stage(ABC):
    """A loop around one Kafka source.

    Order at a checkpoint: sinks durable, then state with its offsets, then the commit to Kafka. The state is taken
    first, and the stream goes on while the sinks are waited for. The saved offset is the one that counts; Kafka's is
    for those who watch the lag.
    """

    name: ClassVar[str]
    increments: ClassVar[bool] = False
    """Whether `capture` can give what changed since the last time."""
    epoch: float = 0.0
    """Changes when the state of partitions changes without anything being read of them."""
    poll_seconds: float = POLL_SECONDS
    """For how long there may be nothing to read before the next turn."""

    def __init__(self, shell: StageShell) -> None:
        self.shell = shell
        self.positions: dict[Partition, int] = {}
        self._saved: dict[Partition, tuple[int, float]] = {}
        self._commits = Commits(self.name)
        self._saving: Saving | None = None
        self._overdue: Saving | None = None
        self._checkpoint_due = time.monotonic() + shell.every
        self._busy = 0.0
        self._lag_due = 0.0
        self._paused: Sequence[Partition] = ()
        self._source: KafkaSource | None = None
        self._failed = False
        self._connected_at = float("inf")
        self._restored: set[Partition] = set()
        self.checkpointed_at = self.turned_at = time.monotonic()
        self._errands = Errands()

    def between_batches(self, change: Callable[[], None]) -> threading.Event:
        """Have something changed on the stage's own thread, before it reads on; returns what is set once it is.

        A checkpoint follows soon: what is read before it is not judged anew after a crash by what was changed.
        """
        return self._errands.give(change)

    def trouble(self) -> str | None:
        """Why the stage is not at work; None while it is, be it as a standby without partitions."""
        if self._source is None:
            return f"{self.name} has not reached Kafka"
        if not self._restored and time.monotonic() - self._connected_at < JOIN_SECONDS:
            return f"{self.name} has no partitions yet"
        silent = self._source.outage_seconds()
        return f"Kafka has not answered {self.name} for {silent:.0f} s" if silent > SILENT_SECONDS else None

    def run(self) -> None:
        """Work until told to stop, then save, commit and leave the group.

        Raises:
            SourceError, CheckpointError: The stage can't go on; nothing is lost.
        """
        source = self._source = self.shell.connect(self)
        self._connected_at = time.monotonic()
        try:
            while not self.shell.stop.is_set():
                self._turn(source)
        except BaseException:
            # What was read in this turn may be in the state, but not in the sinks: nothing more is saved.
            self._failed = True
            raise
        finally:
            source.close()
            log.info("stage_ended", stage=self.name)

    def _turn(self, source: KafkaSource) -> None:
        self.turned_at = time.monotonic()
        if self._errands.run():
            self._checkpoint_due = time.monotonic()
        self.shell.outputs.retry()
        polled = source.poll(0.0 if self._saving is not None and self._saving.encoding else self.poll_seconds)
        self.shell.metrics.count_messages(polled)
        started = time.perf_counter()
        batch = self.take(polled, source.caught_up())
        if not batch.empty:
            self.shell.metrics.batch_seconds.labels(self.name).observe(time.perf_counter() - started)
            self.shell.metrics.count_findings(batch.findings)
            self.shell.outputs.put(batch)
        self._hold_back(source)
        now = time.monotonic()
        if self._saving is not None:
            self._go_on_saving()
        elif now >= self._checkpoint_due:
            self._checkpoint_due = now + self.shell.every
            self._checkpoint(list(self.positions), 0.0 if self.shell.outputs.troubled else None)
        if now >= self._lag_due:
            self._lag_due = now + LAG_EVERY
            self.shell.metrics.set_lag(self.name, source.lag())

    def _hold_back(self, source: KafkaSource) -> None:
        """Pause what has enough waiting; all of it while a sink is full."""
        full = list(self.positions) if self.shell.outputs.blocked else self.full()
        source.pause(full)
        source.resume([partition for partition in self._paused if partition not in full])
        self._paused = full

    def _checkpoint(self, partitions: Sequence[Partition], flush: float | None = None) -> None:
        """Begin to save what moved since the last time, unless the sinks can't be made durable in `flush` seconds.

        Without a time it is only begun: the sinks may become durable while it is encoded, and after.
        """
        marks = {p: (self.positions[p], self.epoch) for p in partitions}
        moved = [p for p, mark in marks.items() if mark != self._saved.get(p)]
        if self._overdue is not None and not self._overdue.done:
            log.warning("checkpoint_put_off", stage=self.name, why="one that was given up is still being written")
            return
        if not moved:
            self.checkpointed_at = time.monotonic()
            if self._source is not None:
                self._commits.tell(self._source, {})
            return
        outputs = self.shell.outputs
        # Told to end meanwhile, a stage gives this up: it makes one more before it ends.
        stop = None if self.shell.stop.is_set() else self.shell.stop
        if not (outputs.hand_over(HAND_OVER_SECONDS, stop) if flush is None else outputs.flush(flush, stop)):
            log.warning("checkpoint_put_off", stage=self.name, why="a sink is not durable yet")
            return
        assert self._source is not None  # noqa: S101 - a checkpoint is made by a running stage
        if not self._is_ours(self._source, moved):
            return
        began, store = time.perf_counter(), self.shell.checkpoints
        whole = {p for p in moved if not self.increments or store.wants_whole(p)}
        barrier = outputs.barrier()
        self._saving = Saving(
            store,
            {p: marks[p] for p in moved},
            {p: self.capture(p, whole=p in whole) for p in moved},
            whole=whole,
            generation=self._source.generation(),
            durable=lambda: barrier.wait(DURABLE_SECONDS),
            background=self.shell.background,
        )
        self._busy = time.perf_counter() - began
        self._go_on_saving()

    def _is_ours(self, source: KafkaSource, partitions: Sequence[Partition]) -> bool:
        """Whether a partition that a higher generation wrote is ours: the group began anew, if it says so."""
        unproved = self.shell.checkpoints.unproved(partitions)
        if unproved and not self._commits.ask(source, {p: self.positions[p] for p in unproved}):
            return False
        self.shell.checkpoints.prove(unproved)
        return True

    def _go_on_saving(self) -> None:
        assert self._saving is not None  # noqa: S101 - asked by who knows
        began = time.perf_counter()
        done = self._saving.go_on(SLICE_SECONDS)
        self._busy += time.perf_counter() - began
        if done:
            self._finish_saving(0.0)

    def _finish_saving(self, timeout: float) -> None:
        """Wait until it is written, `timeout` seconds at most, then commit.

        After a failure the next checkpoint stands for this one too. What was not written in time may be later.
        """
        saving, self._saving = self._saving, None
        if saving is None:
            return
        metrics = self.shell.metrics
        if not saving.wait(max(0.0, timeout)):
            self._overdue = saving
            self._tell_failure(f"it was not written in {timeout:.0f} s")
            return
        try:
            metrics.checkpoint_bytes.inc(saving.result())
        except NotDurable as error:
            log.warning("checkpoint_put_off", stage=self.name, why=str(error))
            return
        except CheckpointError as error:
            if isinstance(error, CheckpointFenced) and error.partition in self.positions:
                raise
            self._tell_failure(str(error))
            return
        held = {p: mark for p, mark in saving.marks.items() if p in self.positions}
        self._saved.update(held)
        assert self._source is not None  # noqa: S101 - a checkpoint is made by a running stage
        self._commits.tell(self._source, {p: offset for p, (offset, _) in held.items()})
        metrics.checkpoint_seconds.observe(time.perf_counter() - saving.began_at)
        self.checkpointed_at = time.monotonic()
        self._checkpoint_due = max(self._checkpoint_due, self.checkpointed_at + self._busy / self.shell.share)

    def _tell_failure(self, why: str) -> None:
        self.shell.metrics.checkpoint_failures.inc()
        log.error("checkpoint_failed", stage=self.name, why=why)

    def on_assigned(self, partitions: list[Partition]) -> Mapping[Partition, int | None]:
        """Restore each partition; read on from the offset that its state stands for."""
        self._finish_saving(self.shell.grace)
        offsets: dict[Partition, int | None] = {}
        generation = self._source.generation() if self._source is not None else 0
        with self.shell.metrics.restore_seconds.labels(self.name).time():
            for partition, saved in self.shell.checkpoints.load(partitions, generation).items():
                try:
                    self.open(partition, saved.parts if saved else ())
                except (ValueError, KeyError, TypeError) as error:
                    raise CheckpointError(
                        f"the saved state of {partition} can't be taken over ({error}): run the version that wrote it, "
                        "or move its folder away to start without a memory"
                    ) from error
                offsets[partition] = saved.offset if saved else None
                if saved:
                    self.positions[partition] = saved.offset
                log.info("partition_restored", stage=self.name, partition=partition, offset=offsets[partition])
        self.opened(list(offsets.items()))
        self._restored.update(partitions)
        return offsets

    def on_revoked(self, partitions: list[Partition]) -> None:
        """Save, commit, forget; after a failure only forget."""
        if not self._failed:
            until = time.monotonic() + self.shell.grace
            waits = self._saving is not None and self._saving.waits
            self._finish_saving(self._for_sinks(self.shell.grace) if waits else self.shell.grace)
            left = max(0.0, until - time.monotonic())
            self._checkpoint([p for p in partitions if p in self.positions], self._for_sinks(left))
            self._finish_saving(until - time.monotonic())
        self.on_lost(partitions)

    def _for_sinks(self, left: float) -> float:
        """Seconds of those left to wait for the sinks: told to end, what is not durable soon is hardly worth more."""
        return min(left, LAST_FLUSH_SECONDS) if self.shell.stop.is_set() else left

    def on_lost(self, partitions: list[Partition]) -> None:
        """Forget; what another member saves counts."""
        for partition in partitions:
            if self._saving is not None:
                self._saving.forget(partition)
            self.close(partition)
            self._restored.discard(partition)
            self.positions.pop(partition, None)
            self._saved.pop(partition, None)
            self._commits.forget(partition)

    @abstractmethod
    def take(self, polled: Mapping[Partition, Sequence[Record]], caught_up: set[Partition]) -> Batch:
        """Step through what was polled (and what waited); gives the results and moves `positions`."""

    @abstractmethod
    def full(self) -> list[Partition]:
        """Partitions of which enough is waiting."""

    @abstractmethod
    def open(self, partition: Partition, parts: Sequence[Part]) -> None:
        """Take over a partition, with its saved state, the whole of it and what changed since; nothing if none is."""

    def opened(self, offsets: Sequence[tuple[Partition, int | None]]) -> None:  # noqa: B027 - optional
        """A round of `open` is over; offsets are those that reading goes on from, None for unknown."""

    @abstractmethod
    def close(self, partition: Partition) -> None:
        """Forget a partition."""

    @abstractmethod
    def capture(self, partition: Partition, *, whole: bool) -> Captured:
        """Begin to save the partition's state, all of it or what changed since the last capture."""
