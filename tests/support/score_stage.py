"""A score stage without Kafka: its shell, a source that follows a script, and records for it."""

import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import msgspec

from detector import VERSION, assembly
from detector.checkpoints import CheckpointStore, Piece
from detector.config import Config
from detector.decoding import Decoder, DecoderByTopic
from detector.events import Event
from detector.formats import REGISTRY as FORMATS
from detector.metrics import Metrics
from detector.outputs import Outputs
from detector.score_stage import ScoreStage, Stored
from detector.sources.alignment import Partition
from detector.sources.base import Record
from detector.sources.kafka import KafkaSource, PartitionListener
from detector.sources.overheard import Overheard
from detector.stages import StageShell
from detector.telling import Telling
from detector.ticks import Ticker

Polled = Mapping[Partition, Sequence[Record]]


class FakeSource:
    """Hands over what a script says, then tells the stage to stop; notes what is committed.

    Others have the partitions `beside`.
    """

    def __init__(
        self,
        script: Sequence[Polled],
        stop: threading.Event,
        assigned: list[Partition],
        beside: Sequence[Partition] = (),
    ) -> None:
        self.script = list(script)
        self.stop = stop
        self.assigned = assigned
        self.beside = beside
        self.commits: list[Mapping[Partition, int]] = []
        self.listener: PartitionListener | None = None

    def connect(self, listener: PartitionListener) -> KafkaSource:
        """What the shell calls; the partitions are assigned at once."""
        self.listener = listener
        listener.on_assigned(self.assigned)
        return cast("KafkaSource", self)

    def poll(self, timeout: float) -> Polled:  # noqa: ARG002 - a source's signature
        """The script's next."""
        polled = self.script.pop(0)
        if not self.script:
            self.stop.set()
        return polled

    def caught_up(self) -> set[Partition]:
        """All of them: the script is in order."""
        return set(self.assigned)

    def partitions(self) -> set[Partition]:
        """All that there are."""
        return {*self.assigned, *self.beside}

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Note it."""
        self.commits.append(offsets)

    def generation(self) -> int:
        """None: there is no group."""
        return 0

    def lag(self) -> Mapping[Partition, int]:
        """None."""
        return {}

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Nothing is paused here."""

    resume = pause

    def close(self) -> None:
        """Leave without giving partitions up, as a process that is killed."""


def nothing_stored(*_: object) -> Mapping[tuple[int, int], str]:
    """A store that is empty."""
    return {}


def stage_of(
    folder: Path,
    partitions: list[Partition] | None = None,
    *,
    stored: Stored = nothing_stored,
    source: FakeSource | None = None,
    decoder: Decoder | DecoderByTopic | None = None,
    every: float = 0.0,
    overheard: Overheard | None = None,
    clock: Callable[[], float] = time.monotonic,
    config: Config | None = None,
    turn_most: int = sys.maxsize,
) -> ScoreStage:
    """A stage that has its partitions; with a source it can run, and makes a checkpoint at each turn by default.

    It takes all that it is given in one turn, unless told otherwise.
    """
    config = config or Config()
    source = source or FakeSource([], threading.Event(), [])
    shell = StageShell(
        connect=source.connect,
        outputs=Outputs([]),
        checkpoints=CheckpointStore(str(folder), "score"),
        metrics=Metrics(version=VERSION, formats=FORMATS, detectors=[], sinks=[]),
        stop=source.stop,
        every=every,
        share=float("inf"),
    )
    telling = Telling(Ticker(assembly.attention(config)), overheard, clock)
    decoder = decoder or Decoder("native")
    stage = ScoreStage(shell, assembly.scoring(config), decoder, telling, stored)
    stage.turn_most = turn_most
    if partitions:
        stage.on_assigned(partitions)
    return stage


def save(stage: ScoreStage, partition: Partition, offset: int) -> None:
    """Save a partition's state as it stands."""
    captured = stage.capture(partition, whole=True)
    piece = Piece(captured.head, whole=True)
    if captured.rows is not None:
        piece.add(captured.rows.take(10**9))
    stage.shell.checkpoints.save({partition: (offset, piece)})


def record(item: Event | bytes, partition: Partition, offset: int, received_at: float | None = None) -> Record:
    """An event or any bytes as read; it arrived when it happened unless told otherwise."""
    if isinstance(item, bytes):
        return Record(*partition, offset, None, item, received_at or 0.0)
    arrived = item.time.timestamp() if received_at is None else received_at
    return Record(*partition, offset, None, msgspec.json.encode(item), arrived)
