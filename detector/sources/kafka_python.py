"""A member of a consumer group by kafka-python, the client that is used unless another is asked for."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import structlog
from kafka import TopicPartition, errors
from kafka.consumer.fetcher import ConsumerRecord

from detector.sources.alignment import Partition
from detector.sources.base import Record
from detector.sources.kafka_consumer import FATAL, commit, connect, generation_of
from detector.sources.kafka_hooks import Rebalance, free_drained, poll, skip_damaged, take_finished_join
from detector.sources.member import (
    BrokerSilent,
    ConsumerSettings,
    GroupMember,
    PartitionListener,
    SkippedRecord,
    arrival,
    refused,
)

log = structlog.get_logger(__name__)


class KafkaPythonMember(GroupMember):
    """`client` has kafka-python's names. The listener runs in a thread of its own, while `poll` or `close` waits."""

    def __init__(
        self,
        client: Mapping[str, Any],
        topics: Sequence[str],
        group_id: str,
        listener: PartitionListener,
        clock: Callable[[], float],
        settings: ConsumerSettings,
        on_skip: Callable[[SkippedRecord], None],
    ) -> None:
        self._listener, self._clock, self._settings = listener, clock, settings
        self._probe_ms = int(settings.probe_timeout * 1000)
        self._consumer = connect(client, topics, group_id, settings)
        self._rebalance = Rebalance(self._consumer, self._on_assigned, listener.on_revoked, listener.on_lost)
        skip_damaged(self._consumer, on_skip)
        self._consumer.subscribe(list(topics), listener=self._rebalance)

    def poll(self, timeout: float) -> dict[Partition, list[Record]]:
        """See `GroupMember`."""
        take_finished_join(self._consumer)
        free_drained(self._consumer)
        try:
            fetched = poll(self._consumer, timeout)
        except errors.KafkaError as error:
            self._raise_if_fatal(error)
            log.warning("poll_failed", error=str(error))
            time.sleep(min(timeout, 0.1))  # a broker that answers with errors answers at once
            return {}
        now = self._clock()
        return {(tp.topic, tp.partition): _records(batch, now) for tp, batch in fetched.items()}

    def assignment(self) -> set[Partition]:
        """See `GroupMember`."""
        return {(tp.topic, tp.partition) for tp in self._consumer.assignment()}

    def pause(self, partitions: Sequence[Partition]) -> None:
        """See `GroupMember`."""
        self._consumer.pause(*map(TopicPartition._make, partitions))

    def resume(self, partitions: Sequence[Partition]) -> None:
        """See `GroupMember`."""
        self._consumer.resume(*map(TopicPartition._make, partitions))

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """See `GroupMember`."""
        commit(self._consumer, offsets, self._settings)

    def generation(self) -> int:
        """See `GroupMember`."""
        return generation_of(self._consumer)

    def position(self, partition: Partition) -> int | None:
        """See `GroupMember`. Control records take offsets, so that only the client knows where it stands."""
        try:
            position: int | None = self._consumer.position(TopicPartition(*partition), timeout_ms=0)
        except errors.KafkaError:
            return None
        return position

    def known_end(self, partition: Partition) -> int | None:
        """See `GroupMember`."""
        end: int | None = self._consumer.highwater(TopicPartition(*partition))
        return end

    def ends(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """See `GroupMember`."""
        return self._asked(self._consumer.end_offsets, partitions)

    def begin(self, partition: Partition) -> int:
        """See `GroupMember`."""
        return self._asked(self._consumer.beginning_offsets, [partition])[partition]

    def partitions(self) -> set[Partition]:
        """See `GroupMember`."""
        topics = self._consumer.subscription() or ()
        try:
            return {(topic, number) for topic in topics for number in self._consumer.partitions_for_topic(topic)}
        except errors.KafkaError as error:
            raise BrokerSilent(str(error)) from error

    def close(self) -> None:
        """See `GroupMember`."""
        seconds = min(self._settings.closing_timeout, self._settings.commit_timeout)
        self._settings = msgspec.structs.replace(self._settings, commit_timeout=seconds)
        try:
            self._consumer.close(autocommit=False, timeout_ms=int(seconds * 1000))
        except errors.KafkaError as error:
            self._raise_if_fatal(error)
            log.warning("close_failed", error=str(error))
        finally:
            self._rebalance.close()

    def _asked(self, ask: Callable[..., Any], partitions: Sequence[Partition]) -> dict[Partition, int]:
        try:
            answer = ask(list(map(TopicPartition._make, partitions)), timeout_ms=self._probe_ms)
        except errors.KafkaError as error:
            raise BrokerSilent(str(error)) from error
        return {(tp.topic, tp.partition): offset for tp, offset in answer.items()}

    def _on_assigned(self, partitions: list[Partition]) -> None:
        for partition, offset in self._listener.on_assigned(partitions).items():
            if offset is not None:
                self._consumer.seek(TopicPartition(*partition), offset)

    def _raise_if_fatal(self, error: errors.KafkaError) -> None:
        failure, self._rebalance.failure = self._rebalance.failure, None
        if failure is not None:
            raise failure from error
        if isinstance(error, FATAL):
            raise refused(error) from error


def _records(batch: Sequence[ConsumerRecord], now: float) -> list[Record]:
    """Records of one partition; a value of None is a tombstone."""
    topic, number = batch[0].topic, batch[0].partition
    return [Record(topic, number, r.offset, r.key, r.value or b"", arrival(r.timestamp / 1000, now)) for r in batch]
