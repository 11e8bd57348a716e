"""The compacted topic of peers' sums, read from its beginning when asked to, and followed from then on."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from queue import Full, Queue
from typing import Any, Final

import structlog
from kafka import KafkaConsumer, TopicPartition

from detector.kafka_open import open_client
from detector.sources.alignment import Partition

log = structlog.get_logger(__name__)

AGAIN: Final = 5.0
"""Seconds after which a broker that does not answer, or that has no such topic, is asked again."""

COUNT_EVERY: Final = 60.0
"""Seconds after which it is asked again how many partitions the topics of events have."""

MESSAGES_MOST: Final = 256
"""Messages that may wait to be taken."""


class PeersReader(threading.Thread):
    """Hands over what stands on the topic, from `rewind` on. Each process reads all of it, without a group.

    Args:
        client: kafka-python's settings for bootstrap and security.
        topic: The topic's name.
        events: The topics of events, whose partitions are counted.
        stop: Ends it, when set.
        clock: Seconds of a monotonic clock.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        topic: str,
        events: Sequence[str],
        stop: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(name="peers-reader", daemon=True)
        self._client = {**client, "group_id": None, "enable_auto_commit": False, "allow_auto_create_topics": False}
        self._client |= {"fetch_max_wait_ms": 500, "metrics_enabled": False, "bootstrap_timeout_ms": 5000}
        self._client |= {"max_partition_fetch_bytes": 8 << 20, "reconnect_backoff_max_ms": 1000}
        self._topic, self._events = topic, tuple(events)
        self._stop_wanted, self._clock = stop, clock
        self._messages: Queue[bytes] = Queue(MESSAGES_MOST)
        self._wanted = threading.Event()
        self._rewind = threading.Event()
        self._caught_up = threading.Event()
        self._count_due = float("-inf")
        self.partitions: frozenset[Partition] | None = None
        """All partitions of the topics of events; None while nobody has said so."""
        self.absent = False
        """Whether there is no such topic."""
        self.trouble: str | None = None
        """Why what stands on the topic may not be known; None once it is."""

    def rewind(self) -> None:
        """Read from the beginning; what is left of an earlier reading may come first."""
        self._caught_up.clear()
        self._rewind.set()
        self._wanted.set()

    def caught_up(self, seconds: float) -> bool:
        """Wait until all that stood on the topic at the last `rewind` can be taken; whether it can."""
        return self._caught_up.wait(seconds)

    def take(self) -> list[bytes]:
        """The values of the messages that came since the last time."""
        taken: list[bytes] = []
        while not self._messages.empty():
            taken.append(self._messages.get_nowait())
        return taken

    def run(self) -> None:
        """Read until told to stop; what fails is tried again."""
        while not self._stop_wanted.is_set():
            try:
                self._follow()
            except Exception as error:  # noqa: BLE001 - nobody else would say that it is read no more
                self._complain(f"{type(error).__name__}: {error}")
                self._rewind.set()
                self._stop_wanted.wait(AGAIN)

    def _complain(self, why: str) -> None:
        if self.trouble != why:
            log.warning("peers_not_read", topic=self._topic, why=why)
        self.trouble = why

    def _follow(self) -> None:
        consumer = open_client(KafkaConsumer, self._client)
        try:
            self._count(consumer)
            numbers = consumer.partitions_for_topic(self._topic)
            self.absent = not numbers
            if self.absent:
                self._complain("there is no such topic: create it with `detector topics`")
                self._caught_up.set()  # nothing to wait for
                self._stop_wanted.wait(AGAIN)
                return
            partitions = [TopicPartition(self._topic, number) for number in sorted(numbers)]
            consumer.assign(partitions)
            self._read(consumer, partitions)
        finally:
            consumer.close(autocommit=False)

    def _read(self, consumer: KafkaConsumer, partitions: list[TopicPartition]) -> None:
        left: dict[TopicPartition, int] = {}
        while not self._stop_wanted.is_set():
            self._count(consumer)
            if not self._wanted.wait(0.1):
                continue
            if self._rewind.is_set():
                self._rewind.clear()
                consumer.seek_to_beginning(*partitions)
                left = consumer.end_offsets(partitions)
            for records in consumer.poll(timeout_ms=100).values():
                for record in records:
                    self._hand_over(record.value or b"")
            left = {p: end for p, end in left.items() if consumer.position(p) < end}
            if not left and not self._rewind.is_set():
                self.trouble = None
                self._caught_up.set()

    def _hand_over(self, value: bytes) -> None:
        while not (self._stop_wanted.is_set() or self._rewind.is_set()):
            with suppress(Full):
                self._messages.put(value, timeout=0.1)
                return

    def _count(self, consumer: KafkaConsumer) -> None:
        now = self._clock()
        if now < self._count_due:
            return
        self._count_due = now + COUNT_EVERY
        counted = {topic: consumer.partitions_for_topic(topic) for topic in self._events}
        if all(counted.values()):
            self.partitions = frozenset((topic, number) for topic, numbers in counted.items() for number in numbers)
