"""The compacted topic of peers' sums, read from its beginning when asked to, and followed from then on."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from queue import Full, Queue
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition

from detector.sources.alignment import Partition
from detector.sources.follower import Follower
from detector.sources.kafka_hooks import poll

COUNT_EVERY: Final = 60.0
"""Seconds after which it is asked again how many partitions the topics of events have."""

MESSAGES_MOST: Final = 256
"""Messages that may wait to be taken."""


class PeersReader(Follower):
    """Hands over what stands on the topic, from `rewind` on. Each process reads all of it.

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
        fetching = {"max_partition_fetch_bytes": 8 << 20, "reconnect_backoff_max_ms": 1000}
        super().__init__("peers", {**client, **fetching}, topic, stop)
        self._events, self._clock = tuple(events), clock
        self._messages: Queue[bytes] = Queue(MESSAGES_MOST)
        self._wanted = threading.Event()
        self._rewind = threading.Event()
        self._caught_up = threading.Event()
        self._count_due = float("-inf")
        self.partitions: frozenset[Partition] | None = None
        """All partitions of the topics of events; None while nobody has said so."""
        self.absent = False
        """Whether there is no such topic."""

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

    def failed(self) -> None:
        """Read from the beginning when it can be read again."""
        self._rewind.set()

    def follow(self, consumer: KafkaConsumer) -> None:
        """Read the topic, when it is wanted, and count the partitions of others."""
        self._count(consumer)
        partitions = self.assigned(consumer)
        self.absent = not partitions
        if self.absent:
            self._caught_up.set()  # nothing to wait for
            return
        self._read(consumer, partitions)

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
            for records in poll(consumer, 0.1).values():
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
