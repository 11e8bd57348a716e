"""The live stages: read, step, write, checkpoint. One thread each; what they compute is in the core."""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec
import structlog

from detector.checkpoint import Checkpoint, CheckpointError, CheckpointFolder
from detector.metrics import Metrics
from detector.outputs import Outputs
from detector.sinks.base import Batch
from detector.sources.alignment import Partition
from detector.sources.base import Record
from detector.sources.kafka import CommitLost, CommitRetry, KafkaSource, PartitionListener

log = structlog.get_logger(__name__)

POLL_SECONDS: Final = 0.1
FLUSH_SECONDS: Final = 5.0
LAG_EVERY: Final = 5.0
SILENT_SECONDS: Final = 15.0
JOIN_SECONDS: Final = 15.0


class StageShell(msgspec.Struct, frozen=True):
    """What a stage is given to work with.

    `connect` makes the source, with the stage as its listener. `every` is the seconds between checkpoints,
    `grace` those in which a stage that gives up partitions may wait for its sinks.
    """

    connect: Callable[[PartitionListener], KafkaSource]
    outputs: Outputs
    checkpoints: CheckpointFolder
    metrics: Metrics
    stop: threading.Event
    every: float = 30.0
    grace: float = 20.0


class Stage(ABC):
    """A loop around one Kafka source.

    Order at a checkpoint: sinks durable, then state with its offsets, then the commit to Kafka. The saved
    offset is the one that counts; Kafka's is for those who watch the lag.
    """

    name: ClassVar[str]
    epoch: float = 0.0
    """Changes when the state of partitions changes without anything being read of them."""

    def __init__(self, shell: StageShell) -> None:
        self.shell = shell
        self.positions: dict[Partition, int] = {}
        self._saved: dict[Partition, tuple[int, float]] = {}
        self._checkpoint_due = time.monotonic() + shell.every
        self._lag_due = 0.0
        self._paused: Sequence[Partition] = ()
        self._source: KafkaSource | None = None
        self._failed = False
        self._connected_at = float("inf")
        self._restored: set[Partition] = set()
        self.checkpointed_at = self.turned_at = time.monotonic()

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
        self.shell.outputs.retry()
        polled = source.poll(POLL_SECONDS)
        started = time.perf_counter()
        batch = self.take(polled, source.caught_up())
        if not batch.empty:
            self.shell.metrics.batch_seconds.labels(self.name).observe(time.perf_counter() - started)
            self.shell.metrics.count_findings(batch.findings)
            self.shell.outputs.put(batch)
        self._hold_back(source)
        now = time.monotonic()
        if now >= self._checkpoint_due:
            self._checkpoint_due = now + self.shell.every
            self._checkpoint(list(self.positions), FLUSH_SECONDS)
        if now >= self._lag_due:
            self._lag_due = now + LAG_EVERY
            self.shell.metrics.set_lag(self.name, source.lag())

    def _hold_back(self, source: KafkaSource) -> None:
        """Pause what has enough waiting; all of it while a sink is full."""
        full = list(self.positions) if self.shell.outputs.blocked else self.full()
        source.pause(full)
        source.resume([partition for partition in self._paused if partition not in full])
        self._paused = full

    def _checkpoint(self, partitions: Sequence[Partition], timeout: float) -> bool:
        """Save what moved since the last time; False if a sink could not be made durable in time."""
        marks = {p: (self.positions[p], self.epoch) for p in partitions}
        moved = [p for p, mark in marks.items() if mark != self._saved.get(p)]
        if not moved:
            self.checkpointed_at = time.monotonic()
            return True
        started = time.perf_counter()
        if not self.shell.outputs.flush(timeout):
            log.warning("checkpoint_put_off", stage=self.name, why="a sink is not durable yet")
            return False
        self.shell.checkpoints.save({p: Checkpoint(self.positions[p], self.snapshot(p)) for p in moved})
        self._saved.update(marks)
        self._commit({p: self.positions[p] for p in moved})
        self.shell.metrics.checkpoint_seconds.observe(time.perf_counter() - started)
        self.checkpointed_at = time.monotonic()
        return True

    def _commit(self, offsets: Mapping[Partition, int]) -> None:
        assert self._source is not None  # noqa: S101 - a checkpoint is made by a running stage
        try:
            self._source.commit(offsets)
        except CommitRetry as why:
            log.info("commit_put_off", stage=self.name, why=str(why))
        except CommitLost as why:
            log.warning("commit_lost", stage=self.name, why=str(why))

    def on_assigned(self, partitions: list[Partition]) -> Mapping[Partition, int | None]:
        """Restore each partition; read on from the offset that its state stands for."""
        offsets: dict[Partition, int | None] = {}
        for partition in partitions:
            saved = self.shell.checkpoints.load(*partition)
            try:
                self.open(partition, saved.state if saved else None)
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
            self._checkpoint([p for p in partitions if p in self.positions], self.shell.grace)
        self.on_lost(partitions)

    def on_lost(self, partitions: list[Partition]) -> None:
        """Forget; what another member saves counts."""
        for partition in partitions:
            self.close(partition)
            self._restored.discard(partition)
            self.positions.pop(partition, None)
            self._saved.pop(partition, None)

    @abstractmethod
    def take(self, polled: Mapping[Partition, Sequence[Record]], caught_up: set[Partition]) -> Batch:
        """Step through what was polled (and what waited); gives the results and moves `positions`."""

    @abstractmethod
    def full(self) -> list[Partition]:
        """Partitions of which enough is waiting."""

    @abstractmethod
    def open(self, partition: Partition, state: Mapping[str, Any] | None) -> None:
        """Take over a partition, with its saved state if there is one."""

    def opened(self, offsets: Sequence[tuple[Partition, int | None]]) -> None:  # noqa: B027 - optional
        """A round of `open` is over; offsets are those that reading goes on from, None for unknown."""

    @abstractmethod
    def close(self, partition: Partition) -> None:
        """Forget a partition."""

    @abstractmethod
    def snapshot(self, partition: Partition) -> dict[str, Any]:
        """The partition's state, to be saved."""
