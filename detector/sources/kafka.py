"""The Kafka source: a member of a consumer group that hands over raw records and commits when it is told to."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
import structlog
from kafka import TopicPartition, errors
from kafka.consumer.fetcher import ConsumerRecord

from detector.sources.alignment import Partition
from detector.sources.base import Record, SourceError
from detector.sources.kafka_consumer import (
    FATAL,
    CommitLost,
    CommitRetry,
    ConsumerSettings,
    commit,
    connect,
    generation_of,
)
from detector.sources.kafka_hooks import Rebalance, SkippedRecord, free_drained, skip_damaged, take_finished_join

__all__ = ["CommitLost", "CommitRetry", "ConsumerSettings", "KafkaSource", "PartitionListener", "SkippedRecord"]

DEFAULTS: Final = ConsumerSettings()
CLOCKS_DIFFER: Final = 60.0  # seconds that the broker's clock may be ahead of ours

log = structlog.get_logger(__name__)


class PartitionListener(Protocol):
    """Told when partitions come and go, while `poll` or `close` waits for it.

    It runs in a thread of its own, never beside the owner's, and may take seconds and call `commit`; it must
    not call `poll`. What it raises, `poll` or `close` raises.
    """

    def on_assigned(self, partitions: list[Partition]) -> Mapping[Partition, int | None]:
        """These were added. Answer the offset to read each from; None for the committed one, or the earliest."""

    def on_revoked(self, partitions: list[Partition]) -> None:
        """These are given up in order: save their state and commit their offsets now, then drop the state.

        A `CommitRetry` here, of a consumer that is closed amid a rebalance, can't be tried again.
        """

    def on_lost(self, partitions: list[Partition]) -> None:
        """These were taken away and may be another member's already: drop their state, commit nothing."""


def _log_skip(skipped: SkippedRecord) -> None:
    log.error("record_skipped", **msgspec.structs.asdict(skipped))


