"""Stage 1, live: events from Kafka, aligned by event time, scored; findings and ticks to the findings topic."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from math import inf
from typing import Final

import structlog

from detector.checkpoints import Part
from detector.decoding import Decoder, DecoderByTopic
from detector.duplicates import renamed
from detector.events import Envelope, Rejected
from detector.peers_topic import PeersTopic
from detector.saving import Captured
from detector.scoring import Scoring
from detector.sinks.base import Batch
from detector.sources.alignment import Aligner, Partition
from detector.sources.base import Record
from detector.stages import POLL_SECONDS, Stage, StageShell
from detector.telling import Telling

log = structlog.get_logger(__name__)

WAITING_MOST: Final = 2_000

AHEAD_MOST: Final = 8_000
"""Messages of a partition that may wait while other workers are waited for: to read and to decode needs nobody."""

TURN_MOST: Final = 2_000
"""Messages stepped through before what was found is handed on: while a backlog is read, alerts of it do not wait for
more than a part of a second's work, nor do the end of the process or a checkpoint."""

WAITING_SECONDS: Final = 0.02
"""For how long there may be nothing to read while other workers are waited for."""

# (topic, partition, first offset) -> {(offset, index in the message): id of the event there, "" for a reject}
Stored = Callable[[str, int, int], Mapping[tuple[int, int], str]]


class _Item:
    """What waits in the aligner: a record's envelopes and rejects, their time there, and the offset behind it.

    `event_time` is that of its first event; minus infinity where there is none, or it is from the future.
    """

    __slots__ = ("decoded", "event_time", "next_offset", "partition", "time")

    def __init__(
        self,
        decoded: Sequence[Envelope | Rejected],
        partition: Partition,
        time: float,
        next_offset: int,
        *,
        event_time: float,
    ) -> None:
        self.decoded = decoded
        self.event_time = event_time
        self.partition = partition
        self.time = time
        self.next_offset = next_offset


