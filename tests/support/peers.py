"""The peers' topic without Kafka: one log in memory, and workers that are turned one after the other."""

import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from detector import assembly
from detector.config import Config
from detector.decoding import Decoder
from detector.metrics import Metrics
from detector.peers_topic import PeersTopic
from detector.score_stage import ScoreStage
from detector.sinks.base import Batch
from detector.sources.alignment import Partition
from detector.sources.base import Record
from detector.telling import Telling
from detector.ticks import Ticker
from tests.support.score_stage import nothing_stored, save, stage_of

Logs = Mapping[Partition, Sequence[Record]]


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


class SharedLog:
    """What all workers read and write; `messages` by offset."""

    def __init__(self, partitions: Iterable[Partition]) -> None:
        self.partitions = frozenset(partitions)
        self.messages: list[tuple[bytes, bytes]] = []
        self.absent = False


class LogReader:
    """A reader of the log: what was written is there at once, unless it is held back."""

    def __init__(self, log: SharedLog) -> None:
        self._log, self._at = log, 0
        self.trouble: str | None = None
        self.deaf = False
        self.rewinds = 0

    @property
    def partitions(self) -> frozenset[Partition]:
        """All of the fleet."""
        return self._log.partitions

    @property
    def absent(self) -> bool:
        """Whether there is no log."""
        return self._log.absent

    def start(self) -> None:
        """Nothing to begin."""

    def rewind(self) -> None:
        """From the beginning."""
        self._at = 0
        self.rewinds += 1

    def caught_up(self, seconds: float) -> bool:  # noqa: ARG002 - a reader's signature
        """Always."""
        return True

    def take(self) -> list[bytes]:
        """What is new; nothing while it is deaf."""
        if self.deaf or self.absent:
            return []
        new, self._at = self._log.messages[self._at :], len(self._log.messages)
        return [value for _, value in new]


class LogPublisher:
    """Writes to the log; loses what it is given while it is `mute`."""

    def __init__(self, log: SharedLog) -> None:
        self._log = log
        self.trouble: str | None = None
        self.mute = False

    def start(self) -> None:
        """Nothing to begin."""

    def close(self, seconds: float) -> None:
        """Nothing to end."""

    def send(self, key: bytes, value: bytes) -> None:
        """Write."""
        if not self.mute:
            self._log.messages.append((key, value))


class Fellow:
    """One worker: a score stage with some of the partitions, and its end of the log."""

    def __init__(self, folder: Path, log: SharedLog, partitions: list[Partition], config: Config | None = None) -> None:
        config = config or Config()
        self.clock, self.reader, self.publisher = Clock(), LogReader(log), LogPublisher(log)
        shell = stage_of(folder).shell
        self.metrics: Metrics = shell.metrics
        self.peers = PeersTopic(self.reader, self.publisher, self.metrics, clock=self.clock)
        scoring = assembly.scoring(config, exchange=self.peers.exchange)
        telling = Telling(Ticker(assembly.attention(config)))
        self.stage = ScoreStage(shell, scoring, Decoder("native"), telling, nothing_stored, self.peers)
        self.left: dict[Partition, list[Record]] = {}
        self.batch = Batch()
        self.fed = 0
        """Records that were made for it one by one."""
        self.take_over(partitions)

    def take_over(self, partitions: list[Partition]) -> None:
        """Open partitions, as they were saved."""
        self.stage.on_assigned(partitions)

    def give(self, logs: Logs) -> None:
        """What it will read of partitions that it has nothing of yet, from where it stands."""
        for partition in self.stage._latest.keys() - self.left.keys():
            at = self.stage.positions.get(partition, 0)
            self.left[partition] = [r for r in logs[partition] if r.offset >= at]

    def turn(self, rng: random.Random | None = None) -> Batch:
        """Poll and take once: some records of a partition, or all there are without a generator."""
        polled: dict[Partition, list[Record]] = {}
        waiting = [p for p, records in self.left.items() if records and p not in self.stage.full()]
        for partition in waiting if rng is None else waiting and [rng.choice(waiting)]:
            count = len(self.left[partition]) if rng is None else rng.randrange(1, 80)
            polled[partition], self.left[partition] = self.left[partition][:count], self.left[partition][count:]
        batch = self.stage.take(polled, {p for p, records in self.left.items() if not records})
        self.batch.extend(batch)
        return batch

    def save(self) -> None:
        """A checkpoint of all its partitions."""
        for partition, offset in self.stage.positions.items():
            save(self.stage, partition, offset)

    def lose(self, partitions: list[Partition]) -> None:
        """Give partitions up, without saving."""
        self.stage.on_lost(partitions)
        for partition in partitions:
            self.left.pop(partition, None)

    def measured(self, name: str) -> float:
        """A sample of its metrics."""
        return self.metrics.registry.get_sample_value(f"detector_peers_{name}") or 0.0

    @property
    def done(self) -> bool:
        """Whether it has read and scored all that it was given."""
        return not any(self.left.values()) and len(self.stage._aligner) == 0

    def snapshots(self) -> dict[Partition, dict[str, Any]]:
        """The state of each of its partitions."""
        return {partition: self.stage.scoring.snapshot(partition) for partition in sorted(self.stage._latest)}


def work(fellows: Sequence[Fellow], rng: random.Random, turns: int = 100_000) -> None:
    """Let them take turns, in any order, until all is done."""
    for _ in range(turns):
        if all(fellow.done for fellow in fellows):
            return
        rng.choice(fellows).turn(rng)
    raise AssertionError(f"not done after {turns} turns")
