"""What other workers tell correlation, overheard: who sends a signal waits for the word of all that may precede it."""

import threading
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import structlog
from kafka import KafkaConsumer, TopicPartition

from detector import signals
from detector.kafka_open import open_client
from detector.signals import Sent

log = structlog.get_logger(__name__)

AGAIN: Final = 5.0
"""Seconds after which a broker that does not answer is asked again."""

MOST: Final = 10_000


class Overheard(threading.Thread):
    """Follows the end of the findings topic, without a group, from `begin` on.

    Args:
        client: kafka-python's settings for bootstrap and security.
        topic: The topic's name.
        stop: Ends it, when set.
    """

    def __init__(self, client: Mapping[str, Any], topic: str, stop: threading.Event) -> None:
        super().__init__(name="overheard", daemon=True)
        self._client = {"fetch_max_wait_ms": 500, "metrics_enabled": False, "bootstrap_timeout_ms": 5000, **client}
        self._client |= {"group_id": None, "enable_auto_commit": False, "allow_auto_create_topics": False}
        self._topic = topic
        self._stop_wanted = stop
        self._heard: deque[tuple[int, Sent | None]] = deque(maxlen=MOST)
        self._trouble = ""

    def begin(self) -> None:
        """Start, if it has not."""
        if self.ident is None:
            self.start()

    def take(self) -> list[tuple[int, Sent | None]]:
        """What was heard since the last call, with its offset, in order; None stands for what may have been missed."""
        return [self._heard.popleft() for _ in range(len(self._heard))]

    def run(self) -> None:
        """Read until told to stop; what fails is tried again."""
        while not self._stop_wanted.is_set():
            try:
                self._follow()
            except Exception as error:  # noqa: BLE001 - nobody else would say that it is read no more
                why = f"{type(error).__name__}: {error}"
                if why != self._trouble:
                    log.warning("findings_not_overheard", topic=self._topic, why=why)
                self._trouble = why
                self._stop_wanted.wait(AGAIN)

    def _follow(self) -> None:
        consumer = open_client(KafkaConsumer, self._client)
        try:
            partitions = [TopicPartition(self._topic, n) for n in sorted(consumer.partitions_for_topic(self._topic))]
            consumer.assign(partitions)
            consumer.seek_to_end(*partitions)
            self._heard.append((max(map(consumer.position, partitions)) - 1, None))
            while not self._stop_wanted.is_set():
                self._take(consumer)
        finally:
            consumer.close(autocommit=False)

    def _take(self, consumer: KafkaConsumer) -> None:
        for records in consumer.poll(timeout_ms=500).values():
            self._trouble = ""
            for record in records:
                try:
                    signal = signals.decode(record.value or b"")
                except msgspec.DecodeError:
                    continue  # correlation says so
                if isinstance(signal, Sent):
                    self._heard.append((record.offset, signal))