class ScoreStage(Stage):
    """Decodes, aligns and scores.

    Args:
        shell: What every stage is given.
        scoring: The first stage, empty.
        decoder: Makes events of the records.
        telling: Makes what correlation is told.
        stored: What the store holds already from an offset on, so that it is not written twice.
        peers: The way to the workers that have the other partitions; None: there are none.
    """

    name = "score"
    increments = True
    turn_most = TURN_MOST

    def __init__(
        self,
        shell: StageShell,
        scoring: Scoring,
        decoder: Decoder | DecoderByTopic,
        telling: Telling,
        stored: Stored,
        peers: PeersTopic | None = None,
    ) -> None:
        super().__init__(shell)
        self.scoring = scoring
        self._peers = peers
        self._due = inf
        self._decoder = decoder
        self._telling = telling
        self._stored_from = stored
        self._stored: dict[Partition, Mapping[tuple[int, int], str]] = {}
        self._stored_last: dict[Partition, tuple[int, int]] = {}
        self._aligner: Aligner[_Item] = Aligner()
        self._latest: dict[Partition, float] = {}
        self._kinds: Counter[tuple[str, str]] = Counter()
        self._verdicts: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._passed_over: Counter[str] = Counter()

    def go_on_with(self, scoring: Scoring, decoder: Decoder | DecoderByTopic, attention: float) -> None:
        """Judge by another configuration from here on, with all that is known; events that wait are read already.

        Args:
            scoring: A first stage by the new configuration, empty.
            decoder: Makes events of the records that are read from now on.
            attention: Seconds after a finding for which correlation is told of passing time.
        """
        scoring.take_over(self.scoring)
        self.scoring, self._decoder, self._telling.ticker.attention = scoring, decoder, attention
        self._look_ahead()

    def take(self, polled: Mapping[Partition, Sequence[Record]], caught_up: set[Partition]) -> Batch:
        """Queue what was polled; score what no other partition can still precede, up to a turn's worth."""
        for partition, records in polled.items():
            for record in records:
                self._queue(partition, record)
        for partition in self._latest:
            self._aligner.set_caught_up(partition, partition in caught_up)
        self._telling.overhear(self._source.partitions() if self._source is not None else set())
        batch = Batch()
        if self._peers is not None:
            self._peers.hear()
        left, going_on = self.turn_most, True
        while going_on:
            for item in islice(self._aligner.ready(before=self._due), left):
                self._step(item, batch)
                left -= 1
            going_on = left > 0 and self._peers is not None and self._cross(self._peers, batch)
        self.poll_seconds = 0.0 if left <= 0 else self._patience()
        batch.signals.extend(self._telling.answer(self._aligner.ahead()))
        self._measure()
        self.epoch = self.scoring.peers_versions  # an exchange changes what every partition has published
        return batch

    def _patience(self) -> float:
        return WAITING_SECONDS if self._peers is not None and self._peers.waiting else POLL_SECONDS

    def _cross(self, peers: PeersTopic, batch: Batch) -> bool:
        """Bring the partitions past the boundary that the next item is behind; whether there is more to step through.

        While the other workers are waited for, the item stays where it is. Who has nothing to read says so to those
        who wait.
        """
        head = self._aligner.head()
        if head is None:
            if self._aligner.idle and self._latest and (ahead := peers.ahead(self.scoring)) is not None:
                peers.cross(self.scoring, ahead)
                self._look_ahead()
            return False
        _, partition, item = head
        crossing = self.scoring.crossing
        if item.event_time >= crossing.due(partition):
            there = peers.cross(self.scoring, crossing.boundary(item.event_time))
            self._look_ahead()
            if not there:
                return False
        self._aligner.pop()
        self._step(item, batch)
        return True

    def _look_ahead(self) -> None:
        """Note the event time from which on a boundary lies before an item."""
        self._due = self.scoring.crossing.due() if self._peers is not None else inf

    def _measure(self) -> None:
        metrics = self.shell.metrics
        if self._kinds:
            metrics.batch_events.observe(self._kinds.total())
            metrics.count_events(self._kinds)
            metrics.count_verdicts(self._verdicts)
            metrics.principals.set(self.scoring.principals)
            metrics.watermark.set(self.scoring.watermark)
            self._kinds.clear()
            self._verdicts.clear()
        for reason, count in self._reasons.items():
            metrics.rejects.labels(reason).inc(count)
        self._reasons.clear()
        for topic, count in self._passed_over.items():
            metrics.passed_over.labels(topic).inc(count)
        self._passed_over.clear()
        if self.scoring.tests_ended:
            metrics.count_tests(self.scoring.tests_ended)
            self.scoring.tests_ended.clear()

    def _queue(self, partition: Partition, record: Record) -> None:
        decoded = self._decoder.decode(record)
        if not decoded:
            self._passed_over[record.topic] += 1
        first, event_time = next((item for item in decoded if isinstance(item, Envelope)), None), -inf
        if first is not None:
            # An event from the future must not hold its partition back, nor a late one go before what it came after.
            event_time, arrived = first.event.time.timestamp(), record.received_at
            self._latest[partition] = max(min(event_time, arrived), self._latest[partition])
            crosses = event_time <= arrived + self.scoring.allowed_skew
            event_time = min(event_time, arrived) if crosses else -inf
        latest = self._latest[partition]
        item = _Item(decoded, partition, latest, record.offset + 1, event_time=event_time)
        self._aligner.push(partition, latest, item)

    def _step(self, item: _Item, batch: Batch) -> None:
        self.positions[item.partition] = item.next_offset
        self._telling.bring(item.partition, item.time)
        for decoded in item.decoded:
            if isinstance(decoded, Rejected):
                self._refuse(item.partition, decoded, batch)
            else:
                self._score(item.partition, decoded, batch)

    def _refuse(self, partition: Partition, rejected: Rejected, batch: Batch) -> None:
        self._reasons[rejected.reject.reason] += 1
        if not self._is_stored(partition, (rejected.offset, rejected.index), ""):
            batch.rejects.append(rejected)

    def _score(self, partition: Partition, envelope: Envelope, batch: Batch) -> None:
        scored = self.scoring.step(envelope)
        self._kinds[envelope.format, envelope.event.kind] += 1
        self._verdicts[scored.verdict] += 1
        if scored.event_id:
            self.shell.metrics.event_ids_reused.inc()
            log.warning("event_id_reused", event_id=envelope.event.id, by=envelope.event.actor.id, now=scored.event_id)
            envelope = renamed(envelope, scored.event_id)
        if not self._is_stored(partition, (envelope.offset, envelope.index), envelope.event.id):
            batch.events.append((envelope, scored.verdict))
        if scored.error:
            log.error("event_not_scored", event_id=envelope.event.id, place=envelope.offset, why=scored.error)
        if scored.forgot:
            self.shell.metrics.principals_unreadable.inc()
            log.error("principal_forgotten", principal=envelope.event.principal, why=scored.forgot)
        if scored.verdict == "scored":
            batch.signals.extend(self._telling.tell(partition, envelope.event.time.timestamp(), scored.findings))
            batch.findings.extend(scored.findings)

    def _is_stored(self, partition: Partition, place: tuple[int, int], event_id: str) -> bool:
        stored = self._stored.get(partition)
        if stored is None:
            return False
        if place > self._stored_last[partition]:
            del self._stored[partition], self._stored_last[partition]
            return False
        return stored.get(place) == event_id

    def full(self) -> list[Partition]:
        """Partitions with more queued than is worth having in memory."""
        waiting = self._peers is not None and self._peers.waiting
        return self._aligner.full(AHEAD_MOST if waiting else WAITING_MOST)

    def open(self, partition: Partition, parts: Sequence[Part]) -> None:
        """Restore scoring, and what was told."""
        states = ({"principals": part.rows.drain()} | part.head["scoring"] for part in parts)
        snapshot, *changes = states if parts else (None,)
        self.scoring.open(partition, snapshot, changes)
        self._aligner.assign(partition)
        self._latest[partition] = self._telling.open(partition, [part.head for part in parts])

    def opened(self, offsets: Sequence[tuple[Partition, int | None]]) -> None:
        """Take the restored peers into force, and ask the store what it holds."""
        if self._peers is not None:
            self._peers.recall(self.scoring.crossing.oldest)
        self.scoring.settle()
        self._look_ahead()
        for partition, offset in offsets:
            # Without a checkpoint all of the partition would have to be asked for; doubles never show anyway.
            stored = self._stored_from(*partition, offset) if offset is not None else {}
            if stored:
                self._stored[partition] = stored
                self._stored_last[partition] = max(stored)

    def close(self, partition: Partition) -> None:
        """Forget the partition and all that waits of it."""
        self._aligner.revoke(partition)
        self._telling.close(partition)
        self.scoring.close(partition)
        self._stored.pop(partition, None)
        self._stored_last.pop(partition, None)
        self._latest.pop(partition, None)
        self._look_ahead()

    def capture(self, partition: Partition, *, whole: bool) -> Captured:
        """Scoring's state of the partition, and what was told of it."""
        head, principals = self.scoring.capture(partition, whole=whole)
        return Captured({"scoring": head, **self._telling.save(partition)}, principals)
