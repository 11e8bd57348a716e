"""The Kafka source: a member of a consumer group that hands over raw records and commits when it is told to."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import msgspec
import structlog

from detector.sources.alignment import Partition
from detector.sources.base import Record
from detector.sources.member import (
    BrokerSilent,
    Client,
    CommitLost,
    CommitRetry,
    ConsumerSettings,
    PartitionListener,
    SkippedRecord,
)

__all__ = [
    "Client",
    "CommitLost",
    "CommitRetry",
    "ConsumerSettings",
    "KafkaSource",
    "PartitionListener",
    "SkippedRecord",
]

DEFAULTS: Final = ConsumerSettings()
UNSEEN: Final = 2.0  # seconds without a poll after which what is known of the logs' ends is of before

log = structlog.get_logger(__name__)


def _log_skip(skipped: SkippedRecord) -> None:
    log.error("record_skipped", **msgspec.structs.asdict(skipped))


class KafkaSource:
    """Reads topics as a member of a consumer group. Not thread-safe: one thread owns it.

    Guarantees: the records of a partition come in offset order; nothing is committed but by `commit`; a record
    that can't be read is reported and passed over; an offset that the log no longer has falls back to the
    earliest one, with a warning. Decoding is the caller's business.

    Args:
        client: By which client, and its settings for bootstrap and security; others override the defaults here.
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
        client: Client,
        topics: Sequence[str],
        group_id: str,
        listener: PartitionListener,
        clock: Callable[[], float],
        *,
        settings: ConsumerSettings = DEFAULTS,
        on_skip: Callable[[SkippedRecord], None] = _log_skip,
    ) -> None:
        self._clock, self._settings = clock, settings
        self._closed = False
        # The offset that the next record should have, where it is known.
        self._next: dict[Partition, int] = {}
        self._at_end_since: dict[Partition, float] = {}
        self._answered_at = self._asked_at = self._observed_at = clock()
        self._silent = False
        self._generation = 0
        self._any_partition = (topics[0], 0)
        watched = _Watched(listener, self._forget)
        self._member = client.member(client.settings, topics, group_id, watched, clock, settings, on_skip)
        self._partitions: set[Partition] = set()
        self._count_partitions()

    def poll(self, timeout: float) -> dict[Partition, list[Record]]:
        """Wait up to `timeout` seconds for records; rebalances happen in here.

        Returns:
            Records by partition, in offset order, `max_poll_records` at most. `received_at` is the broker's
            time of arrival where the topic has `message.timestamp.type=LogAppendTime`, else the producer's.

        Raises:
            SourceError: the broker refuses us for good (authorisation, a fenced instance id …).
        """
        polled = self._member.poll(timeout)
        for partition, records in polled.items():
            self._follow(partition, records)
        now = self._clock()
        if polled:
            self._heard(now)
        elif now - max(self._answered_at, self._asked_at) >= self._settings.probe_after:
            self._ask_ends()
        self._observe_ends()
        return polled

    def caught_up(self) -> set[Partition]:
        """Assigned partitions that have been read to the log's end for `idle_after` seconds."""
        until = self._clock() - self._settings.idle_after
        return {partition for partition, since in self._at_end_since.items() if since <= until}

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Hand over nothing of these until `resume`; the group keeps them. Those not assigned are ignored."""
        if partitions:
            self._member.pause(self._assigned(partitions))

    def resume(self, partitions: Sequence[Partition]) -> None:
        """Undo `pause`. They are not caught up before they have been fetched again."""
        for partition in partitions:
            self._at_end_since.pop(partition, None)
        if partitions:
            self._member.resume(self._assigned(partitions))

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Commit the offsets of the next records to read, and wait for it up to `commit_timeout` seconds.

        Raises:
            CommitRetry: the group rebalances, or the broker did not answer.
            CommitLost: this consumer is no longer a member.
        """
        if offsets:
            self._member.commit(offsets)
            self._heard(self._clock())

    def generation(self) -> int:
        """The group's generation that this consumer was last a member of; 0 before the first."""
        self._generation = max(self._generation, self._member.generation())
        return self._generation

    def partitions(self) -> set[Partition]:
        """All partitions of the topics that are read, whoever has them, as of the start or the last `lag`."""
        return self._partitions

    def lag(self) -> dict[Partition, int]:
        """Records between the position and the log's end, of each assigned partition that has a position.

        Asks the broker, for `probe_timeout` seconds at most; when it is silent, from what it said last.
        """
        ends = self._ask_ends()
        if ends:
            self._count_partitions()
        lags: dict[Partition, int] = {}
        for partition in self._member.assignment():
            end, position = ends.get(partition, self._member.known_end(partition)), self._member.position(partition)
            if end is not None and position is not None:
                lags[partition] = max(0, end - position)
        return lags

    def outage_seconds(self) -> float:
        """Seconds since the broker last answered; 0 while it does. The clients' own polls hide an outage."""
        return self._clock() - self._answered_at if self._silent else 0.0

    def close(self) -> None:
        """Give the partitions up (`on_revoked`), leave the group and end the threads. Commits nothing itself.

        A static member stays in the group until its session times out. Closing twice does nothing.
        """
        if not self._closed:
            self._closed = True
            self._member.close()

    def _forget(self, partitions: list[Partition], offsets: Mapping[Partition, int | None]) -> None:
        for partition in partitions:
            self._next.pop(partition, None)
            self._at_end_since.pop(partition, None)
        self._next |= {partition: offset for partition, offset in offsets.items() if offset is not None}

    def _assigned(self, partitions: Sequence[Partition]) -> list[Partition]:
        assignment = self._member.assignment()
        return [partition for partition in partitions if partition in assignment]

    def _follow(self, partition: Partition, records: Sequence[Record]) -> None:
        expected = self._next.get(partition)
        if expected is not None and records[0].offset != expected:
            self._report_jump(partition, expected, records[0].offset)
        self._next[partition] = records[-1].offset + 1

    def _report_jump(self, partition: Partition, expected: int, found: int) -> None:
        """Warn when the log no longer had the offset; a gap within it (compaction, transactions) is normal."""
        try:
            earliest = self._member.begin(partition)
        except BrokerSilent:
            earliest = found
        if found < expected or found <= earliest:
            log.warning("offset_out_of_range", partition=partition, wanted=expected, read_from=found)

    def _observe_ends(self) -> None:
        """Note since when each partition's position has been at the log's end, as the last fetch knew it."""
        before, self._observed_at = self._observed_at, self._clock()
        now = self._observed_at
        if now - before > UNSEEN:
            self._at_end_since.clear()
        for partition in self._member.assignment():
            end = self._member.known_end(partition)
            position = None if end is None else self._member.position(partition)
            if end is not None and position is not None and position >= end:
                self._at_end_since.setdefault(partition, now)
            else:
                self._at_end_since.pop(partition, None)

    def _count_partitions(self) -> None:
        with suppress(BrokerSilent):
            self._partitions = self._partitions | self._member.partitions()

    def _ask_ends(self) -> dict[Partition, int]:
        """The log's ends of the assigned partitions, which is also the sign of life; empty when it is silent."""
        self._asked_at = self._clock()
        try:
            ends = self._member.ends(sorted(self._member.assignment()) or [self._any_partition])
        except BrokerSilent as silent:
            if not self._silent:
                log.warning("broker_silent", error=str(silent))
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


class _Watched:
    """Tells the listener, and before it the log and the source."""

    def __init__(
        self,
        listener: PartitionListener,
        forget: Callable[[list[Partition], Mapping[Partition, int | None]], None],
    ) -> None:
        self._listener, self._forget = listener, forget

    def on_assigned(self, partitions: list[Partition]) -> Mapping[Partition, int | None]:
        log.info("partitions_assigned", partitions=partitions)
        offsets = self._listener.on_assigned(partitions)
        self._forget(partitions, offsets)
        return offsets

    def on_revoked(self, partitions: list[Partition]) -> None:
        log.info("partitions_revoked", partitions=partitions)
        self._forget(partitions, {})
        self._listener.on_revoked(partitions)

    def on_lost(self, partitions: list[Partition]) -> None:
        log.warning("partitions_lost", partitions=partitions)
        self._forget(partitions, {})
        self._listener.on_lost(partitions)