class KafkaSource:
    """Reads topics as a member of a consumer group. Not thread-safe: one thread owns it.

    Guarantees: the records of a partition come in offset order; nothing is committed but by `commit`; a record
    that can't be read is reported and passed over; an offset that the log no longer has falls back to the
    earliest one, with a warning. Decoding is the caller's business.

    Args:
        client: kafka-python's settings for bootstrap and security; others override the defaults here.
        topics: Topics to read; they must exist.
        group_id: Consumer group.
        listener: Told when partitions come and go.
        clock: Unix seconds.
        settings: Sizes and times.
        on_skip: Called, within `poll`, with each record that can't be read; logs an error by default.

    Raises:
        SourceError: no broker answered, or a topic is missing.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        topics: Sequence[str],
        group_id: str,
        listener: PartitionListener,
        clock: Callable[[], float],
        *,
        settings: ConsumerSettings = DEFAULTS,
        on_skip: Callable[[SkippedRecord], None] = _log_skip,
    ) -> None:
        self._listener, self._clock, self._settings = listener, clock, settings
        self._consumer = connect(client, topics, group_id, settings)
        self._rebalance = Rebalance(self._consumer, self._on_assigned, self._on_revoked, self._on_lost)
        self._closed = False
        # The offset that the next record should have, where it is known.
        self._next: dict[Partition, int] = {}
        self._at_end_since: dict[Partition, float] = {}
        self._answered_at = self._asked_at = clock()
        self._silent = False
        self._generation = 0
        self._any_partition = TopicPartition(topics[0], 0)
        skip_damaged(self._consumer, on_skip)
        self._consumer.subscribe(list(topics), listener=self._rebalance)

    def poll(self, timeout: float) -> dict[Partition, list[Record]]:
        """Wait up to `timeout` seconds for records; rebalances happen in here.

        Returns:
            Records by partition, in offset order, `max_poll_records` at most. `received_at` is the broker's
            time of arrival where the topic has `message.timestamp.type=LogAppendTime`, else the producer's.

        Raises:
            SourceError: the broker refuses us for good (authorisation, a fenced instance id …).
        """
        take_finished_join(self._consumer)
        free_drained(self._consumer)
        try:
            fetched = self._consumer.poll(timeout_ms=int(timeout * 1000))
        except errors.KafkaError as error:
            self._raise_if_fatal(error)
            log.warning("poll_failed", error=str(error))
            time.sleep(min(timeout, 0.1))  # a broker that answers with errors answers at once
            fetched = {}
        now = self._clock()
        records = {(tp.topic, tp.partition): self._convert(batch, now) for tp, batch in fetched.items()}
        if records:
            self._heard(now)
        elif now - max(self._answered_at, self._asked_at) >= self._settings.probe_after:
            self._ask_ends()
        self._observe_ends()
        return records

    def caught_up(self) -> set[Partition]:
        """Assigned partitions that have been read to the log's end for `idle_after` seconds."""
        until = self._clock() - self._settings.idle_after
        return {partition for partition, since in self._at_end_since.items() if since <= until}

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Hand over nothing of these until `resume`; the group keeps them. Those not assigned are ignored."""
        self._consumer.pause(*self._assigned(partitions))

    def resume(self, partitions: Sequence[Partition]) -> None:
        """Undo `pause`. They are not caught up before they have been fetched again."""
        for partition in partitions:
            self._at_end_since.pop(partition, None)
        self._consumer.resume(*self._assigned(partitions))

    def commit(self, offsets: Mapping[Partition, int], metadata: str = "") -> None:
        """Commit the offsets of the next records to read, and wait for it up to `commit_timeout` seconds.

        Raises:
            CommitRetry: the group rebalances, or the broker did not answer.
            CommitLost: this consumer is no longer a member.
        """
        if offsets:
            commit(self._consumer, offsets, metadata, self._settings)
            self._heard(self._clock())

    def generation(self) -> int:
        """The group's generation that this consumer was last a member of; 0 before the first."""
        self._generation = max(self._generation, generation_of(self._consumer))
        return self._generation

    def lag(self) -> dict[Partition, int]:
        """Records between the position and the log's end, of each assigned partition that has a position.

        Asks the broker, for `probe_timeout` seconds at most; when it is silent, from what it said last.
        """
        ends = self._ask_ends()
        lags: dict[Partition, int] = {}
        for tp in self._consumer.assignment():
            end, position = ends.get(tp, self._consumer.highwater(tp)), self._position(tp)
            if end is not None and position is not None:
                lags[tp.topic, tp.partition] = max(0, end - position)
        return lags

    def outage_seconds(self) -> float:
        """Seconds since the broker last answered; 0 while it does. kafka-python's own poll hides an outage."""
        return self._clock() - self._answered_at if self._silent else 0.0

    def close(self) -> None:
        """Give the partitions up (`on_revoked`), leave the group and end the threads. Commits nothing itself.

        A static member stays in the group until its session times out. Closing twice does nothing.
        """
        if self._closed:
            return
        self._closed = True
        seconds = min(self._settings.closing_timeout, self._settings.commit_timeout)
        self._settings = msgspec.structs.replace(self._settings, commit_timeout=seconds)
        try:
            timeout_ms = int(seconds * 1000)
            self._consumer.close(autocommit=False, timeout_ms=timeout_ms)
        except errors.KafkaError as error:
            self._raise_if_fatal(error)
            log.warning("close_failed", error=str(error))
        finally:
            self._rebalance.close()

    def _on_assigned(self, partitions: list[Partition]) -> None:
        log.info("partitions_assigned", partitions=partitions)
        for partition, offset in self._listener.on_assigned(partitions).items():
            if offset is not None:
                self._consumer.seek(TopicPartition(*partition), offset)
                self._next[partition] = offset

    def _on_revoked(self, partitions: list[Partition]) -> None:
        log.info("partitions_revoked", partitions=partitions)
        self._forget(partitions)
        self._listener.on_revoked(partitions)

    def _on_lost(self, partitions: list[Partition]) -> None:
        log.warning("partitions_lost", partitions=partitions)
        self._forget(partitions)
        self._listener.on_lost(partitions)

    def _forget(self, partitions: list[Partition]) -> None:
        for partition in partitions:
            self._next.pop(partition, None)
            self._at_end_since.pop(partition, None)

    def _assigned(self, partitions: Sequence[Partition]) -> list[TopicPartition]:
        assignment = self._consumer.assignment()
        return [tp for tp in map(TopicPartition._make, partitions) if tp in assignment]

    def _convert(self, batch: Sequence[ConsumerRecord], now: float) -> list[Record]:
        """Records of one partition; a value of None is a tombstone."""
        topic, number = partition = batch[0].topic, batch[0].partition
        expected = self._next.get(partition)
        if expected is not None and batch[0].offset != expected:
            self._report_jump(partition, expected, batch[0].offset)
        self._next[partition] = batch[-1].offset + 1
        return [
            Record(topic, number, r.offset, r.key, r.value or b"", _arrival(r.timestamp / 1000, now)) for r in batch
        ]

    def _report_jump(self, partition: Partition, expected: int, found: int) -> None:
        """Warn when the log no longer had the offset; a gap within it (compaction, transactions) is normal."""
        tp = TopicPartition(*partition)
        try:
            timeout_ms = int(self._settings.probe_timeout * 1000)
            earliest = self._consumer.beginning_offsets([tp], timeout_ms=timeout_ms)[tp]
        except errors.KafkaError:
            earliest = found
        if found < expected or found <= earliest:
            log.warning("offset_out_of_range", partition=partition, wanted=expected, read_from=found)

    def _position(self, tp: TopicPartition) -> int | None:
        try:
            position: int | None = self._consumer.position(tp, timeout_ms=0)
        except errors.KafkaError:
            return None
        return position

    def _observe_ends(self) -> None:
        """Note since when each partition's position has been at the log's end, as the last fetch knew it."""
        now = self._clock()
        for tp in self._consumer.assignment():
            partition, end = (tp.topic, tp.partition), self._consumer.highwater(tp)
            # Control records take offsets, so that only the client knows where it stands.
            position = None if end is None else self._position(tp)
            if end is not None and position is not None and position >= end:
                self._at_end_since.setdefault(partition, now)
            else:
                self._at_end_since.pop(partition, None)

    def _ask_ends(self) -> dict[TopicPartition, int]:
        """The log's ends of the assigned partitions, which is also the sign of life; empty when it is silent."""
        self._asked_at = self._clock()
        wanted = self._consumer.assignment() or {self._any_partition}
        try:
            timeout_ms = int(self._settings.probe_timeout * 1000)
            ends: dict[TopicPartition, int] = self._consumer.end_offsets(list(wanted), timeout_ms=timeout_ms)
        except errors.KafkaError as error:
            if not self._silent:
                log.warning("broker_silent", error=str(error))
            self._silent = True
            return {}
        self._heard(self._clock())
        return ends

    def _heard(self, now: float) -> None:
        self._answered_at = now
        if self._silent:
            log.info("broker_answers")
            self._silent = False
            # What the client knows of the logs' ends is from before the outage.
            self._at_end_since.clear()

    def _raise_if_fatal(self, error: errors.KafkaError) -> None:
        failure, self._rebalance.failure = self._rebalance.failure, None
        if failure is not None:
            raise failure from error
        if isinstance(error, FATAL):
            raise SourceError(f"Kafka refuses this consumer ({error}): check its ACLs and settings") from error


def _arrival(timestamp: float, now: float) -> float:
    """A record's time of arrival, in unix seconds: its timestamp, where that can be believed.

    Below zero it is unknown. Where producers set it (`CreateTime`), one that lies in the future would let an event
    from the future pass for one of today.
    """
    return timestamp if 0 <= timestamp <= now + CLOCKS_DIFFER else now
