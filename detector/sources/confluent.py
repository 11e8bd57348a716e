"""A member of a consumer group by confluent-kafka, the faster client of the extra `fast`."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import structlog
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, Message, TopicPartition

from detector.sources.alignment import Partition
from detector.sources.base import Record
from detector.sources.confluent_client import DAMAGED, FATAL, Trouble, await_coordinator, commit, connect
from detector.sources.member import (
    BrokerSilent,
    CommitLost,
    CommitRetry,
    ConsumerSettings,
    GroupMember,
    PartitionListener,
    SkippedRecord,
    arrival,
    refused,
)

# How librdkafka writes a membership down: this, the generation in the machine's own four bytes, then names.
_MEMBERSHIP: Final = b"CGMDv2:"
NO_GENERATION: Final = -1
_LATEST, _EARLIEST = -1, -2  # times that Kafka takes for the two ends of a log

# Errors that are about a place in a log.
AT_A_PLACE: Final = DAMAGED | {KafkaError._PARTITION_EOF}

log = structlog.get_logger(__name__)


class ConfluentMember(GroupMember):
    """`client` has librdkafka's names. The listener runs in the owner's thread."""

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
        self._listener, self._clock, self._settings, self._on_skip = listener, clock, settings, on_skip
        self._topics = topics
        self._closing = self._closed = False
        # Whether what was asked last had no answer.
        self._away = False
        self._owned: set[Partition] = set()
        self._paused: set[Partition] = set()
        # The offset that is read next: behind the last record that was handed over, or where the log was seen to end.
        self._positions: dict[Partition, int] = {}
        self._given_up: set[Partition] = set()
        self._trouble = Trouble()
        self._consumer = connect(client, topics, group_id, settings, self._trouble)
        self._consumer.subscribe(
            list(topics), on_assign=self._on_assigned, on_revoke=self._on_revoked, on_lost=self._on_lost
        )

    def poll(self, timeout: float) -> dict[Partition, list[Record]]:
        """See `GroupMember`."""
        deadline = time.monotonic() + timeout
        while True:
            # `consume` alone would wait until it has as many as it may take, or for the whole time.
            first = self._consumer.poll(max(0.0, deadline - time.monotonic()))
            if first is None:
                return {}
            polled = self._records(self._with_the_rest(first))
            if polled or time.monotonic() >= deadline:
                return polled

    def assignment(self) -> set[Partition]:
        """See `GroupMember`."""
        return set(self._owned)

    def pause(self, partitions: Sequence[Partition]) -> None:
        """See `GroupMember`. What was fetched ahead of them is thrown away, and fetched again after `resume`."""
        new = [partition for partition in partitions if partition not in self._paused]
        if new:
            self._paused.update(new)
            self._consumer.pause([TopicPartition(*partition) for partition in new])

    def resume(self, partitions: Sequence[Partition]) -> None:
        """See `GroupMember`."""
        held = [partition for partition in partitions if partition in self._paused]
        if held:
            self._paused.difference_update(held)
            self._consumer.resume([TopicPartition(*partition) for partition in held])

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """See `GroupMember`."""
        ours = self._owned >= set(offsets)
        if self.generation() == NO_GENERATION:
            # Without a membership it would be taken for a client outside of any group, and taken at its word.
            raise CommitLost("no member any more") if ours else CommitRetry("no member yet")
        payload = [TopicPartition(*p, offset) for p, offset in offsets.items()]
        if not self._closing:
            self._await_coordinator(payload, self._settings.commit_timeout)
        elif self._away:
            raise CommitRetry("the group's coordinator is away")
        commit(lambda: self._consumer.commit(offsets=payload, asynchronous=False), ours=ours)

    def generation(self) -> int:
        """See `GroupMember`."""
        if self._closed:
            return NO_GENERATION
        written: bytes = self._consumer.consumer_group_metadata()
        if not written.startswith(_MEMBERSHIP):
            raise RuntimeError(
                f"this confluent-kafka tells no generation ({written[:10]!r}): install one that is tested"
            )
        number = written[len(_MEMBERSHIP) : len(_MEMBERSHIP) + 4]
        return int.from_bytes(number, sys.byteorder, signed=True)

    def position(self, partition: Partition) -> int | None:
        """See `GroupMember`."""
        return self._positions.get(partition)

    def known_end(self, partition: Partition) -> int | None:
        """See `GroupMember`."""
        _, end = self._consumer.get_watermark_offsets(TopicPartition(*partition), cached=True)
        return end if end >= 0 else None

    def ends(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """See `GroupMember`."""
        return self._asked(partitions, _LATEST)

    def begin(self, partition: Partition) -> int:
        """See `GroupMember`."""
        return self._asked([partition], _EARLIEST)[partition]

    def partitions(self) -> set[Partition]:
        """See `GroupMember`."""
        found: set[Partition] = set()
        try:
            for topic in self._topics:
                told = self._consumer.list_topics(topic, timeout=self._settings.probe_timeout)
                found |= {(topic, number) for number in told.topics[topic].partitions}
        except KafkaException as error:
            raise BrokerSilent(self._trouble.why or error.args[0].str()) from error
        return found

    def close(self) -> None:
        """See `GroupMember`."""
        if self._owned and not self._away:
            # Once it closes, nothing can be asked any more.
            with suppress(CommitRetry):
                self._await_coordinator([TopicPartition(*p) for p in self._owned], self._settings.probe_timeout)
        self._closing = True
        try:
            self._consumer.close()
        except KafkaException as error:
            _raise_if_fatal(error.args[0])
            log.warning("close_failed", error=error.args[0].str())
        finally:
            self._closed = True

    def _await_coordinator(self, partitions: Sequence[TopicPartition], seconds: float) -> None:
        self._away = True
        await_coordinator(self._consumer, [partitions[0]], seconds)
        self._away = False

    def _asked(self, partitions: Sequence[Partition], when: int) -> dict[Partition, int]:
        asked = [TopicPartition(*partition, when) for partition in partitions]
        self._away = True
        try:
            answered = self._consumer.offsets_for_times(asked, timeout=self._settings.probe_timeout)
        except KafkaException as error:
            raise BrokerSilent(self._trouble.why or error.args[0].str()) from error
        failed = next((one.error for one in answered if one.error is not None), None)
        if failed is not None:
            raise BrokerSilent(failed.str())
        self._away, self._trouble.why = False, ""
        return {(one.topic, one.partition): one.offset for one in answered}

    def _with_the_rest(self, first: Message) -> list[Message]:
        """What has been fetched already, behind `first`; rebalances may happen in here, too."""
        self._given_up.clear()
        most = self._settings.max_poll_records - 1
        rest: list[Message] = self._consumer.consume(most, 0) if most else []
        return [first, *rest] if (first.topic(), first.partition()) not in self._given_up else rest

    def _records(self, messages: Sequence[Message]) -> dict[Partition, list[Record]]:
        """What was read of the partitions that are still ours; a value of None is a tombstone."""
        now = self._clock()
        batches: dict[Partition, list[Record]] = {}
        passed: set[Partition] = set()
        for message in messages:
            topic, number, offset, error = message.topic(), message.partition(), message.offset(), message.error()
            if topic is None or number is None or offset is None:
                self._hear(error)
                continue
            partition = (topic, number)
            if partition in passed:
                continue  # librdkafka may read on amid the damage
            if error is not None and error.code() not in AT_A_PLACE:
                self._hear(error)
            elif partition not in self._owned:
                continue
            elif error is None:
                at = arrival(message.timestamp()[1] / 1000, now)
                batches.setdefault(partition, []).append(
                    Record(topic, number, offset, message.key(), message.value() or b"", at)
                )
                self._positions[partition] = offset + 1
                self._away = False
            elif error.code() == KafkaError._PARTITION_EOF:
                self._positions[partition] = offset
            else:
                passed.add(partition)
                self._pass_over(partition, offset, error.str())
        return batches

    def _pass_over(self, partition: Partition, begin: int, why: str) -> None:
        """Report a damaged record and read on behind it: left alone, librdkafka would fetch it again for ever.

        A damaged batch, which begins at `begin`, is left one offset at a time, since its header, and so the number
        of its records, can't be trusted. What comes behind it in the same fetch is fetched again.
        """
        offset = max(begin, self._positions.get(partition, begin))
        self._on_skip(SkippedRecord(*partition, offset, why))
        self._positions[partition] = offset + 1
        self._consumer.seek(TopicPartition(*partition, offset + 1))

    def _on_assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        named = _named(partitions)
        if not named:
            return
        self._owned.update(named)
        offsets = {p: offset for p, offset in self._listener.on_assigned(named).items() if offset is not None}
        self._positions |= offsets
        consumer.incremental_assign([TopicPartition(*p, offsets.get(p, OFFSET_INVALID)) for p in named])
        # librdkafka remembers a pause over the time that a partition was another member's.
        self.resume(named)

    def _on_revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._give_up(_named(partitions), self._listener.on_revoked)

    def _on_lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._give_up(_named(partitions), self._listener.on_lost)

    def _give_up(self, named: list[Partition], tell: Callable[[list[Partition]], None]) -> None:
        """Tell the listener; once it knows, the client gives them up."""
        try:
            if named:
                tell(named)
        finally:
            self._owned.difference_update(named)
            self._given_up.update(named)
            for partition in named:
                self._positions.pop(partition, None)

    def _hear(self, error: KafkaError | None) -> None:
        """An error that is about no place in a log."""
        if error is not None:
            _raise_if_fatal(error)
            log.warning("poll_failed", error=error.str())


def _raise_if_fatal(error: KafkaError) -> None:
    if error.fatal() or error.code() in FATAL:
        raise refused(error.str())


def _named(partitions: Sequence[TopicPartition]) -> list[Partition]:
    return sorted((one.topic, one.partition) for one in partitions)
